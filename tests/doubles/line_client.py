"""A client that says what a test tells it, octet by octet; it shares no code with the servers."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TIMEOUT_S = 10.0


class LineClient:
    """One connection to a server of lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._writer.write(octets)
        await self._writer.drain()

    async def line(self) -> bytes:
        """Give the next line without its CRLF; ``b""`` once the server has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            return (await self._reader.readline()).removesuffix(b"\r\n")

    async def ask(self, line: bytes) -> bytes:
        """Send a line, give the reply's first line."""
        await self.send(line + b"\r\n")
        return await self.line()

    async def reply(self) -> bytes:
        """Give an SMTP reply's last line."""
        while (line := await self.line())[3:4] == b"-":
            pass
        return line

    async def smtp(self, line: bytes) -> bytes:
        """Send an SMTP command, give the last line of its reply."""
        await self.send(line + b"\r\n")
        return await self.reply()

    async def text(self) -> bytes:
        """Give what follows up to the line with only a dot, dots unstuffed."""
        lines = []
        async with asyncio.timeout(TIMEOUT_S):
            while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
                lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    async def rows(self, line: bytes) -> list[bytes]:
        """Send a command that is answered with ``+OK`` and rows; give the rows."""
        assert (await self.ask(line)).startswith(b"+OK")
        return (await self.text()).split(b"\r\n")[:-1]

    async def rest(self) -> bytes:
        """Give all that still comes until the server closes."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._reader.read()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Begin TLS."""
        await self._writer.start_tls(context, server_hostname="localhost")

    async def close(self) -> None:
        """Part without a word."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


@asynccontextmanager
async def line_client(address: tuple[str, int], greeting: bytes) -> AsyncIterator[LineClient]:
    """Connect, and demand a greeting that begins with ``greeting``."""
    reader, writer = await asyncio.open_connection(*address, limit=1 << 22)
    client = LineClient(reader, writer)
    try:
        assert (await client.line()).startswith(greeting)
        yield client
    finally:
        await client.close()
