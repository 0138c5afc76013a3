"""A server on a real loopback socket that says what its script says, well-behaved or not.

Built on asyncio's streams, so it shares no code with what it tests. Its name comes from POP3; it
serves any protocol of lines.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

EXPECT_TIMEOUT_S = 10.0
DRIP_PAUSE_S = 0.005


class Talk:
    """One accepted connection, as its script sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.received = b""
        """All that the client has sent, as far as it was asked for."""

    async def send(self, *pieces: bytes) -> None:
        """Send each piece with a write of its own."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0)

    async def drip(self, octets: bytes) -> None:
        """Send octet by octet."""
        await self.send(*(octets[i : i + 1] for i in range(len(octets))))

    async def drip_until_closed(self, octet: bytes) -> None:
        """Send the same octet again and again, with a short pause each time."""
        while not self._writer.transport.is_closing():
            self._writer.write(octet)
            await asyncio.sleep(DRIP_PAUSE_S)

    async def octets(self, count: int) -> bytes:
        """Wait for so many octets that are not lines."""
        async with asyncio.timeout(EXPECT_TIMEOUT_S):
            octets = await self._reader.readexactly(count)
        self.received += octets
        return octets

    async def line(self) -> bytes:
        """Give the client's next line with its CRLF; ``b""`` once it has closed."""
        async with asyncio.timeout(EXPECT_TIMEOUT_S):
            line = await self._reader.readline()
        self.received += line
        return line

    async def expect(self, *lines: bytes) -> None:
        """Demand exactly these lines next, given here without CRLF."""
        for wanted in lines:
            line = await self.line()
            assert line == wanted + b"\r\n", f"expected {wanted!r}, got {line!r}"

    async def exchange(self, *steps: tuple[bytes, bytes]) -> None:
        """For each ``(line, answer)``: demand the line, send the answer."""
        for wanted, answer in steps:
            await self.expect(wanted)
            await self.send(answer)

    async def expect_close(self) -> None:
        """Demand that the client parts without another word."""
        rest = await self._read_to_end()
        assert rest == b"", f"expected the end, got {rest!r}"

    async def wait_closed(self) -> None:
        """Wait until the client parts, whatever it still says."""
        await self._read_to_end()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Begin TLS as its server side."""
        await self._writer.start_tls(context)

    async def close(self) -> None:
        """Close in good order, with close_notify under TLS."""
        self._writer.close()

    def cut(self) -> None:
        """Close the socket under TLS without close_notify: a plain end of file for the client."""
        session = self._writer.transport
        raw = getattr(session, "_ssl_protocol", None)
        (raw._transport if raw is not None else session).close()

    def send_past_tls(self, octets: bytes) -> None:
        """Write octets below TLS, as a broken peer or somebody on the way would."""
        self._writer.transport._ssl_protocol._transport.write(octets)  # type: ignore[attr-defined]

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SOL_SOCKET, SO_LINGER: on, 0 s
        self._writer.transport.abort()

    async def _read_to_end(self) -> bytes:
        try:
            async with asyncio.timeout(EXPECT_TIMEOUT_S):
                rest = await self._reader.read(-1)
        except OSError:
            rest = b""
        self.received += rest
        return rest

    async def dismiss(self) -> None:
        """Give the connection back, however the script ended."""
        self._writer.transport.abort()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


Script = Callable[[Talk], Awaitable[None]]


class ScriptedServer:
    """Runs ``script`` for every connection; ``async with`` gives it with its ``port``.

    tls: begin TLS at once with this context. A script's failed expectation is raised when the
    ``async with`` block ends.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self.port = 0
        self.talks: list[Talk] = []

    async def __aenter__(self) -> Self:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the scripts and raise what they found wrong."""
        assert self._server is not None
        self._server.close()
        if error is not None:
            for task in self._running:
                task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if error is None and self._failures:
            raise self._failures[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        talk = Talk(reader, writer)
        self.talks.append(talk)
        try:
            await self._script(talk)
        except Exception as failure:  # noqa: BLE001 — raised again where the test can see it
            self._failures.append(failure)
        finally:
            await talk.dismiss()
            self._running.discard(task)


async def admit(talk: Talk, *capabilities: bytes, user: bytes = b"jane") -> None:
    """Greet, tell capabilities, take any password by USER and PASS, tell them again.

    Of pipelining it tells only then, so that this CAPA comes alone.
    """
    capa = b"+OK\r\n" + b"".join(tag + b"\r\n" for tag in capabilities) + b".\r\n"
    early = capa.replace(b"PIPELINING\r\n", b"")
    await talk.send(b"+OK ready\r\n")
    await talk.exchange((b"CAPA", early), (b"USER " + user, b"+OK\r\n"))
    await talk.line()
    await talk.send(b"+OK\r\n")
    await talk.exchange((b"CAPA", capa))
