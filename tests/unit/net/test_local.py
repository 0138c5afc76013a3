"""One line there, one line back, through a Unix socket; and clients that do otherwise."""

import asyncio
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from popsync.errors import ConnectFailed, DeadlineExceeded, PeerClosed
from popsync.net import local
from popsync.net.local import MAX_REQUEST_OCTETS, ask_local, is_trusted, serve_local

TIMEOUT_S = 10.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(request: bytes) -> bytes:
    """Give back what was asked."""
    return b"you said " + request


async def ask(path: Path, request: bytes = b"hello", *, timeout_s: float = TIMEOUT_S) -> bytes:
    """Ask from a thread, as another process would."""
    return await asyncio.to_thread(ask_local, path, request, timeout_s=timeout_s)


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Streams]:
    """Give a bare connection."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_a_line_is_answered_by_a_line(tmp_path: Path) -> None:
    """However long the answer is."""

    async def much(_request: bytes) -> bytes:
        return b"x" * 3_000_000

    async with serve_local(tmp_path / "s", echo):
        assert await ask(tmp_path / "s") == b"you said hello"
    async with serve_local(tmp_path / "s", much):
        assert len(await ask(tmp_path / "s")) == 3_000_000


async def test_the_socket_is_its_owners_alone_and_goes_away(tmp_path: Path) -> None:
    """Mode 0600 while it is there, and nothing afterwards."""
    path = tmp_path / "s"
    async with serve_local(path, echo):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """What a killed process left behind keeps nobody from starting."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(ConnectFailed):
        await ask(path)

    async with serve_local(path, echo):
        assert await ask(path) == b"you said hello"


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """Somebody's file is not ours to remove."""
    path = tmp_path / "s"
    path.write_text("mine")

    with pytest.raises(OSError, match="in use"):
        async with serve_local(path, echo):
            pass
    assert path.read_text() == "mine"


async def test_a_path_longer_than_an_address_works(tmp_path: Path) -> None:
    """An address has 108 octets, a state directory may be anywhere."""
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)

    async with serve_local(deep / "s", echo):
        assert await ask(deep / "s") == b"you said hello"
    assert list(deep.iterdir()) == []


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    """No socket, and no directory."""
    with pytest.raises(ConnectFailed, match="no such file"):
        await ask(tmp_path / "s")
    with pytest.raises(ConnectFailed, match="no such file"):
        await ask(tmp_path / "none" / "s")


async def test_a_silent_client_is_not_waited_for(tmp_path: Path) -> None:
    """It is cut after the deadline."""
    async with (
        serve_local(tmp_path / "s", echo, request_timeout_s=0.01),
        connected(tmp_path / "s") as (reader, _),
    ):
        assert await reader.read() == b""


@pytest.mark.parametrize("octets", [b"no end", b"x" * (3 * MAX_REQUEST_OCTETS) + b"\n"])
async def test_half_a_line_or_too_long_a_line_is_cut(tmp_path: Path, octets: bytes) -> None:
    """And the next client is served."""
    async with serve_local(tmp_path / "s", echo):
        async with connected(tmp_path / "s") as (reader, writer):
            writer.write(octets)
            if not octets.endswith(b"\n"):
                writer.write_eof()
            with suppress(ConnectionError):  # it is cut with octets of ours unread
                assert await reader.read() == b""
        assert await ask(tmp_path / "s") == b"you said hello"


async def test_others_are_served_while_one_stalls(tmp_path: Path) -> None:
    """A hundred silent clients stand in nobody's way, and the end does not wait for them."""
    async with serve_local(tmp_path / "s", echo):
        stalled = [await asyncio.open_unix_connection(tmp_path / "s") for _ in range(100)]
        assert await ask(tmp_path / "s") == b"you said hello"
        for _, writer in stalled:
            writer.close()


class ConnectedUser:
    """The server's end of a connection that some user made."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def getsockopt(self, _level: int, _option: int, _octets: int, /) -> bytes:
        """Give process, user and group, as the kernel does."""
        return struct.pack("3i", 1, self._uid, 1)


def test_only_root_and_the_own_user_are_trusted() -> None:
    """Whatever the socket's mode has become."""
    own = os.geteuid()

    assert [uid for uid in sorted({0, own, own + 1}) if is_trusted(ConnectedUser(uid))] == sorted(
        {0, own}
    )


async def test_a_stranger_gets_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is cut, and nothing is asked of the daemon."""
    asked: list[bytes] = []

    async def note(request: bytes) -> bytes:
        asked.append(request)
        return b""

    monkeypatch.setattr(local, "is_trusted", lambda _connected: False)
    async with serve_local(tmp_path / "s", note):
        with pytest.raises(PeerClosed):
            await ask(tmp_path / "s")
    assert asked == []


async def test_an_answer_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    """The client has a deadline of its own."""
    forever = asyncio.Event()

    async def never(_request: bytes) -> bytes:
        await forever.wait()
        return b""

    async with serve_local(tmp_path / "s", never):
        with pytest.raises(DeadlineExceeded, match="no answer"):
            await ask(tmp_path / "s", timeout_s=0.05)
        forever.set()


async def test_an_end_before_the_answer_is_said(tmp_path: Path) -> None:
    """Whoever waits for an answer learns that none will come."""
    begun = asyncio.Event()

    async def never(_request: bytes) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    async with serve_local(tmp_path / "s", never):
        asked = asyncio.create_task(ask(tmp_path / "s"))
        await begun.wait()
    with pytest.raises(PeerClosed):
        await asked
