import asyncio
from collections.abc import Sequence

import pytest

from popsync.errors import (
    DeadlineExceeded,
    MaildropError,
    PeerClosed,
    RemoteProtocolError,
    ServerUnavailable,
)
from popsync.maildrop.opening import open_maildrop
from popsync.maildrop.session import Pop3Maildrop
from popsync.maildrop.settings import Deadlines
from popsync.model import NAMELESS, ListedMessage, Listing, MessageNumber, UniqueId
from popsync.net.replay import ReplayStream
from tests.unit.maildrop.conftest import MakeSettings

LOGIN = [b"+OK\r\n", b"-ERR\r\n", b"+OK\r\n", b"+OK\r\n"]
PIPELINING = b"+OK\r\nPIPELINING\r\n.\r\n"
LISTED = [ListedMessage(MessageNumber(n), UniqueId(b"u%d" % n), 10 * n) for n in (1, 2, 3)]
STAT, LIST, UIDL = (
    b"+OK 3 60\r\n",
    b"+OK\r\n1 10\r\n2 20\r\n3 30\r\n.\r\n",
    (b"+OK\r\n1 u1\r\n2 u2\r\n3 u3\r\n.\r\n"),
)


async def open_replay(
    make_settings: MakeSettings,
    steps: Sequence[bytes | Exception],
    *,
    capa: bytes = PIPELINING,
    pipelining: str = "auto",
    lock_step: bool = False,
    deadlines: Deadlines | None = None,
) -> tuple[Pop3Maildrop, ReplayStream]:
    """Log in to a replayed server; give the session and the stream, with its writes forgotten."""
    stream = ReplayStream([*LOGIN, capa, *steps])
    settings = make_settings(pipelining=pipelining, deadlines=deadlines or Deadlines())
    maildrop = await open_maildrop(stream, settings, lock_step=lock_step)
    stream.writes.clear()
    return maildrop, stream


async def test_pipelined_stat_list_and_uidl_are_one_flight(make_settings: MakeSettings) -> None:
    """One write, whatever the number of messages (P8)."""
    maildrop, stream = await open_replay(make_settings, [STAT + LIST + UIDL])

    assert await maildrop.list() == Listing(tuple(LISTED), complete=True)
    assert stream.writes == [b"STAT\r\nLIST\r\nUIDL\r\n"]


@pytest.mark.parametrize(
    ("capa", "pipelining", "lock_step"),
    [(b"-ERR\r\n", "auto", False), (PIPELINING, "off", False), (PIPELINING, "on", True)],
)
async def test_otherwise_they_go_one_after_the_other(
    make_settings: MakeSettings, capa: bytes, pipelining: str, *, lock_step: bool
) -> None:
    """Not offered, switched off, or not to be trusted."""
    maildrop, stream = await open_replay(
        make_settings, [STAT, LIST, UIDL], capa=capa, pipelining=pipelining, lock_step=lock_step
    )

    assert (await maildrop.list()).complete
    assert stream.writes == [b"STAT\r\n", b"LIST\r\n", b"UIDL\r\n"]


async def test_pipelining_may_be_forced(make_settings: MakeSettings) -> None:
    """Some servers can without saying so."""
    maildrop, stream = await open_replay(
        make_settings, [STAT + LIST + UIDL], capa=b"-ERR\r\n", pipelining="on"
    )

    assert (await maildrop.list()).complete
    assert len(stream.writes) == 1


@pytest.mark.parametrize(
    "stat", [b"-ERR\r\n", b"+OK\r\n", b"+OK many\r\n", b"+OK -3 60\r\n", b"+OK 4 60\r\n"]
)
async def test_a_stat_that_is_refused_or_garbled_makes_the_listing_incomplete(
    make_settings: MakeSettings, stat: bytes
) -> None:
    """The messages are listed all the same."""
    maildrop, _ = await open_replay(make_settings, [stat + LIST + UIDL])
    assert await maildrop.list() == Listing(tuple(LISTED), complete=False)


