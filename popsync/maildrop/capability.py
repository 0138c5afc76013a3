"""Asks a server what it can do, and says whether that is several commands at once."""

import re

from popsync.maildrop.conversation import Conversation
from popsync.maildrop.settings import Pop3Settings
from popsync.wire.pop3.capabilities import Capabilities, parse_capabilities
from popsync.wire.pop3.client import ReplyKind
from popsync.wire.pop3.replies import Reply

_STATUS = re.compile(rb"(?:\+OK|-ERR)(?: |$)", re.IGNORECASE)

MAX_LOGIN_DELAY_S = 86400
"""A server that wants more is not obeyed: it would be a way to keep mail from its owner."""


MAX_KEPT_DAYS = 36_500
"""Nobody needs to be told of more."""


async def ask_capabilities(conversation: Conversation, settings: Pop3Settings) -> Capabilities:
    """Give what CAPA tells, none where it is refused. Raises StreamError, RemoteProtocolError."""
    await conversation.send(b"CAPA\r\n", ReplyKind.CAPABILITIES)
    return await next_capabilities(conversation, settings)


async def next_capabilities(conversation: Conversation, settings: Pop3Settings) -> Capabilities:
    """Give the same for a CAPA that was sent before, with others behind it."""
    answer = await conversation.next_rows(timeout_s=settings.deadlines.reply_s)
    if isinstance(answer, Reply):
        return Capabilities()
    if answer.rows and _STATUS.match(answer.rows[0]):
        # The line before this one came unasked. Inside TLS it may be the reply to a command
        # that somebody put before the handshake.
        conversation.fail("a reply came before the one to CAPA", answer.rows[0])
    return parse_capabilities(answer.rows)


def may_pipeline(settings: Pop3Settings, capabilities: Capabilities) -> bool:
    """Whether several commands may be on their way at once (RFC 2449 §6.6)."""
    return settings.pipelining == "on" or (
        settings.pipelining == "auto" and capabilities.pipelining
    )


def kept_days(told: Capabilities, before: int | None = None) -> int | None:
    """Give how long the server keeps what was retrieved (RFC 2449 §6.7); None is for ever.

    told, before: as for ``login_delay``; there the shortest of any user.
    """
    if told.expire == "NEVER":
        return None
    is_days = told.expire.isascii() and told.expire.isdigit()
    return min(int(told.expire[:9]), MAX_KEPT_DAYS) if is_days else before


def login_delay(told: Capabilities, before: int = 0) -> int:
    """Give the seconds that must pass between logins (RFC 2449 §6.4); 0 is none.

    told: what is said after the login counts for this user. before: what was said earlier, where
    that says nothing; it is the longest of any user.
    """
    return min(told.login_delay_s or before, MAX_LOGIN_DELAY_S)
