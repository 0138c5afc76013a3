"""What can go wrong, and how far it reaches.

Every class says two things; what follows from them only ``poll.disposition`` decides:

- ``scope``: how much is affected, from one recipient to the whole process;
- ``temporary``: whether the same attempt may succeed later without anybody's help.

Libraries' exceptions are turned into these where they enter (``net``, ``destinations``,
``ledger``), always with ``raise … from``. A message names who, what and the evidence: never a
password, never message text.
"""

from enum import Enum
from typing import ClassVar


class Scope(Enum):
    """How much one failure affects, smallest first."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    ACCOUNT = "account"
    PROCESS = "process"


class PopsyncError(Exception):
    """Everything popsync raises on purpose."""

    scope: ClassVar[Scope] = Scope.ACCOUNT
    temporary: ClassVar[bool] = True


class UnexpectedError(PopsyncError):
    """An exception that nobody expected, as its cause: a bug of popsync, which costs one poll."""


class PollStuck(PopsyncError):
    """A poll got no further, and no deadline of its own had ended it."""


# -- configuration ---------------------------------------------------------------------------


class ConfigError(PopsyncError):
    """The configuration cannot be used; ``problems`` holds one line, or block of lines, each."""

    scope = Scope.PROCESS
    temporary = False

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class UnknownAccount(PopsyncError):
    """Somebody named an account that is not in the configuration, or not enabled."""

    scope = Scope.PROCESS
    temporary = False


class SecretUnavailable(PopsyncError):
    """A password's command, file, variable or credential gave none."""


# -- the network -----------------------------------------------------------------------------


class StreamError(PopsyncError, OSError):
    """The connection to a server failed; the text names the server and the step."""


class ConnectFailed(StreamError):
    """No connection came about: name not found, refused, unreachable or too slow."""


class PeerClosed(StreamError):
    """The server closed or reset the connection in the middle."""


class DeadlineExceeded(StreamError):
    """The server was silent, or too slow, for longer than the step allows."""


class TlsRefused(StreamError):
    """TLS did not come about as the configuration demands: certificate, name, pin or version."""

    temporary = False


# -- protocols -------------------------------------------------------------------------------


class ProtocolError(PopsyncError):
    """A rule of POP3, SMTP or LMTP was broken."""


class LocalProtocolError(ProtocolError):
    """We broke it: a bug of popsync, or a value that must never reach the wire."""

    scope = Scope.PROCESS
    temporary = False


MAX_EVIDENCE_OCTETS = 80


class RemoteProtocolError(ProtocolError):
    """The server broke it; ``evidence`` holds at most 80 octets of what it sent."""

    def __init__(self, rule: str, evidence: bytes = b"") -> None:
        self.rule = rule
        self.evidence = evidence[:MAX_EVIDENCE_OCTETS]
        super().__init__(f"{rule}: {escape(self.evidence)}" if evidence else rule)


def escape(octets: bytes | str, *, limit: int = 200) -> str:
    """Show foreign text on one line: printable characters as they are, all else escaped.

    ``limit``: characters kept; what is longer ends in an ellipsis. Control characters, line
    separators and bidirectional marks never come through, so nobody's server can forge a log
    line or steer a terminal.
    """
    text = octets.decode("utf-8", "backslashreplace") if isinstance(octets, bytes) else octets
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


# -- the maildrop ----------------------------------------------------------------------------


class MaildropError(PopsyncError):
    """The POP3 server said ``-ERR``, or what it says cannot be trusted."""


class MaildropLocked(MaildropError):
    """Another session holds the maildrop: ``[IN-USE]`` (RFC 2449 §8.1.1)."""


class LoginDelayed(MaildropError):
    """We came back too soon: ``[LOGIN-DELAY]`` (RFC 2449 §8.1.2)."""


class ServerUnavailable(MaildropError):
    """The server cannot serve us now: ``[SYS/TEMP]`` (RFC 3206 §4), or a text that says so."""


class ServerRefused(MaildropError):
    """The server needs somebody to mend it first: ``[SYS/PERM]`` (RFC 3206 §4)."""

    temporary = False


class AuthRejected(MaildropError):
    """The login was refused: ``[AUTH]`` (RFC 3206 §5), or a plain ``-ERR`` to it."""

    temporary = False


class AuthUnsupported(MaildropError):
    """The server offers no way to log in that the configuration allows."""

    temporary = False


class UidlUnsupported(MaildropError):
    """The server has no unique-ids, so nothing can be told apart from one session to the next."""

    temporary = False


class PipeliningUnfit(MaildropError):
    """The server cannot be sent several commands at a time, whatever it said."""


class PipeliningWithdrawn(PipeliningUnfit):
    """What was offered before the login is not offered after it, and did not work."""


class SizesDisagree(PipeliningUnfit):
    """A pipelined message is not as long as LIST said; later replies may be shifted."""


class RetrievalRefused(MaildropError):
    """RETR of one message was answered ``-ERR``."""

    scope = Scope.MESSAGE


# -- destinations ----------------------------------------------------------------------------


class DestinationUnavailable(PopsyncError):
    """A destination takes nothing at the moment, whatever the message."""


class DestinationMisconfigured(DestinationUnavailable):
    """A destination takes nothing until somebody changes something: login, certificate, owner."""

    temporary = False


class DeliveryError(PopsyncError):
    """One message was not delivered; the destination's own words are in the text."""

    scope = Scope.MESSAGE


class DeliveryDeferred(DeliveryError):
    """The destination may accept the same message later: 4yz, disk full."""


class DeliveryRejected(DeliveryError):
    """The destination will not have this message: 5yz, too big, a loop."""

    temporary = False


class DeliveryLooped(DeliveryRejected):
    """The message goes round in circles; only a person may send it on."""


class RecipientDeferred(DeliveryDeferred):
    """One recipient cannot be served now; the others are not affected."""

    scope = Scope.RECIPIENT


class RecipientRejected(DeliveryRejected):
    """One recipient is refused; the others are not affected."""

    scope = Scope.RECIPIENT


class DeliveryInDoubt(DeliveryError):
    """The reply to the final dot was lost: the message may or may not have arrived."""


class DeliveryUndone(DeliveryError):
    """What was staged is no longer there, so the message must be retrieved again."""


class DeliveryBroken(DeliveryError):
    """We failed on the message ourselves, its cause says how: a bug, and the destination's not."""


# -- the state directory ---------------------------------------------------------------------


class ScratchUnavailable(PopsyncError, OSError):
    """A large message cannot be put down on its way: disk full, read-only, input/output error."""


class SpoolDamaged(PopsyncError):
    """A copy in the spool is missing, or does not hold what was put there."""

    scope = Scope.MESSAGE


# -- the ledger ------------------------------------------------------------------------------


class LedgerError(PopsyncError):
    """What was delivered cannot be read or written, so nothing may be deleted."""


class LedgerUnavailable(LedgerError):
    """The ledger cannot be written now: disk full, read-only, input/output error."""


class LedgerLocked(LedgerError):
    """Another popsync works with this state directory."""

    scope = Scope.PROCESS


class LedgerCorrupt(LedgerError):
    """The ledger is damaged, lost, or from a newer popsync; what is there is left as it is."""

    scope = Scope.PROCESS
    temporary = False
