import asyncio
import os
import tracemalloc
from contextlib import aclosing
from pathlib import Path
from time import process_time

import pytest

from popsync.errors import (
    DeadlineExceeded,
    PeerClosed,
    ScratchUnavailable,
    ServerRefused,
    ServerUnavailable,
)
from popsync.maildrop.opening import connect_maildrop
from popsync.maildrop.session import Pop3Maildrop
from popsync.model import RefusedMessage
from popsync.storage.content import Scratch
from tests.doubles.pop3_script import ScriptedServer, Talk
from tests.unit.maildrop.sessions import (
    HASTY_S,
    begin,
    body,
    collect,
    hasty,
    listed,
    listed_all,
    make_settings,
    never,
    retrieve,
    serve_login,
)

MIB = 1 << 20


async def delete_all(maildrop: Pop3Maildrop) -> None:
    """Empty the maildrop and part."""
    listing = await maildrop.list()
    await maildrop.delete(listing.messages)
    await maildrop.quit()


def open_files() -> int:
    """Give the number of this process's descriptors."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked


async def test_a_hundred_thousand_rows_are_listed_fast() -> None:
    """Work grows with the rows, and only with them."""
    rows = range(1, 100_001)
    sizes = b"".join(b"%d %d\r\n" % (n, 1000 + n) for n in rows)
    names = b"".join(b"%d %032x\r\n" % (n, n) for n in rows)
    wire = b"+OK 100000 1\r\n+OK\r\n" + sizes + b".\r\n+OK\r\n" + names + b".\r\n"
    pieces = [wire[at : at + 65_536] for at in range(0, len(wire), 65_536)]
    maildrop, _ = await begin(*pieces, pipelining=True)

    began_at = process_time()
    listing = await maildrop.list()
    assert process_time() - began_at < 5

    assert listing.complete
    assert len(listing.messages) == 100_000
    assert listing.messages[-1] == listed(100_000, 101_000, b"%032x" % 100_000)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_memory_stays_flat_whatever_a_message_weighs(
    tmp_path: Path, *, pipelining: bool
) -> None:
    """What has arrived is in a file without a name, not in memory (P8)."""
    piece = b"x" * 65_534 + b"\r\n"
    steps = [b"+OK\r\n", *[piece] * 1024, b".\r\n"]
    maildrop, _ = await begin(
        *steps, pipelining=pipelining, scratch=Scratch(tmp_path, memory_octets=MIB)
    )
    before = open_files()
    tracemalloc.start()
    try:
        wanted = [listed(1, 64 * MIB)]
        async with aclosing(maildrop.retrieve(wanted, stopping=never)) as bursts:
            async for (retrieval,) in bursts:
                assert not isinstance(retrieval, RefusedMessage)
                assert retrieval.content.octets == 64 * MIB
                retrieval.content.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 * MIB
    assert open_files() == before


@pytest.mark.parametrize("end", [PeerClosed("cut"), OSError(28, "No space left on device")])
async def test_a_message_that_breaks_off_leaves_no_file_open(
    tmp_path: Path, end: Exception
) -> None:
    """Whatever ended it."""
    steps: list[bytes | Exception] = [b"+OK\r\n" + b"x" * 2000, b"x" * 2000, end]
    maildrop, _ = await begin(*steps, scratch=Scratch(tmp_path, memory_octets=1000))
    before = open_files()
    with pytest.raises(OSError, match=r"cut|No space"):
        await retrieve(maildrop, [listed(1, 10_000)])

    assert open_files() == before


async def test_a_full_disk_after_a_refusal_in_the_same_burst_is_told(tmp_path: Path) -> None:
    """A refused message has nothing to close."""
    large = b"x" * 5000 + b"\r\n"
    scratch = Scratch(tmp_path / "missing", memory_octets=100)
    wire = b"-ERR no\r\n" + body(large)
    maildrop, _ = await begin(wire, pipelining=True, scratch=scratch)
    with pytest.raises(ScratchUnavailable):
        await retrieve(maildrop, [listed(1, 10), listed(2, len(large))])


async def test_the_server_never_sees_more_than_the_window() -> None:
    """On a real connection: four at once, and two more when half of them have come."""
    messages = [b"%d\r\n" % number for number in range(10, 18)]

    async def script(talk: Talk) -> None:
        await serve_login(talk, pipelining=True)
        await talk.expect(*(b"RETR %d" % n for n in (1, 2, 3, 4)))
        for first in (1, 3):
            await talk.send(body(messages[first - 1]) + body(messages[first]))
            await talk.expect(b"RETR %d" % (first + 4), b"RETR %d" % (first + 5))
        await talk.send(*map(body, messages[4:]))
        await talk.exchange((b"QUIT", b"+OK\r\n"))

    async with ScriptedServer(script) as server:
        settings = make_settings(server, window_messages=4)
        maildrop = await connect_maildrop(settings, lock_step=False)
        given = await retrieve(maildrop, listed_all(messages))
        await maildrop.quit()

    assert [octets for _, octets, _ in given] == messages


async def test_in_lock_step_no_command_goes_out_while_octets_wait() -> None:
    """A forged reply behind an unstuffed message, in one segment with it."""
    forged = b"+OK\r\ncut\r\n.\r\n+OK\r\nforged\r\n.\r\n"

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        await talk.expect(b"RETR 1")
        await talk.send(forged)
        await talk.expect_close()

    given: list[tuple[int, bytes, str]] = []
    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        with pytest.raises(Exception, match="octets follow message 1 unasked"):
            await collect(maildrop, [listed(1, 21), listed(2, 8)], given)
        await maildrop.drop()

    assert given == [(1, b"cut\r\n", "octets followed its end that no command asked for")]


async def test_a_forged_reply_in_a_later_segment_meets_a_question_it_cannot_answer() -> None:
    """What comes in place of the unique-id ends the session before the next RETR."""

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        await talk.expect(b"RETR 1")
        await talk.send(b"+OK\r\ncut\r\n.\r\n")
        await talk.expect(b"UIDL 1")
        await talk.send(b"+OK\r\nforged\r\n.\r\n", b"+OK 1 u1\r\n")
        await talk.expect_close()

    given: list[tuple[int, bytes, str]] = []
    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        with pytest.raises(Exception, match="does not answer UIDL 1 as it should"):
            await collect(maildrop, [listed(1, 21), listed(2, 8)], given)
        await maildrop.drop()

    assert given == [(1, b"cut\r\n", "LIST said 21 octets, 5 came")]


async def test_leaving_in_the_middle_closes_without_quit() -> None:
    """Replies are still due, so nothing could be asked."""

    async def script(talk: Talk) -> None:
        await serve_login(talk, pipelining=True)
        await talk.expect(b"RETR 1", b"RETR 2")
        await talk.send(body(b"one\r\n"))
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        async with aclosing(
            maildrop.retrieve([listed(1, 5), listed(2, 5)], stopping=never)
        ) as bursts:
            async for (retrieval,) in bursts:
                assert not isinstance(retrieval, RefusedMessage)
                retrieval.content.close()
                break
        await maildrop.quit()
        await maildrop.drop()


@pytest.mark.parametrize("hangs_at", [b"STAT", b"LIST", b"UIDL", b"DELE 1", b"QUIT"])
async def test_silence_at_any_command_exceeds_its_deadline(hangs_at: bytes) -> None:
    """No command waits for ever."""
    replies = {
        b"STAT": b"+OK 1 5\r\n",
        b"LIST": b"+OK\r\n1 5\r\n.\r\n",
        b"UIDL": b"+OK\r\n1 u1\r\n.\r\n",
        b"DELE 1": b"+OK\r\n",
        b"QUIT": b"+OK\r\n",
    }

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        while (line := (await talk.line()).removesuffix(b"\r\n")) != hangs_at:
            await talk.send(replies[line])
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        deadlines = hasty(reply_s=HASTY_S, gap_s=HASTY_S)
        maildrop = await connect_maildrop(
            make_settings(server, deadlines=deadlines), lock_step=False
        )
        with pytest.raises(DeadlineExceeded):
            await delete_all(maildrop)
        await maildrop.drop()


async def test_cancelling_a_retrieval_is_possible_at_any_wait() -> None:
    """And the connection is closed by whoever cancelled."""
    waiting = asyncio.Event()

    async def script(talk: Talk) -> None:
        await serve_login(talk)
        await talk.expect(b"RETR 1")
        await talk.send(b"+OK\r\nhalf")
        waiting.set()
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        maildrop = await connect_maildrop(make_settings(server), lock_step=False)
        task = asyncio.create_task(retrieve(maildrop, [listed(1, 100)]))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await maildrop.drop()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (b"-ERR [SYS/PERM] out of order\r\n", ServerRefused),
        (b"-ERR server busy, try again later\r\n", ServerUnavailable),
    ],
)
async def test_a_uidl_that_is_refused_for_now_in_words_does_not_suspend(
    refusal: bytes, kind: type[Exception]
) -> None:
    """Only what says so is beyond waiting for."""
    maildrop, _ = await begin(b"+OK 1 5\r\n", b"+OK\r\n1 5\r\n.\r\n", refusal)
    with pytest.raises(kind, match="UIDL was refused"):
        await maildrop.list()