async def test_a_refused_list_leaves_sizes_unknown(make_settings: MakeSettings) -> None:
    """UIDL is enough to go on."""
    maildrop, _ = await open_replay(make_settings, [STAT + b"-ERR\r\n" + UIDL])
    unsized = tuple(listed._replace(octets=0) for listed in LISTED)
    assert await maildrop.list() == Listing(unsized, complete=False)


async def test_a_refused_uidl_means_no_unique_ids(make_settings: MakeSettings) -> None:
    """Whatever CAPA said; the server's words are kept for whoever cannot do without."""
    capa = b"+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n"
    maildrop, _ = await open_replay(make_settings, [STAT + LIST + b"-ERR what\r\n"], capa=capa)
    listing = await maildrop.list()

    assert {listed.unique_id for listed in listing.messages} == {NAMELESS}
    assert "UIDL was refused: what" in str(listing.without_uidl)


async def test_a_uidl_refused_for_now_is_temporary(make_settings: MakeSettings) -> None:
    """A response code says more than its absence."""
    maildrop, _ = await open_replay(make_settings, [STAT + LIST + b"-ERR [SYS/TEMP] x\r\n"])
    with pytest.raises(ServerUnavailable):
        await maildrop.list()


async def test_a_uidl_refused_because_nothing_is_there_is_an_empty_listing(
    make_settings: MakeSettings,
) -> None:
    """Some servers do that; nothing is concluded from it."""
    maildrop, _ = await open_replay(make_settings, [b"+OK 0 0\r\n" + b"-ERR\r\n" * 2])
    assert await maildrop.list() == Listing((), complete=False)


@pytest.mark.parametrize("cut", range(0, len(STAT + LIST + UIDL) - 1, 3))
async def test_a_listing_that_is_cut_off_is_none(make_settings: MakeSettings, cut: int) -> None:
    """Only the terminator ends it, wherever the connection was lost."""
    maildrop, _ = await open_replay(make_settings, [(STAT + LIST + UIDL)[: cut + 1]])
    with pytest.raises(PeerClosed):
        await maildrop.list()


async def test_a_listing_that_drips_has_a_deadline_in_all(make_settings: MakeSettings) -> None:
    """Short gaps do not add up to for ever."""
    loop = asyncio.get_running_loop()

    class Dripping(ReplayStream):
        async def read(self, *, timeout_s: float) -> bytes:
            await asyncio.sleep(0.02)
            return await super().read(timeout_s=timeout_s)

    stream = Dripping([*LOGIN, PIPELINING, STAT, b"+OK\r\n", *[b"1 10\r\n"] * 10_000])
    settings = make_settings(deadlines=Deadlines(max_message_s=0.2))
    maildrop = await open_maildrop(stream, settings, lock_step=False)
    began_at = loop.time()
    with pytest.raises(DeadlineExceeded, match="no whole reply within"):
        await maildrop.list()
    assert loop.time() - began_at < 5


@pytest.mark.parametrize("lock_step", [True, False])
@pytest.mark.parametrize(
    ("stat", "within_s"),
    [
        (b"+OK 0 0\r\n", 60),
        (b"+OK 3 60\r\n", 60),
        (b"+OK 13 60\r\n", 61),
        (b"+OK 128000 60\r\n", 3600),
        (b"-ERR\r\n", 841),
    ],
)
async def test_a_listing_has_the_time_that_its_announced_rows_may_take(
    make_settings: MakeSettings, stat: bytes, within_s: int, *, lock_step: bool
) -> None:
    """Never more than the largest message; a quarter of an hour where nothing was announced."""
    silent = DeadlineExceeded("replay:110: silent")
    steps: list[bytes | Exception] = [stat, b"+OK\r\n1 10\r\n", silent]
    maildrop, _ = await open_replay(
        make_settings, steps, lock_step=lock_step, deadlines=Deadlines(gap_s=10_000)
    )
    with pytest.raises(DeadlineExceeded, match=f"no whole reply within {within_s} s"):
        await maildrop.list()


