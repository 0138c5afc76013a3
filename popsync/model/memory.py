"""What the ledger remembers of accounts, messages and deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from popsync.model.delivery import DeliveryKey, DeliveryState, MessageKey
from popsync.model.names import Digest, MessageNumber, UniqueId


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


class SpooledMessage(NamedTuple):
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
