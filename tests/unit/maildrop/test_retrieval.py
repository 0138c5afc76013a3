import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from popsync.errors import (
    DeadlineExceeded,
    PeerClosed,
    PopsyncError,
    RemoteProtocolError,
    ServerUnavailable,
    SizesDisagree,
)
from popsync.maildrop.opening import connect_maildrop, open_maildrop
from popsync.maildrop.session import Pop3Maildrop
from popsync.maildrop.settings import Deadlines
from popsync.model import (
    ListedMessage,
    MessageNumber,
    RefusedMessage,
    Retrieval,
    RetrievedMessage,
    UniqueId,
)
from popsync.net.replay import ReplayStream
from popsync.storage.content import Scratch
from tests.doubles.maildrop import TrackedContent
from tests.doubles.pop3_script import ScriptedServer, Talk, admit
from tests.unit.maildrop.conftest import MakeSettings

LOGIN = [b"+OK\r\n", b"-ERR\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK\r\nPIPELINING\r\n.\r\n"]
ODD_SIZES = [-1, 1, 3, 100]


def listed(*octets: int) -> list[ListedMessage]:
    """Give rows of these sizes, numbered from 1."""
    return [
        ListedMessage(MessageNumber(number), UniqueId(b"u%d" % number), size)
        for number, size in enumerate(octets, 1)
    ]


