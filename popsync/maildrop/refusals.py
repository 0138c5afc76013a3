"""What a server's ``-ERR`` means: a response code when there is one, else its own words."""

import re
from enum import Enum

from popsync.errors import (
    AuthRejected,
    LoginDelayed,
    MaildropError,
    MaildropLocked,
    ServerRefused,
    ServerUnavailable,
    UidlUnsupported,
)
from popsync.wire.pop3.replies import Reply


class Stage(Enum):
    """When it was said; a plain ``-ERR`` means something else at each."""

    GREETING = "greeting"
    LOGIN = "login"
    UIDL = "uidl"
    SESSION = "session"


_CODES: dict[str, type[MaildropError]] = {
    "IN-USE": MaildropLocked,
    "LOGIN-DELAY": LoginDelayed,
    "SYS/TEMP": ServerUnavailable,
    "SYS/PERM": ServerRefused,
}

_WITHOUT_WORDS: dict[Stage, type[MaildropError]] = {
    Stage.GREETING: ServerUnavailable,
    Stage.LOGIN: AuthRejected,
    Stage.UIDL: UidlUnsupported,
}

# Most servers send no codes. A password, or UIDL, that is refused by mistake suspends the
# account, so whatever sounds like "not now" counts as that.
_LOCKED = re.compile(
    rb"lock(?!ed out)|in use|already (?:open|logged|connected|active)"
    rb"|another (?:pop|session|client)",
    re.IGNORECASE,
)
_TOO_SOON = re.compile(
    rb"login.?delay|too (?:soon|frequent|often)|minimum.{1,20}(?:interval|between)|login interval",
    re.IGNORECASE,
)
_NOT_NOW = re.compile(
    rb"busy|wait|later|again in|unavailable|temporar|too many|exceed|maint(?:enance|ain)|overload"
    rb"|connection limit|rate limit|try again|time.?out|internal|system error|server error"
    rb"|shutting down|out of (?:memory|disk)|backend|resource",
    re.IGNORECASE,
)


def refusal_kind(reply: Reply, stage: Stage) -> type[MaildropError]:
    """Give the error that an ``-ERR`` is, at this stage. The greeting is never about a login."""
    for code, kind in _CODES.items():
        if reply.code == code or reply.code.startswith(code + "/"):
            return kind
    if stage is Stage.SESSION:
        return MaildropError
    if stage is Stage.LOGIN and reply.code == "AUTH":
        return AuthRejected
    return _kind_by_words(reply.text) or _WITHOUT_WORDS[stage]


def _kind_by_words(text: bytes) -> type[MaildropError] | None:
    if _TOO_SOON.search(text):
        return LoginDelayed
    if _LOCKED.search(text):
        return MaildropLocked
    return ServerUnavailable if _NOT_NOW.search(text) else None
