"""Commands out, replies in, each with its deadline, and no reply that was not asked for."""

import asyncio
from typing import Never

from popsync.errors import (
    DeadlineExceeded,
    MaildropError,
    PeerClosed,
    RemoteProtocolError,
    TlsRefused,
    escape,
)
from popsync.maildrop.refusals import Stage, refusal_kind
from popsync.maildrop.secrecy import Secrecy
from popsync.maildrop.settings import Deadlines
from popsync.net.stream import Stream
from popsync.wire.pop3.client import Event, Pop3ClientCodec, ReplyKind, Rows
from popsync.wire.pop3.replies import Challenge, Reply


class Conversation:
    """One connection to a POP3 server, command by command.

    Every method raises StreamError or RemoteProtocolError; the connection is of no use after
    that. No text of ours shows what ``secrecy`` knows, even when the server repeats it (P7).
    """

    def __init__(self, stream: Stream, *, deadlines: Deadlines, max_listed: int) -> None:
        self._stream = stream
        self._codec = Pop3ClientCodec(max_listed=max_listed)
        self._deadlines = deadlines
        self.secrecy = Secrecy()
        self.opening = b""
        """The first octets that ever came, for telling what answers here."""

    @property
    def peer(self) -> str:
        """The server as a person would name it."""
        return self._stream.peer

    @property
    def shielded(self) -> bool:
        """Whether nobody else can listen: TLS, or this machine."""
        return self._stream.secured or self._stream.loopback

    @property
    def secured(self) -> bool:
        """Whether TLS is on."""
        return self._stream.secured

    @property
    def awaited(self) -> int:
        """Replies that are still to come."""
        return self._codec.awaited

    @property
    def unasked(self) -> int:
        """Octets that came and that no command asked for."""
        return 0 if self._codec.awaited else self._codec.buffered + self._stream.unread

    def expect_greeting(self) -> None:
        """Announce the one reply that comes without a command."""
        self._codec.expect(ReplyKind.LINE)

    async def send(self, commands: bytes, *kinds: ReplyKind) -> None:
        """Send commands whose replies come in this order.

        While no reply is due nothing may have arrived: what nobody asked for would be taken for
        the reply to these.
        """
        if self._stream.unread and not self._codec.awaited:
            self.fail("octets that no command asked for")
        try:
            self._codec.expect(*kinds)
        except RemoteProtocolError as error:
            self.fail(error.rule, error.evidence)
        await self._stream.write(commands, timeout_s=self._deadlines.reply_s)

    def ready_event(self) -> Event | None:
        """Give the next event out of what has been read; None when more must be read first."""
        try:
            return self._codec.next_event()
        except RemoteProtocolError as error:
            self.fail(error.rule, error.evidence)

    async def read_more(self, *, timeout_s: float) -> int:
        """Read what has arrived, or wait for it; give how many octets."""
        octets = await self._stream.read(timeout_s=timeout_s)
        if not octets:
            raise PeerClosed(f"{self.peer}: the server closed the connection")
        if len(self.opening) < 16:
            self.opening += octets[:16]
        self._codec.receive_data(octets)
        return len(octets)

    async def next_event(self, *, timeout_s: float, gap_s: float | None = None) -> Event:
        """Give the next event, within ``timeout_s`` in all and ``gap_s`` of silence."""
        clock = asyncio.get_running_loop().time
        end = clock() + timeout_s
        too_slow = DeadlineExceeded(f"{self.peer}: no whole reply within {timeout_s:g} s")
        while (event := self.ready_event()) is None:
            left_s = end - clock()
            if left_s <= 0:
                raise too_slow
            try:
                await self.read_more(timeout_s=min(left_s, gap_s or left_s))
            except DeadlineExceeded:
                if gap_s is not None and gap_s < left_s:
                    raise
                raise too_slow from None
        return event

    async def ask(self, command: bytes, *, timeout_s: float | None = None) -> Reply:
        """Send one command and give its reply of one line."""
        await self.send(command, ReplyKind.LINE)
        return await self.next_line(timeout_s=timeout_s)

    async def ask_in_turn(self, line: bytes, *, timeout_s: float) -> Reply | Challenge:
        """Send one line of AUTH and give the server's turn."""
        await self.send(line, ReplyKind.CHALLENGE)
        event = await self.next_event(timeout_s=timeout_s)
        return event if isinstance(event, Challenge) else self._line(event)

    async def next_line(self, *, timeout_s: float | None = None) -> Reply:
        """Give the next reply of one line."""
        return self._line(await self.next_event(timeout_s=timeout_s or self._deadlines.reply_s))

    async def next_rows(self, *, timeout_s: float) -> Rows | Reply:
        """Give the next listing, or the ``-ERR`` in its place, within ``timeout_s`` in all."""
        event = await self.next_event(timeout_s=timeout_s, gap_s=self._deadlines.gap_s)
        return event if isinstance(event, Rows) else self._line(event)

    async def start_tls(self) -> None:
        """Begin TLS; octets that came in the clear behind the reply to STLS are refused."""
        if self.unasked:
            raise TlsRefused(f"{self.peer}: plaintext behind the reply to STLS")
        await self._stream.start_tls(timeout_s=self._deadlines.tls_s)

    async def close(self) -> None:
        """Part at once. Idempotent."""
        await self._stream.close()

    def refusal(self, step: str, reply: Reply, stage: Stage = Stage.SESSION) -> MaildropError:
        """Give the error for an ``-ERR`` at ``step``, with the server's own words."""
        return refusal_kind(reply, stage)(f"{self.peer}: {step} was refused: {self.words(reply)}")

    def words(self, reply: Reply) -> str:
        """Give a reply's code and text, fit to be shown."""
        code = f"[{escape(self.secrecy.mask(reply.code.encode()))}] " if reply.code else ""
        return code + (escape(self.secrecy.mask(reply.text)) or "no reason given")

    def fail(self, rule: str, evidence: bytes = b"") -> Never:
        """Raise RemoteProtocolError."""
        raise RemoteProtocolError(f"{self.peer}: {rule}", self.secrecy.mask(evidence)) from None

    @staticmethod
    def _line(event: Event) -> Reply:
        # The codec gives the kind that was announced, so this is for the reader and mypy.
        assert isinstance(event, Reply)  # noqa: S101
        return event