def reply(content: bytes) -> bytes:
    """Give a well-behaved reply to RETR; the content ends in CRLF."""
    return b"+OK\r\n" + (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def contents(retrievals: Iterable[Retrieval]) -> list[bytes]:
    """Give the bytes of messages that were all retrieved, and close them."""
    result = []
    for retrieval in retrievals:
        assert isinstance(retrieval, RetrievedMessage)
        result.append(b"".join(retrieval.content.chunks()))
        retrieval.content.close()
    return result


async def collect(
    maildrop: Pop3Maildrop, wanted: Sequence[ListedMessage]
) -> tuple[list[Retrieval], PopsyncError | None]:
    """Give what was retrieved, and what ended it."""
    taken: list[Retrieval] = []
    try:
        async for burst in maildrop.retrieve(wanted, stopping=lambda: False):
            assert burst
            taken += burst
    except PopsyncError as error:
        return taken, error
    return taken, None


async def retrieve(
    make_settings: MakeSettings,
    steps: Sequence[bytes],
    wanted: Sequence[ListedMessage],
    *,
    lock_step: bool = False,
    **overrides: object,
) -> tuple[list[Retrieval], PopsyncError | None, ReplayStream]:
    """Retrieve from a replayed server."""
    stream = ReplayStream([*LOGIN, *steps])
    maildrop = await open_maildrop(stream, make_settings(**overrides), lock_step=lock_step)
    stream.writes.clear()
    return *(await collect(maildrop, wanted)), stream


FIRST, SECOND, THIRD = b"a\r\n", b".b\r\n..\r\n", b"c\n.\nc\r\n"
ALL = [FIRST, SECOND, THIRD]


async def test_pipelined_messages_come_in_order_for_one_write(
    make_settings: MakeSettings,
) -> None:
    """All that one read brings is given at once."""
    wire = b"".join(map(reply, ALL))
    taken, error, stream = await retrieve(make_settings, [wire], listed(*map(len, ALL)))

    assert (contents(taken), error) == (ALL, None)
    assert stream.writes == [b"RETR 1\r\nRETR 2\r\nRETR 3\r\n"]


@pytest.mark.parametrize("lock_step", [True, False])
async def test_messages_cut_anywhere_are_the_same(
    make_settings: MakeSettings, *, lock_step: bool
) -> None:
    """Octet by octet."""
    wire = [b"%c" % octet for octet in b"".join(map(reply, ALL))]
    taken, error, _ = await retrieve(
        make_settings, wire, listed(*map(len, ALL)), lock_step=lock_step
    )

    assert (contents(taken), error) == (ALL, None)


async def test_lock_step_waits_for_each_message(make_settings: MakeSettings) -> None:
    """One command, one reply."""
    taken, error, stream = await retrieve(
        make_settings, [*map(reply, ALL)], listed(*map(len, ALL)), lock_step=True
    )

    assert (contents(taken), error) == (ALL, None)
    assert stream.writes == [b"RETR 1\r\n", b"RETR 2\r\n", b"RETR 3\r\n"]


async def test_without_sizes_it_is_one_at_a_time(make_settings: MakeSettings) -> None:
    """Only the message without a size is: nothing could tell replies that are shifted."""
    wire = [reply(FIRST), reply(SECOND), b"+OK 2 u2\r\n", reply(THIRD) + reply(FIRST)]
    taken, error, stream = await retrieve(make_settings, wire, listed(3, 0, 7, 3))

    assert (contents(taken), error) == ([*ALL, FIRST], None)
    assert stream.writes == [
        b"RETR 1\r\n",
        b"RETR 2\r\n",
        b"UIDL 2\r\n",
        b"RETR 3\r\nRETR 4\r\n",
    ]


async def test_the_window_is_bounded_in_octets_and_commands(make_settings: MakeSettings) -> None:
    """What is on its way at once never exceeds either; refills are one write each."""
    body = b"x" * 98 + b"\r\n"
    stream = ReplayStream([*LOGIN, *[reply(body)] * 20])
    settings = make_settings(window_octets=1000, window_messages=6)
    maildrop = await open_maildrop(stream, settings, lock_step=False)
    stream.writes.clear()
    taken, outstanding = 0, []
    async for burst in maildrop.retrieve(listed(*[100] * 20), stopping=lambda: False):
        outstanding.append(stream.written.count(b"RETR") - taken)
        taken += len(burst)

    assert taken == 20
    assert max(outstanding) == 6
    assert [write.count(b"RETR") for write in stream.writes[:3]] == [6, 3, 3]


async def test_a_message_larger_than_the_window_travels_alone(
    make_settings: MakeSettings,
) -> None:
    """At least one is always asked for."""
    large = b"x" * 998 + b"\r\n"
    wire = [reply(FIRST), reply(large), reply(FIRST)]
    taken, error, stream = await retrieve(
        make_settings, wire, listed(3, 1000, 3), window_octets=100, max_window_octets=100
    )

    assert (contents(taken), error) == ([FIRST, large, FIRST], None)
    assert stream.writes == [b"RETR 1\r\n", b"RETR 2\r\n", b"RETR 3\r\n"]


async def test_a_line_that_carries_much_is_asked_for_more(make_settings: MakeSettings) -> None:
    """What came at once shows that the line bears more than the first window."""
    body = b"x" * 98 + b"\r\n"
    wire = [reply(body) * 5, *[reply(body)] * 15]
    taken, error, stream = await retrieve(
        make_settings, wire, listed(*[100] * 20), window_octets=1000
    )

    assert (contents(taken), error) == ([body] * 20, None)
    assert [write.count(b"RETR") for write in stream.writes] == [10, 10]


async def test_once_stopping_nothing_more_is_asked_for(make_settings: MakeSettings) -> None:
    """What was asked for still comes."""
    stream = ReplayStream([*LOGIN, *[reply(FIRST)] * 2])
    settings = make_settings(window_messages=2)
    maildrop = await open_maildrop(stream, settings, lock_step=False)
    answers = itertools.chain([False, False], itertools.repeat(True))
    taken: list[Retrieval] = []
    async for burst in maildrop.retrieve(listed(3, 3, 3), stopping=lambda: next(answers)):
        taken += burst

    assert contents(taken) == [FIRST, FIRST]


async def test_nothing_wanted_asks_for_nothing(make_settings: MakeSettings) -> None:
    """No burst is empty, so there is none."""
    taken, error, stream = await retrieve(make_settings, [], [])
    assert (taken, error, stream.written) == ([], None, b"")


@pytest.mark.parametrize("lock_step", [True, False])
async def test_a_refused_message_takes_its_place(
    make_settings: MakeSettings, *, lock_step: bool
) -> None:
    """The others are not affected (P5)."""
    wire = [reply(FIRST), b"-ERR [SYS/TEMP] cannot render\r\n", reply(THIRD)]
    taken, error, _ = await retrieve(make_settings, wire, listed(3, 8, 7), lock_step=lock_step)

    assert error is None
    assert isinstance(taken[1], RefusedMessage)
    assert taken[1].listed.number == 2
    assert "[SYS/TEMP] cannot render" in str(taken[1].error)
    assert contents([taken[0], taken[2]]) == [FIRST, THIRD]


@pytest.mark.parametrize("lock_step", [True, False])
async def test_a_server_that_refuses_the_first_five_is_not_asked_for_more(
    make_settings: MakeSettings, *, lock_step: bool
) -> None:
    """It gives nothing now; the five are known to be refused, of the others nothing is."""
    wire = [b"-ERR [SYS/TEMP] store is down\r\n"] * 9
    taken, error, _ = await retrieve(make_settings, wire, listed(*[9] * 9), lock_step=lock_step)

    assert isinstance(error, ServerUnavailable)
    assert "store is down" in str(error)
    assert [retrieval.listed.number for retrieval in taken] == [1, 2, 3, 4, 5]


async def test_once_a_message_was_given_any_number_may_be_refused(
    make_settings: MakeSettings,
) -> None:
    """Then it is the messages that the server cannot give (P5)."""
    wire = [reply(FIRST), *[b"-ERR cannot render\r\n"] * 8]
    taken, error, _ = await retrieve(make_settings, wire, listed(3, *[9] * 8))

    assert error is None
    assert len(taken) == 9


# -- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("difference", ODD_SIZES)
async def test_a_pipelined_size_that_differs_ends_it_before_that_message(
    make_settings: MakeSettings, difference: int
) -> None:
    """What came before is given, nothing after."""
    wire = b"".join(map(reply, ALL))
    sizes = listed(3, len(SECOND) - difference, 7) if difference < 8 else listed(3, 108, 7)
    taken, error, _ = await retrieve(make_settings, [wire], sizes)

    assert contents(taken) == [FIRST]
    assert isinstance(error, SizesDisagree)
    assert "message 2" in str(error)


async def test_a_line_end_that_list_does_not_count_is_allowed(
    make_settings: MakeSettings,
) -> None:
    """The server had to end a last line that has no end."""
    wire = b"".join(map(reply, ALL))
    taken, error, _ = await retrieve(make_settings, [wire], listed(1, len(SECOND) - 2, 5))

    assert (contents(taken), error) == (ALL, None)


async def test_a_message_in_lock_step_shorter_than_listed_is_suspect(
    make_settings: MakeSettings,
) -> None:
    """It may have been cut short, and is given with the doubt; then the step is confirmed."""
    wire = [reply(FIRST), b"+OK 1 u1\r\n", reply(FIRST), b"+OK 2 u2\r\n"]
    taken, error, stream = await retrieve(make_settings, wire, listed(100, 2), lock_step=True)

    assert error is None
    assert stream.written == b"RETR 1\r\nUIDL 1\r\nRETR 2\r\nUIDL 2\r\n"
    assert [t.suspect for t in taken if isinstance(t, RetrievedMessage)] == [
        "LIST said 100 octets, 3 came",
        "",
    ]


@pytest.mark.parametrize(("size", "max_octets"), [(10, 50 << 20), (0, 2000)])
async def test_a_message_that_outgrows_its_size_is_cut_off(
    make_settings: MakeSettings, size: int, max_octets: int
) -> None:
    """A message without end cannot fill the disk."""
    wire = [b"+OK\r\n", *[b"x" * 10_000] * 1000]
    taken, error, stream = await retrieve(make_settings, wire, listed(size), max_octets=max_octets)

    assert taken == []
    assert isinstance(error, RemoteProtocolError)
    assert "goes on after" in str(error)
    assert await stream.read(timeout_s=1) != b""  # it was not read to its end


# -- a server that lies ----------------------------------------------------------------------

FORGERY = b"+OK\r\nhead\r\n.\r\n+OK\r\nforged\r\n.\r\n"


async def test_a_forged_reply_in_lock_step_is_never_taken_for_a_message(
    make_settings: MakeSettings,
) -> None:
    """The message it came in is suspect, and nothing is given after it."""
    taken, error, stream = await retrieve(
        make_settings, [FORGERY, reply(SECOND)], listed(24, 8), lock_step=True
    )

    assert isinstance(error, RemoteProtocolError)
    assert [t.suspect != "" for t in taken if isinstance(t, RetrievedMessage)] == [True]
    assert contents(taken) == [b"head\r\n"]
    assert stream.writes == [b"RETR 1\r\n"]


@pytest.mark.parametrize(
    "late",
    [
        b"+OK\r\nforged\r\n.\r\n",
        b"+OK 1 u2\r\n",
        b"+OK 2 u1\r\n",
        b"+OK u1\r\n",
        b"-ERR\r\n",
        b"-ERR 1 u1\r\n",
        b"rest\r\n",
        b"+OK 1 u1\r\nforged\r\n.\r\n",
    ],
)
async def test_a_forged_reply_that_comes_late_is_never_taken_for_a_message(
    make_settings: MakeSettings, late: bytes
) -> None:
    """Its author could not know the unique-id, and what follows it was not asked for."""
    cut = b"+OK\r\nhead\r\n.\r\n"
    taken, error, stream = await retrieve(
        make_settings, [cut, late, reply(SECOND)], listed(24, len(SECOND)), lock_step=True
    )

    assert isinstance(error, RemoteProtocolError)
    assert contents(taken) == [b"head\r\n"]
    assert stream.written in {b"RETR 1\r\nUIDL 1\r\n", b"RETR 1\r\nUIDL 1\r\nLIST 2\r\n"}


async def test_a_forged_reply_after_the_last_message_ends_the_session(
    make_settings: MakeSettings,
) -> None:
    """No QUIT may follow it."""
    taken, error, _ = await retrieve(make_settings, [FORGERY], listed(24), lock_step=True)

    assert len(taken) == 1
    assert isinstance(error, RemoteProtocolError)


async def test_a_forged_reply_while_pipelining_is_caught_by_its_size(
    make_settings: MakeSettings,
) -> None:
    """Neither the cut message nor the forged one is given."""
    taken, error, _ = await retrieve(
        make_settings, [FORGERY + reply(SECOND)], listed(24, len(SECOND))
    )

    assert taken == []
    assert isinstance(error, SizesDisagree)


async def test_a_pipelined_forgery_of_the_right_size_is_caught_at_the_end(
    make_settings: MakeSettings,
) -> None:
    """A reply more than commands: the last one is suspect."""
    wire = reply(FIRST) + reply(FIRST) + b"+OK extra\r\n"
    taken, error, _ = await retrieve(make_settings, [wire], listed(3, 3))

    assert [t.suspect != "" for t in taken if isinstance(t, RetrievedMessage)] == [False, True]
    assert isinstance(error, RemoteProtocolError)


async def test_a_reply_that_is_none_ends_it_after_what_was_whole(
    make_settings: MakeSettings,
) -> None:
    """What came before it is good."""
    wire = reply(FIRST) + b"garbage\r\n"
    taken, error, _ = await retrieve(make_settings, [wire], listed(3, 3))

    assert contents(taken) == [FIRST]
    assert isinstance(error, RemoteProtocolError)


@pytest.mark.parametrize("lock_step", [True, False])
async def test_a_connection_cut_at_any_octet_gives_only_whole_messages(
    make_settings: MakeSettings, *, lock_step: bool
) -> None:
    """Only the terminator makes a message whole."""
    replies = [*map(reply, ALL)]
    ends = list(itertools.accumulate(map(len, replies)))
    wire = b"".join(replies)
    for cut in range(1, len(wire)):
        steps = [wire[:cut]] if not lock_step else _by_reply(wire[:cut], ends)
        taken, error, _ = await retrieve(
            make_settings, steps, listed(*map(len, ALL)), lock_step=lock_step
        )
        whole = sum(end <= cut for end in ends)

        assert contents(taken) == ALL[:whole]
        assert isinstance(error, PeerClosed)


def _by_reply(wire: bytes, ends: list[int]) -> list[bytes]:
    """Cut where a server in lock step waits for the next command."""
    bounds = [0, *ends]
    pieces = [wire[begin:end] for begin, end in itertools.pairwise(bounds)]
    return [piece for piece in pieces if piece]


# -- time and space --------------------------------------------------------------------------


async def test_a_large_message_is_spilled_and_whole(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """Memory does not grow with a message (P8)."""
    body = b"".join(b"%06d\r\n" % n for n in range(10_000))
    wire = reply(body)
    steps = [wire[at : at + 7000] for at in range(0, len(wire), 7000)]
    scratch = Scratch(tmp_path, memory_octets=1000)
    taken, error, _ = await retrieve(make_settings, steps, listed(len(body)), scratch=scratch)

    assert (contents(taken), error) == ([body], None)


async def test_a_retrieval_left_in_the_middle_gives_its_piece_back(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """No unnamed file stays open, and QUIT is not said over replies that are due."""
    steps = [reply(FIRST) + b"+OK\r\n" + b"x" * 5000, b"x" * 5000]
    stream = ReplayStream([*LOGIN, *steps])
    settings = make_settings(scratch=Scratch(tmp_path, memory_octets=1000))
    maildrop = await open_maildrop(stream, settings, lock_step=False)
    async with aclosing(maildrop.retrieve(listed(3, 20_000), stopping=lambda: False)) as bursts:
        async for burst in bursts:
            contents(burst)
            break
    await maildrop.quit()

    assert b"QUIT" not in stream.written
    assert stream.closed


async def test_a_full_disk_closes_what_was_retrieved_and_is_not_hidden(
    make_settings: MakeSettings,
) -> None:
    """The error goes up as it is."""

    class Full(Scratch):
        def from_bytes(self, octets: bytes) -> TrackedContent:
            if octets == SECOND:
                raise OSError(28, "No space left on device")
            content = TrackedContent(octets)
            made.append(content)
            return content

    made: list[TrackedContent] = []
    stream = ReplayStream([*LOGIN, reply(FIRST) + reply(SECOND)])
    maildrop = await open_maildrop(stream, make_settings(scratch=Full(Path())), lock_step=False)
    with pytest.raises(OSError, match="No space left"):
        async for _ in maildrop.retrieve(listed(3, 8), stopping=lambda: False):
            pass

    assert [content.closed for content in made] == [True]


class Slow(ReplayStream):
    """Takes a moment for every read after the login."""

    pause_s = 0.0

    async def read(self, *, timeout_s: float) -> bytes:
        """Give the next step, late."""
        await asyncio.sleep(self.pause_s)
        return await super().read(timeout_s=timeout_s)


async def test_a_message_that_drips_has_a_deadline_in_all(make_settings: MakeSettings) -> None:
    """Never silent for long, and still too slow."""
    deadlines = Deadlines(message_s=0.1, min_octets_per_s=1e6)
    stream = Slow([*LOGIN, b"+OK\r\n", *[b"x"] * 10_000])
    maildrop = await open_maildrop(stream, make_settings(deadlines=deadlines), lock_step=False)
    stream.pause_s = 0.02
    taken, error = await collect(maildrop, listed(1000))

    assert taken == []
    assert isinstance(error, DeadlineExceeded)
    assert "message 1 did not arrive within 0.1 s" in str(error)


async def test_silence_that_uses_up_a_messages_time_names_that_limit(
    make_settings: MakeSettings,
) -> None:
    """Not the remainder that happened to be left for the last wait."""

    async def script(talk: Talk) -> None:
        await admit(talk)
        await talk.expect(b"RETR 1")
        await talk.send(b"+OK\r\nhalf a mess")
        await talk.wait_closed()

    deadlines = Deadlines(gap_s=10, message_s=0.0625, min_octets_per_s=16000)
    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(
            make_settings(server.port, deadlines=deadlines), lock_step=True
        )
        _, error = await collect(maildrop, listed(1000))
        await maildrop.drop()

    assert str(error).endswith(": message 1 did not arrive within 0.0625 s")


def test_a_messages_octets_add_whole_seconds_up_to_the_limit() -> None:
    """A deadline is shown to people."""
    deadlines = Deadlines()
    assert [deadlines.for_message(octets) for octets in (0, 1500, 2048, 50 << 20)] == [
        60,
        61,
        62,
        3600,
    ]


async def test_every_message_has_a_time_of_its_own(make_settings: MakeSettings) -> None:
    """Many that are slow together are not too slow."""
    deadlines = Deadlines(message_s=0.5, min_octets_per_s=1e6)
    stream = Slow([*LOGIN, *[reply(FIRST)] * 8])
    maildrop = await open_maildrop(stream, make_settings(deadlines=deadlines), lock_step=False)
    stream.pause_s = 0.1
    taken, error = await collect(maildrop, listed(*[3] * 8))

    assert (contents(taken), error) == ([FIRST] * 8, None)


async def test_a_slow_caller_does_not_use_up_a_messages_time(
    make_settings: MakeSettings,
) -> None:
    """Only waiting for the server counts."""
    deadlines = Deadlines(message_s=0.05, min_octets_per_s=1e6)
    stream = ReplayStream([*LOGIN, reply(FIRST) + b"+OK\r\na", b"\r\n.\r\n"])
    maildrop = await open_maildrop(stream, make_settings(deadlines=deadlines), lock_step=False)
    taken: list[Retrieval] = []
    async for burst in maildrop.retrieve(listed(3, 3), stopping=lambda: False):
        await asyncio.sleep(0.1)  # the caller delivers
        taken += burst

    assert contents(taken) == [FIRST, FIRST]


async def test_silence_within_a_message_exceeds_the_gap(make_settings: MakeSettings) -> None:
    """On a real connection, with the message before it given."""

    async def script(talk: Talk) -> None:
        await admit(talk, b"PIPELINING")
        await talk.expect(b"RETR 1", b"RETR 2")
        await talk.drip(reply(FIRST))
        await talk.send(b"+OK\r\nhalf a mess")
        await talk.wait_closed()

    deadlines = Deadlines(gap_s=0.1)
    async with ScriptedServer(script) as server:
        settings = make_settings(server.port, deadlines=deadlines)
        maildrop = await connect_maildrop(settings, lock_step=False)
        taken, error = await collect(maildrop, listed(3, 30))
        await maildrop.drop()

    assert contents(taken) == [FIRST]
    assert isinstance(error, DeadlineExceeded)
    assert str(error).endswith(": silent for 0.1 s")


async def test_a_long_window_over_a_real_connection(make_settings: MakeSettings) -> None:
    """A thousand messages, many at a time."""
    body = b".x\r\n" * 200

    async def script(talk: Talk) -> None:
        await admit(talk, b"PIPELINING")
        async for _ in _commands(talk):
            await talk.send(reply(body))

    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server.port), lock_step=False)
        taken, error = await collect(maildrop, listed(*[len(body)] * 1000))
        await maildrop.drop()

    assert error is None
    assert contents(taken) == [body] * 1000


async def _commands(talk: Talk) -> AsyncIterator[bytes]:
    while line := await talk.line():
        yield line
