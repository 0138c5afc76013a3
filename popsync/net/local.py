"""A Unix socket through which processes of one user ask one another: a line there, a line back."""

import asyncio
import os
import socket
import stat
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from popsync.errors import ConnectFailed, DeadlineExceeded, PeerClosed, RemoteProtocolError

MAX_REQUEST_OCTETS = 64 * 1024
MAX_ANSWER_OCTETS = 64 * 1024 * 1024
REQUEST_TIMEOUT_S = 5.0
"""A client that has not said by then what it wants is not waited for."""
ANSWER_TIMEOUT_S = 30.0
"""So long may a client take to read its answer."""
_LAST_ANSWERS_S = 1.0
"""So long the end waits for answers that are nearly given."""
_CREDENTIALS = struct.Struct("3i")
_CHUNK_OCTETS = 256 * 1024

Answer = Callable[[bytes], Awaitable[bytes]]


class _Connected(Protocol):
    def getsockopt(self, level: int, option: int, octets: int, /) -> bytes: ...


@asynccontextmanager
async def serve_local(
    path: Path, answer: Answer, *, request_timeout_s: float = REQUEST_TIMEOUT_S
) -> AsyncIterator[None]:
    """Answer one request per connection at the socket ``path``, as long as the block lasts.

    answer: is given one line without its end, and gives one; it must not raise.
    Only root and the own user get an answer. A socket that is already there is replaced: the
    caller knows that nobody lives behind it. The socket is removed at the end. A client that is
    silent, says too much, or does not read costs nothing but its own connection (P5). Raises
    OSError.
    """
    with _bound(path) as listening:
        calls: set[asyncio.Task[None]] = set()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            call = asyncio.create_task(_serve(reader, writer, answer, request_timeout_s))
            calls.add(call)
            call.add_done_callback(calls.discard)

        server = await asyncio.start_unix_server(begin, sock=listening, limit=MAX_REQUEST_OCTETS)
        try:
            yield
        finally:
            server.close()
            await _end(calls)


def ask_local(path: Path, request: bytes, *, timeout_s: float | None) -> bytes:
    """Send one line to the socket at ``path`` and give the line that comes back; blocking.

    timeout_s: for the whole of it; None waits as long as it takes.
    Raises ConnectFailed when nobody listens there, DeadlineExceeded, PeerClosed when the other
    side went away without a whole answer, RemoteProtocolError when the answer has no end.
    """
    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(timeout_s)
        try:
            with _reachable(path) as address:
                asking.connect(address)
        except OSError as error:
            raise ConnectFailed(f"{path}: {(error.strerror or str(error)).lower()}") from error
        try:
            asking.sendall(request + b"\n")
            return _read_line(asking, path, ends_at)
        except TimeoutError as error:
            raise DeadlineExceeded(f"{path}: no answer in {timeout_s:.0f} s") from error
        except OSError as error:
            raise PeerClosed(f"{path}: the connection broke before the answer") from error


def _read_line(asking: socket.socket, path: Path, ends_at: float | None) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        if ends_at is not None:
            asking.settimeout(max(0.001, ends_at - time.monotonic()))
        chunk = asking.recv(_CHUNK_OCTETS)
        if not chunk:
            raise PeerClosed(f"{path}: closed before the answer")
        answer += chunk
        if len(answer) > MAX_ANSWER_OCTETS:
            raise RemoteProtocolError(f"{path}: an answer without end")
    return bytes(answer[:-1])


async def _serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    answer: Answer,
    request_timeout_s: float,
) -> None:
    """Serve one connection; whatever the client does ends here."""
    try:
        if not is_trusted(writer.get_extra_info("socket")):
            return
        async with asyncio.timeout(request_timeout_s):
            request = await reader.readuntil(b"\n")
        writer.write(await answer(request[:-1]) + b"\n")
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.transport.abort()


async def _end(calls: set[asyncio.Task[None]]) -> None:
    """Let answers that are about to be given be given, and cut the others."""
    if calls:
        await asyncio.wait(calls, timeout=_LAST_ANSWERS_S)
    for call in calls:
        call.cancel()
    if calls:
        await asyncio.wait(calls)


def is_trusted(connected: _Connected) -> bool:
    """Say whether who connected runs as root or as we do, where the system can tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # then the socket's mode alone decides
    octets = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _process, user, _group = _CREDENTIALS.unpack(octets)
    return user in (0, os.geteuid())


@contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    """Give a socket bound to ``path``, for its owner alone, and take it away afterwards."""
    _remove(path)
    unbound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with unbound as listening, _reachable(path) as address:
        listening.setblocking(False)
        listening.bind(address)
        try:
            path.chmod(0o600)  # nobody can connect before it listens
            yield listening
        finally:
            with suppress(OSError):
                _remove(path)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """Give a name for ``path`` that is short enough for any socket's address (unix(7)).

    An address has 108 octets; through a descriptor of its directory every path fits.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = Path(f"/proc/self/fd/{directory}")
        yield str(short / path.name if short.exists() else path)
    finally:
        os.close(directory)
