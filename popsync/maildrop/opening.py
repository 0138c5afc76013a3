"""Begins a session: connect, greeting, CAPA, STLS, login."""

from popsync.errors import DeadlineExceeded, RemoteProtocolError, StreamError, TlsRefused
from popsync.maildrop.capability import (
    ask_capabilities,
    kept_days,
    login_delay,
    may_pipeline,
)
from popsync.maildrop.conversation import Conversation
from popsync.maildrop.login import log_in
from popsync.maildrop.refusals import Stage
from popsync.maildrop.session import Pop3Maildrop
from popsync.maildrop.settings import Pop3Settings
from popsync.maildrop.strangers import name_stranger
from popsync.net.connect import connect_tcp
from popsync.net.stream import Stream
from popsync.wire.pop3.capabilities import Capabilities


class _CapaUnanswered(StreamError):
    """The connection broke, or fell silent, over the first CAPA."""


async def connect_maildrop(settings: Pop3Settings, *, lock_step: bool) -> Pop3Maildrop:
    """Connect and log in; once more without CAPA where the server answers it by silence.

    lock_step: one command at a time, whatever CAPA offers. Raises StreamError, ProtocolError,
    MaildropError, SecretUnavailable.
    """
    stream = await _connect(settings)
    try:
        return await open_maildrop(stream, settings, lock_step=lock_step)
    except _CapaUnanswered:
        stream = await _connect(settings)
    return await open_maildrop(stream, settings, lock_step=lock_step, asks_capa=False)


async def _connect(settings: Pop3Settings) -> Stream:
    return await connect_tcp(
        settings.host,
        settings.port,
        tls=settings.tls,
        timeout_s=settings.deadlines.connect_s,
    )


async def open_maildrop(
    stream: Stream, settings: Pop3Settings, *, lock_step: bool, asks_capa: bool = True
) -> Pop3Maildrop:
    """Log in over a connection that is there already; close it when that fails.

    asks_capa: False is for servers that cannot bear CAPA, and not for STLS.
    Raises as ``connect_maildrop`` does.
    """
    conversation = Conversation(
        stream, deadlines=settings.deadlines, max_listed=settings.max_listed
    )
    capabilities = Capabilities()
    try:
        await _greet(conversation, settings)
        if asks_capa:
            capabilities = await _ask_first_capabilities(conversation, settings)
        if settings.tls.mode == "starttls":
            capabilities = await _secure(conversation, settings, capabilities)
        await log_in(conversation, settings, capabilities)
        pipelined = not lock_step and may_pipeline(settings, capabilities)
        # CAPA again, since only now it is about this user; on its own only where it has to be.
        confirms = asks_capa and pipelined
        login_delay_s, days = login_delay(capabilities), kept_days(capabilities)
        if asks_capa and not confirms:
            capabilities = await ask_capabilities(conversation, settings)
            pipelined = not lock_step and may_pipeline(settings, capabilities)
            login_delay_s = login_delay(capabilities, login_delay_s)
            days = kept_days(capabilities, days)
    except BaseException:
        await conversation.close()
        raise
    return Pop3Maildrop(
        conversation,
        settings,
        pipelined=pipelined,
        confirms=confirms,
        login_delay_s=login_delay_s,
        kept_days=days,
    )


async def _greet(conversation: Conversation, settings: Pop3Settings) -> None:
    conversation.expect_greeting()
    try:
        reply = await conversation.next_line(timeout_s=settings.deadlines.greeting_s)
    except (RemoteProtocolError, StreamError) as error:
        if stranger := name_stranger(conversation.opening):
            conversation.fail(stranger, conversation.opening)
        if isinstance(error, DeadlineExceeded) and not conversation.secured:
            hint = "does it expect TLS at once (tls 'implicit')?"
            raise DeadlineExceeded(f"{error}; {hint}") from None
        raise
    if not reply.ok:
        raise conversation.refusal("the connection", reply, Stage.GREETING)


async def _ask_first_capabilities(
    conversation: Conversation, settings: Pop3Settings
) -> Capabilities:
    try:
        return await ask_capabilities(conversation, settings)
    except StreamError as error:
        # With STLS, the CAPA behind the handshake uncovers commands put before it, and whoever
        # can put them there can break a connection as well: it is never left out (P7).
        if settings.tls.mode == "starttls":
            raise
        raise _CapaUnanswered(str(error)) from error


async def _secure(
    conversation: Conversation, settings: Pop3Settings, capabilities: Capabilities
) -> Capabilities:
    """Begin TLS or stop: nothing secret has been said yet (P7)."""
    if not capabilities.stls:
        raise TlsRefused(f"{conversation.peer}: the server offers no STLS")
    reply = await conversation.ask(b"STLS\r\n")
    if not reply.ok:
        raise TlsRefused(f"{conversation.peer}: STLS was refused: {conversation.words(reply)}")
    await conversation.start_tls()
    return await ask_capabilities(conversation, settings)
