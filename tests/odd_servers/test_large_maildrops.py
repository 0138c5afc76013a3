"""Memory does not grow with a line, a message or a listing (P8): popsync as a process."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.doubles.pop3_script import ScriptedServer, Talk
from tests.soak.gauge import MIB, measure
from tests.system.commands import write_config

MB = 1000**2
PIECE = b"x" * MIB
MANY = 200_000


def _run(*options: str | Path) -> tuple[int, int]:
    """Run popsync to its end; give its exit status and its largest memory in octets."""
    run = measure([sys.executable, "-m", "popsync", *map(str, options)])
    return run.status, run.most_octets


async def _next_line(talk: Talk) -> bytes:
    """Wait as long as it takes: a loaded machine needs its time for so many rows."""
    while True:
        with suppress(TimeoutError):
            return await talk.line()


async def _poll(
    answer: Callable[[Talk, bytes], Awaitable[None]], directory: Path, *, times: int = 1
) -> list[tuple[int, int]]:
    """Poll a server that answers so from STAT on."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK ready\r\n")
        usual = {b"CAPA\r\n": b"+OK\r\nUIDL\r\nUSER\r\n.\r\n", b"QUIT\r\n": b"+OK bye\r\n"}
        while line := await _next_line(talk):
            if line in usual or line[:4] in {b"USER", b"PASS"}:
                await talk.send(usual.get(line, b"+OK\r\n"))
            else:
                await answer(talk, line.strip())

    async with ScriptedServer(script) as served:
        config = write_config(
            directory / "popsync.toml",
            f'state_dir = "state"\n[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'
            f'[account.jane]\nhost = "127.0.0.1"\nport = {served.port}\ntls = "none"\n'
            f'user = "jane"\npassword = "x"\nmode = "keep"\nmax_size = "200MB"\n'
            + ('first_run = "adopt"\n' if times > 1 else ""),
        )
        return [await asyncio.to_thread(_run, "-c", config, "once") for _ in range(times)]


@pytest.mark.parametrize("mebibytes", [1, 100])
async def test_a_line_of_any_length_streams_through(mebibytes: int, tmp_path: Path) -> None:
    """What arrived is on disk, whole, and memory has not grown with it."""
    head = b"Subject: long\r\n\r\n"
    size = len(head) + mebibytes * MIB + 2

    async def answer(talk: Talk, line: bytes) -> None:
        if line.startswith(b"RETR"):
            await talk.send(b"+OK\r\n" + head)
            for _ in range(mebibytes):
                await talk.send(PIECE)
            await talk.send(b"\r\n.\r\n")
            return
        listing = {b"LIST": b"1 %d" % size, b"UIDL": b"1 uid-long"}.get(line)
        await talk.send(b"+OK 1 %d\r\n" % size if listing is None else _listing(listing))

    [(status, octets)] = await _poll(answer, tmp_path)

    assert status == 0
    [file] = (tmp_path / "Mail" / "new").iterdir()
    assert file.stat().st_size > mebibytes * MIB
    assert octets < 100 * MIB


def _listing(*rows: bytes) -> bytes:
    return b"+OK\r\n" + b"".join(row + b"\r\n" for row in rows) + b".\r\n"


async def test_two_hundred_thousand_messages_are_listed_within_two_hundred_megabytes(
    tmp_path: Path,
) -> None:
    """At the first poll, which takes all as seen; to know them all takes half as much again."""
    sizes = _listing(*(b"%d 1000" % n for n in range(1, MANY + 1)))
    names = _listing(*(b"%d %032d" % (n, n) for n in range(1, MANY + 1)))

    async def answer(talk: Talk, line: bytes) -> None:
        told = {b"LIST": sizes, b"UIDL": names}
        await talk.send(told.get(line, b"+OK %d %d\r\n" % (MANY, 1000 * MANY)))

    first, second = await _poll(answer, tmp_path, times=2)

    assert (first[0], second[0]) == (0, 0)
    assert first[1] < 200 * MB
    assert second[1] < 300 * MB
