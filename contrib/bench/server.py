"""A POP3 server that costs next to nothing, as near or as far as it is told to be.

Usage: python server.py ACCOUNTS MESSAGES OCTETS RTT_MS
It prints its port and serves until its standard input ends. Every session finds all messages.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence

from corpus import message, user

from tests.doubles.slow_link import SlowLink

CAPABILITIES = b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\nRESP-CODES\r\n.\r\n"
OK = b"+OK\r\n"


class Maildrop:
    """One account's messages, in the form in which they are sent."""

    def __init__(self, account: int, messages: int, octets: int) -> None:
        contents = [message(account, number, octets) for number in range(1, messages + 1)]
        self._sizes = [b"%d" % len(content) for content in contents]
        self._names = [b"bench-%d-%d" % (account, number) for number in range(1, messages + 1)]
        self._replies = [
            b"+OK\r\n" + content.replace(b"\r\n.", b"\r\n..") + b".\r\n" for content in contents
        ]
        self.total = b"+OK %d %d\r\n" % (messages, sum(map(len, contents)))

    def sizes(self, number: bytes) -> bytes:
        """Answer LIST."""
        return _rows(self._sizes, number)

    def names(self, number: bytes) -> bytes:
        """Answer UIDL."""
        return _rows(self._names, number)

    def retrieve(self, number: bytes) -> bytes:
        """Answer RETR."""
        return self._replies[int(number) - 1]

    def top(self, argument: bytes) -> bytes:
        """Answer TOP: the header, and so many lines of the body."""
        number, lines = map(int, argument.split())
        head, _, rest = self._replies[number - 1].partition(b"\r\n\r\n")
        body = rest.removesuffix(b".\r\n").splitlines(keepends=True)[:lines]
        return head + b"\r\n\r\n" + b"".join(body) + b".\r\n"


def _rows(values: Sequence[bytes], number: bytes) -> bytes:
    if number:
        return b"+OK %s %s\r\n" % (number, values[int(number) - 1])
    rows = b"".join(b"%d %s\r\n" % row for row in enumerate(values, 1))
    return OK + rows + b".\r\n"


class Session(asyncio.Protocol):
    """One connection; what came together is answered together."""

    def __init__(self, maildrops: dict[bytes, Maildrop]) -> None:
        self._maildrops = maildrops
        self._answers: dict[bytes, Callable[[bytes], bytes]] = {
            b"CAPA": lambda _: CAPABILITIES,
            b"USER": self._choose,
            **dict.fromkeys((b"PASS", b"NOOP", b"RSET", b"DELE", b"QUIT"), lambda _: OK),
        }
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type
        self._transport = transport
        transport.write(b"+OK ready\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every whole line."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        self._transport.write(b"".join(map(self._answer, lines)))
        if any(line.upper() == b"QUIT" for line in lines):
            self._transport.close()

    def _answer(self, line: bytes) -> bytes:
        command, _, argument = line.partition(b" ")
        answer = self._answers.get(command.upper())
        return answer(argument) if answer else b"-ERR unknown command\r\n"

    def _choose(self, name: bytes) -> bytes:
        maildrop = self._maildrops[name]
        self._answers |= {
            b"STAT": lambda _: maildrop.total,
            b"LIST": maildrop.sizes,
            b"UIDL": maildrop.names,
            b"RETR": maildrop.retrieve,
            b"TOP": maildrop.top,
        }
        return OK


async def serve(accounts: int, messages: int, octets: int, rtt_ms: int) -> None:
    """Serve until standard input ends."""
    maildrops = {user(n).encode(): Maildrop(n, messages, octets) for n in range(accounts)}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(maildrops), "127.0.0.1", 0, backlog=100)
    port = int(server.sockets[0].getsockname()[1])
    if rtt_ms:
        link = SlowLink(port, rtt_s=rtt_ms / 1000, address="127.0.0.1")
        await link.listen()
        port = link.port
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
