"""The SMTP half of the bundled server: aiosmtpd's dialogue around our own reading of DATA.

There is no relaying: a recipient is a mailbox here, or refused. aiosmtpd's own DATA keeps every
message in memory twice and refuses long lines; ours reads chunks and knows only a limit of octets.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from popsync.errors import escape
from popsync.model import Content
from popsync.server.gate import Release, peer_host
from popsync.server.mailboxes import Mailboxes
from popsync.server.mailstore import Mailstore
from popsync.server.penalty import MAX_REFUSED_LOGINS, Penalty
from popsync.server.smtp_envelope import EnvelopeHooks, LoginSession, MailboxEnvelope
from popsync.server.smtp_intake import Intake
from popsync.server.smtp_trace import Arrival, format_trace
from popsync.storage import Scratch
from popsync.wire.dots import DotDecoder

_LOG = logging.getLogger(__name__)

# aiosmtpd logs what clients send as it comes: control characters, addresses, all.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)

MAX_MESSAGE_OCTETS = 50 * 1024 * 1024
IDLE_TIMEOUT_S = 300.0
DATA_TIMEOUT_S = 1800.0

_CRLF = b"\r\n"  # the end of the line of DATA itself
_READ_OCTETS = 1 << 30  # all there is
_UNLIMITED = 1 << 62
_COMMAND_CALLS = {"*": _UNLIMITED, "NOOP": 1000, "VRFY": 100, "AUTH": MAX_REFUSED_LOGINS}

GO_AHEAD = "354 end data with <CR><LF>.<CR><LF>"
NO_RECIPIENT = "503 5.5.1 no recipient was accepted"
NO_ARGUMENT = "501 5.5.4 DATA takes no argument"
STORED = "250 2.0.0 stored"
TRY_LATER = "451 4.3.0 cannot store mail now, try again later"
BARE_LF = "550 5.6.0 a bare LF before a dot has no safe form in POP3"
TOO_LARGE = "552 5.3.4 message is too large"
REFUSAL = b"421 4.3.2 too many connections\r\n"


@dataclass(frozen=True, slots=True)
class SmtpService:
    """What all SMTP connections share. ``secure_only``: no mail without TLS and a login."""

    hostname: str
    mailboxes: Mailboxes
    mailstore: Mailstore
    tls: ssl.SSLContext | None = None
    secure_only: bool = False
    max_octets: int = MAX_MESSAGE_OCTETS
    idle_timeout_s: float = IDLE_TIMEOUT_S
    data_timeout_s: float = DATA_TIMEOUT_S
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def make_protocol(self, release: Release) -> "SmtpProtocol":
        """Give the protocol for one connection, which calls ``release`` at its end."""
        return SmtpProtocol(self, release)


class SmtpProtocol(SMTP):
    """One SMTP connection."""

    # The stream's buffer; lines of a message may be as long as the message.
    line_length_limit = 1 << 16

    def __init__(self, service: SmtpService, release: Release) -> None:
        super().__init__(
            EnvelopeHooks(service.mailboxes),
            data_size_limit=service.max_octets,
            enable_SMTPUTF8=True,
            hostname=service.hostname,
            ident="popsync",
            tls_context=service.tls,
            timeout=service.idle_timeout_s,
            auth_required=service.secure_only,
            auth_require_tls=service.secure_only,
            command_call_limit=_COMMAND_CALLS,
            authenticator=self._check_login,
            loop=asyncio.get_running_loop(),
        )
        self._service = service
        self._release = release
        self._penalty = Penalty(service.sleep)
        self._scratch = Scratch(service.mailstore.root)

    # -- the connection ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve; STARTTLS leads here a second time."""
        first = self._handler_coroutine is None
        super().connection_made(transport)
        if first and self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(self._part)

    def _part(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            _LOG.debug("an SMTP connection ended: %s", escape(str(task.exception())))
        self._release()

    def _create_session(self) -> LoginSession:
        return LoginSession(self.loop)

    def _create_envelope(self) -> MailboxEnvelope:
        return MailboxEnvelope()

    async def handle_exception(self, error: Exception) -> str:
        """Answer what went wrong here with a temporary code and no word of what it was."""
        _LOG.error("SMTP: %s", escape(f"{type(error).__name__}: {error}"))
        return TRY_LATER

    # -- login -------------------------------------------------------------------------------

    def _check_login(
        self, _server: object, _session: object, _envelope: object, _mechanism: str, login: Any
    ) -> AuthResult:
        assert isinstance(login, LoginPassword)  # noqa: S101 — PLAIN and LOGIN give nothing else
        name = self._service.mailboxes.authenticate(login.login, login.password)
        return AuthResult(success=name is not None, handled=False, auth_data=login)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 — aiosmtpd's name
        """Check a login; each refused one makes the next command wait longer."""
        await super().smtp_AUTH(arg)
        if self.session is not None and not self.session.authenticated:
            await self._penalty.pay()

    # -- the message -------------------------------------------------------------------------

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Take a message and answer once it is stored durably (P2)."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        assert isinstance(self.envelope, MailboxEnvelope)  # noqa: S101 — we made it
        if arg or not self.envelope.mailboxes:
            await self.push(NO_ARGUMENT if arg else NO_RECIPIENT)
            return
        await self.push(GO_AHEAD)
        # One deadline for all of it: a client that sends an octet now and then meets it too.
        self._reset_timeout(self._service.data_timeout_s)
        reply = await self._take_message(self.envelope)
        self.envelope = self._create_envelope()
        self._reset_timeout()
        await self.push(reply)

    async def _take_message(self, envelope: MailboxEnvelope) -> str:
        intake = Intake(self._scratch, max_octets=self._service.max_octets)
        try:
            await self._read_message(intake)
            if intake.too_large:
                return TOO_LARGE
            if intake.ambiguous:
                return BARE_LF
            if intake.error is not None:
                return await self.handle_exception(intake.error)
            content = intake.finish()
        finally:
            intake.discard()
        return await self._store(envelope, content)

    async def _read_message(self, intake: Intake) -> None:
        decoder, held, ended = DotDecoder(), _CRLF, False
        while not ended:
            octets = await self._reader.read(_READ_OCTETS)
            if not octets:
                raise ConnectionResetError("the client left in the middle of a message")
            octets = held + octets
            text, end, ended = decoder.decode(octets, 0)
            held = octets[end:]
            if ended and held:
                # Nothing was awaited since the reader was emptied, so the order is kept.
                self._reader.feed_data(held)
            await intake.write(text)

    async def _store(self, envelope: MailboxEnvelope, content: Content) -> str:
        trace = format_trace(self._arrival(envelope), hostname=self.hostname, at_s=time.time())

        def store() -> str:
            # Closed by the thread, which goes on with its work when the connection is cancelled.
            with closing(content):
                return self._service.mailstore.store(
                    tuple(envelope.mailboxes),
                    octets=len(trace) + content.octets,
                    chunks=lambda: chain((trace,), content.chunks()),
                )

        try:
            name = await asyncio.to_thread(store)
        except OSError as error:
            return await self.handle_exception(error)
        _LOG.debug("stored %s for %s", name, " ".join(envelope.mailboxes))
        return STORED

    def _arrival(self, envelope: MailboxEnvelope) -> Arrival:
        session = self.session
        assert session is not None  # noqa: S101 — set since the connection was made
        return Arrival(
            reverse_path=envelope.reverse_path,
            helo=session.host_name or "",
            host=peer_host(self._writer.transport),
            protocol=("ESMTP" if session.extended_smtp else "SMTP")
            + ("S" if session.ssl is not None else "")
            + ("A" if session.authenticated else ""),
        )