async def test_deletions_are_one_flight_and_refused_ones_are_not_given(
    make_settings: MakeSettings,
) -> None:
    """A refused DELE costs only itself."""
    maildrop, stream = await open_replay(make_settings, [b"+OK\r\n-ERR no\r\n", b"+OK\r\n"])

    assert await maildrop.delete(LISTED) == [LISTED[0], LISTED[2]]
    assert stream.writes == [b"DELE 1\r\nDELE 2\r\nDELE 3\r\n"]
    assert maildrop.deletion_refusal == "no"


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ([b"+OK\r\n"] * 3, ""),
        ([b"-ERR first\r\n", b"-ERR [SYS/TEMP] \x1b[2J\r\n", b"+OK\r\n"], "[SYS/TEMP] \\x1b[2J"),
        ([b"+OK\r\n", b"+OK\r\n", b"-ERR\r\n"], "no reason given"),
        ([b"-ERR hunter2 Secret\r\n", b"+OK\r\n", b"+OK\r\n"], "***"),
    ],
)
async def test_the_words_of_the_last_refused_deletion_are_kept(
    make_settings: MakeSettings, replies: Sequence[bytes], words: str
) -> None:
    """Fit to be shown, without secrets (P7)."""
    maildrop, _ = await open_replay(make_settings, replies, lock_step=True)
    assert maildrop.deletion_refusal == ""
    await maildrop.delete(LISTED)

    assert maildrop.deletion_refusal == words


async def test_deletions_in_lock_step_wait_for_each_other(make_settings: MakeSettings) -> None:
    """One command at a time."""
    maildrop, stream = await open_replay(make_settings, [b"+OK\r\n"] * 3, lock_step=True)

    assert await maildrop.delete(LISTED) == LISTED
    assert stream.writes == [b"DELE 1\r\n", b"DELE 2\r\n", b"DELE 3\r\n"]


async def test_an_answer_too_many_stops_the_next_command(make_settings: MakeSettings) -> None:
    """No reply is taken for another command's."""
    maildrop, stream = await open_replay(
        make_settings, [b"+OK\r\n+OK forged\r\n", b"+OK\r\n"], lock_step=True
    )
    with pytest.raises(RemoteProtocolError, match="no command asked for"):
        await maildrop.delete(LISTED)
    assert stream.writes == [b"DELE 1\r\n"]


async def test_octets_not_yet_read_stop_the_next_command_as_well(
    make_settings: MakeSettings,
) -> None:
    """It does not matter how far they came."""

    class Waiting(ReplayStream):
        unread_octets = 0

        @property
        def unread(self) -> int:
            return self.unread_octets

    stream = Waiting([*LOGIN, PIPELINING, b"+OK\r\n"])
    maildrop = await open_maildrop(stream, make_settings(), lock_step=False)
    stream.unread_octets = 5
    with pytest.raises(RemoteProtocolError, match="no command asked for"):
        await maildrop.quit()
    assert b"QUIT" not in stream.written


async def test_quit_is_asked_for_and_closes(make_settings: MakeSettings) -> None:
    """Dropping it afterwards does nothing more."""
    maildrop, stream = await open_replay(make_settings, [b"+OK bye\r\n"])
    await maildrop.quit()
    await maildrop.drop()

    assert (stream.written, stream.closed) == (b"QUIT\r\n", True)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(b"-ERR some not removed\r\n", MaildropError), (b"", PeerClosed)],
)
async def test_a_quit_that_fails_says_so_and_closes(
    make_settings: MakeSettings, answer: bytes, kind: type[Exception]
) -> None:
    """What it means is not for the session to say (P3)."""
    maildrop, stream = await open_replay(make_settings, [answer] if answer else [])
    with pytest.raises(kind):
        await maildrop.quit()
    assert stream.closed


async def test_dropping_says_nothing(make_settings: MakeSettings) -> None:
    """The server must not take it for QUIT."""
    maildrop, stream = await open_replay(make_settings, [])
    await maildrop.drop()

    assert (stream.written, stream.closed) == (b"", True)
