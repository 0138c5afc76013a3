"""Commands out, replies in, over one stream."""

import asyncio
from dataclasses import dataclass, fields

from popsync.errors import DeadlineExceeded, PeerClosed, RemoteProtocolError
from popsync.net.stream import Stream
from popsync.wire.smtp.extensions import NO_EXTENSIONS
from popsync.wire.smtp.replies import Reply, ReplyReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long each step may take (RFC 5321 §4.5.3.2)."""

    connect_s: float = 30.0
    greeting_s: float = 300.0
    command_s: float = 300.0
    data_s: float = 120.0
    block_s: float = 180.0
    body_s: float = 180.0
    body_mib_s: float = 1024.0
    """More for each MiB: a server that takes less than 1 KiB/s of a body is given up."""
    max_body_s: float = 3600.0
    dot_s: float = 600.0
    """A server may be busy with the message for long; a shorter patience makes duplicates."""
    quit_s: float = 5.0
    """Ours: nothing depends on that reply any more."""

    def for_message(self, octets: int) -> float:
        """Give what one message may take, a new connection for it included."""
        commands = 8  # EHLO, STARTTLS, EHLO, three turns of AUTH, MAIL and RCPT
        opening_s = 2 * self.connect_s + self.greeting_s
        words_s = commands * self.command_s + self.data_s + self.dot_s
        return opening_s + words_s + self.for_body(octets)

    def for_body(self, octets: int) -> float:
        """Give the seconds that all of a body may take; ours, as RFC 5321 has them for blocks."""
        return min(self.body_s + self.body_mib_s * octets / (1 << 20), self.max_body_s)

    def scaled(self, factor: float) -> "Deadlines":
        """Give all of them multiplied by ``factor``."""
        return Deadlines(**{f.name: getattr(self, f.name) * factor for f in fields(self)})


class Dialogue:
    """One connection to a server that speaks SMTP or LMTP.

    Every method but ``close`` raises StreamError; those that read also RemoteProtocolError.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reader = ReplyReader()
        self.extensions = NO_EXTENSIONS
        """What the server offered last."""

    @property
    def peer(self) -> str:
        """The server as a person would name it."""
        return self._stream.peer

    @property
    def private(self) -> bool:
        """Whether a secret may be said here: TLS, or this machine (P7)."""
        return self._stream.secured or self._stream.loopback

    async def send(self, octets: bytes, *, timeout_s: float) -> None:
        """Send ``octets`` as they are."""
        await self._stream.write(octets, timeout_s=timeout_s)

    async def receive(self, *, timeout_s: float) -> Reply:
        """Give the next reply; the whole of it must be there within ``timeout_s``."""
        clock = asyncio.get_running_loop().time
        left_s, ends_at = timeout_s, clock() + timeout_s
        while (reply := self._reader.next_reply()) is None:
            if left_s <= 0:
                raise DeadlineExceeded(f"{self.peer}: no whole reply within {timeout_s:g} s")
            octets = await self._stream.read(timeout_s=left_s)
            if not octets:
                raise PeerClosed(f"{self.peer}: closed the connection instead of replying")
            self._reader.feed(octets)
            left_s = ends_at - clock()
        return reply

    async def ask(self, command: bytes, *, timeout_s: float) -> Reply:
        """Send one command and give its reply."""
        self.check_in_step()
        await self.send(command, timeout_s=timeout_s)
        return await self.receive(timeout_s=timeout_s)

    def check_in_step(self) -> None:
        """Make sure that no reply is left over, which would pass for the one to the next command.

        Raises RemoteProtocolError.
        """
        if self._reader.buffered:
            raise RemoteProtocolError(f"{self.peer}: more replies than commands")

    async def start_tls(self, *, timeout_s: float) -> None:
        """Turn to TLS; what the server offered before is forgotten (RFC 3207 §4.2)."""
        self.check_in_step()
        await self._stream.start_tls(timeout_s=timeout_s)
        self.extensions = NO_EXTENSIONS

    async def close(self) -> None:
        """Part at once. Idempotent; never raises."""
        await self._stream.close()
