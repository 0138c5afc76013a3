"""Frozen values that cross rooms, and the one contract that binds a destination to the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, NewType, Protocol

from popsync.errors import DeliveryError, RetrievalRefused, UidlUnsupported

AccountId = NewType("AccountId", str)
"""``user@host`` with the host in lower case: what the ledger knows an account by."""

MessageNumber = NewType("MessageNumber", int)
"""1…n, valid in one session only."""

UniqueId = NewType("UniqueId", bytes)
"""What UIDL names a message by, as the server sent it; not an identity (RFC 1939 §7).

Or a content key (``popsync.poll.content_keys``), where the server gives none that can be used.
"""

NAMELESS = UniqueId(b"")
"""In the place of a unique-id that the server does not give, or not one that can be used."""

Digest = NewType("Digest", bytes)
"""SHA-256 of a message's content."""


# -- what a session shows --------------------------------------------------------------------


class ListedMessage(NamedTuple):
    """One row of a listing."""

    number: MessageNumber
    unique_id: UniqueId
    octets: int
    """What LIST claims; may be wrong (RFC 1939 §11)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """STAT, LIST and UIDL of one session, in message-number order."""

    messages: tuple[ListedMessage, ...]
    """Some may be NAMELESS."""
    complete: bool
    """Every terminator was seen and the three agree; only then does absence mean anything."""
    left_out: int = 0
    """Messages that LIST shows and UIDL does not mention."""
    without_uidl: UidlUnsupported | None = None
    """Why all are NAMELESS: the server knows no UIDL, in its own words."""


class Content(Protocol):
    """A message as RETR brought it: dot-unstuffed, without terminator, line ends untouched.

    Small ones live in memory, large ones in an unnamed file; either way it can be read any
    number of times until it is closed.
    """

    @property
    def octets(self) -> int:
        """Size of the content."""
        ...

    @property
    def digest(self) -> Digest:
        """SHA-256 of the content."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Give the whole content, piece by piece, from its beginning."""
        ...

    def close(self) -> None:
        """Give back what it occupies. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class RetrievedMessage:
    """A message that was retrieved whole."""

    listed: ListedMessage
    content: Content
    suspect: str = ""
    """Why its bytes may not be the whole message; empty when there is no doubt."""


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that the server would not give."""

    listed: ListedMessage
    error: RetrievalRefused


Retrieval = RetrievedMessage | RefusedMessage


# -- deliveries ------------------------------------------------------------------------------


class MessageKey(NamedTuple):
    """Which message: a unique-id may be repeated, reused or renumbered, its bytes tell apart."""

    account: AccountId
    unique_id: UniqueId
    digest: Digest


class Envelope(NamedTuple):
    """Transport addresses (RFC 5321 §2.3.1); never guessed from the message's own header."""

    reverse_path: str
    """Empty for the null reverse-path ``<>``."""
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message for one destination: what to deliver, to whom, under which name."""

    message: MessageKey
    content: Content
    envelope: Envelope
    header: bytes
    """Complete header lines to put in front of the content: the trace, a redelivery mark."""
    name: str
    """32 hex digits, the same at every try; a destination builds file names from it."""
    received_at: float
    """When it was retrieved, in seconds since the epoch."""


class DeliveryState(Enum):
    """Where one delivery stands; ``ledger.states`` holds what may follow what."""

    SEEN = "seen"
    STAGED = "staged"
    DOT_SENT = "dot_sent"
    IN_DOUBT = "in_doubt"
    DEFERRED = "deferred"
    HELD = "held"
    DELIVERED = "delivered"


class DeliveryKey(NamedTuple):
    """One message to one recipient of one destination; a Maildir's only recipient is ``""``."""

    message: MessageKey
    destination: str
    recipient: str


class Receipt(NamedTuple):
    """A destination's promise that it has the message durably."""

    delivery: DeliveryKey
    reply: str
    """The server's own words, or the name of the file."""


class Refusal(NamedTuple):
    """A destination's word, or silence, that is not a promise."""

    delivery: DeliveryKey
    error: DeliveryError


Outcome = Receipt | Refusal


@dataclass(frozen=True, slots=True)
class Intent:
    """A step that cannot be taken back, about to be taken: a rename, a final dot."""

    message: MessageKey
    destination: str
    recipients: tuple[str, ...]
    state: DeliveryState
    """STAGED or DOT_SENT."""
    staged_as: str = ""
    """The file's name in ``tmp/`` and ``new/``."""
    recorded_at: float = 0.0
    """Set when read back: when it was recorded, in seconds since the epoch."""

    @property
    def deliveries(self) -> tuple[DeliveryKey, ...]:
        """One key for each recipient."""
        message, destination = self.message, self.destination
        return tuple([DeliveryKey(message, destination, r) for r in self.recipients])


class Journal(Protocol):
    """What a destination must ask before, and tell after, a step that cannot be taken back."""

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Make ``settled`` and ``intents`` durable in one transaction.

        On return the steps in ``intents`` may be taken. Raises LedgerError: then they must not,
        and nothing of ``settled`` may be relied on.
        """
        ...


# -- what the ledger remembers ---------------------------------------------------------------


class MessageState(Enum):
    """Where one message stands, all its deliveries together."""

    PENDING = "pending"
    """At least one delivery is to be tried (again) at ``next_try``."""
    HELD = "held"
    """No destination takes what is left of it; ``next_try`` may still offer another attempt."""
    SETTLED = "settled"
    """Every delivery has its receipt."""
    ADOPTED = "adopted"
    """It was there before popsync and counts as seen."""
    GONE = "gone"
    """A complete listing no longer shows it: a tombstone."""
    DROPPED = "dropped"
    """The operator gave it up; it is neither delivered nor deleted."""


class Kept(Enum):
    """Whether a message that is still owed has a copy in the spool, and what that means."""

    NOT = "not kept"
    SPOOLED = "its copy is delivered from, so it is not retrieved again"
    LEFT = "the maildrop has stopped showing it; what is listed under its name may be another"
    DAMAGED = "its copy cannot be used, so it is retrieved again"


class KnownMessage(NamedTuple):
    """One generation of one unique-id, as the ledger remembers it."""

    unique_id: UniqueId
    digest: Digest | None
    """None when it was never retrieved: adopted, refused by the server, or too large."""
    state: MessageState
    copies: int
    """How many rows of a listing it stood for when it was last retrieved."""
    first_seen: float
    settled_at: float | None
    next_try: float | None
    suspect: bool
    """Its bytes may not be the whole message, so it is never deleted."""
    deletions: int
    """How often DELE was issued for it."""
    oversize: bool
    """Held only for its size; a larger ``max_size`` frees it."""
    listed_octets: int = 0
    """What LIST claimed when it was last dealt with; 0 when that is not known."""
    looked_again: bool = False
    """It was suspect, and a second retrieval brought the same bytes."""
    served: frozenset[str] = frozenset()
    """The destinations it was for when it was first retrieved."""
    kept: Kept = Kept.NOT


class Hint(NamedTuple):
    """What stood at one message number when last looked at, without a usable unique-id.

    It may save a second RETR, and is no identity: what it says is neither deleted nor buried.
    """

    octets: int
    """What LIST claimed."""
    unique_id: UniqueId
    """Its content key; NAMELESS when the session broke over it."""
    retrieved_at: float
    """In seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class AccountMemory:
    """All that the ledger knows of one account when a session begins."""

    messages: Mapping[UniqueId, tuple[KnownMessage, ...]] = field(default_factory=dict)
    polled_before: bool = False
    """A complete listing of it was seen at least once."""
    renumbering: bool = False
    """Its unique-ids changed all at once, and not every message has been matched yet."""
    lock_step: bool = False
    """Its server once mixed up pipelined replies; one command at a time from then on."""
    content_keys: bool = False
    """Its unique-ids change again and again, so its messages are known by their content."""
    hints: Mapping[MessageNumber, Hint] = field(default_factory=dict)
    stamp: bytes = b""
    """Another one after each change of this; empty when it has just changed."""


class Quiet(NamedTuple):
    """A listing that leaves nothing to do as long as what the ledger knows stays as it is."""

    fingerprint: bytes
    until: float
    """When time alone gives something to do, in seconds since the epoch."""
    stamp: bytes
    """That of the memory which it was compared with."""


class AccountOutset(NamedTuple):
    """What the ledger says of an account before a session begins."""

    lock_step: bool = False
    """Its server once mixed up pipelined replies; one command at a time from then on."""
    owes: bool = False
    """Some message is not settled, so deliveries may be open, or owed to another destination."""
    quiet: Quiet | None = None


class DeliveryStatus(NamedTuple):
    """Where one delivery stands, with what the next attempt must know."""

    state: DeliveryState
    attempts: int
    """How often it was tried and not delivered."""
    next_try: float | None
    doubts: int = 0
    """How often it went out, or may have, without a receipt; such a delivery carries a mark."""


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """A message that is still owed and has a copy in the spool, with all its deliveries."""

    message: MessageKey
    octets: int
    listed_octets: int
    first_seen: float
    suspect: bool
    left: bool
    """The maildrop has stopped showing it."""
    deliveries: Mapping[DeliveryKey, DeliveryStatus]


class Keeping(NamedTuple):
    """What came of putting messages into the spool."""

    messages: frozenset[MessageKey]
    """Those that are safe there."""
    trouble: str = ""
    """Why the others are not, in words for a person."""


# -- what the ledger is told -----------------------------------------------------------------


class SeenMessage(NamedTuple):
    """A retrieved message, and every delivery it owes: written before or with the first of them.

    Telling the ledger again of a message it knows changes only ``copies``, ``suspect`` and, for a
    tombstone, brings it back; its deliveries stay the ones it began with.
    """

    message: MessageKey
    octets: int
    copies: int
    suspect: bool
    deliveries: tuple[tuple[str, str], ...]
    """(destination, recipient) pairs."""
    listed_octets: int = 0
    """What LIST claims; not the same as ``octets`` on servers that count in their own way."""
    message_id: str = ""
    """What its header says, escaped, so that a person can ask for it."""


class DeliveryChange(NamedTuple):
    """The new state of one delivery."""

    delivery: DeliveryKey
    state: DeliveryState
    reply: str = ""
    """The destination's own words, escaped."""
    attempts: int = 0
    next_try: float | None = None
    doubts: int = 0
    staged_as: str = ""


class UnretrievedMessage(NamedTuple):
    """A listed message that was not retrieved and must be remembered all the same."""

    unique_id: UniqueId
    octets: int
    state: MessageState
    """ADOPTED, PENDING (the server would not give it now) or HELD (too large)."""
    reason: str = ""
    next_try: float | None = None
    oversize: bool = False


@dataclass(frozen=True, slots=True)
class PollSummary:
    """What one poll came to, for ``status``."""

    began_at: float
    ended_at: float
    listed: int = 0
    delivered: int = 0
    octets: int = 0
    deleted: int = 0
    held: int = 0
    deferred: int = 0
    error: str = ""
    """One line for a person; empty when all went well."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was delivered, deleted or set aside."""
        return not any((self.delivered, self.deleted, self.held, self.deferred))
