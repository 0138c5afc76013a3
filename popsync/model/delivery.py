"""Deliveries, and the one contract that binds a destination to the ledger."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from popsync.errors import DeliveryError
from popsync.model.names import AccountId, Digest, UniqueId
from popsync.model.session import Content


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


class Parcel(NamedTuple):
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


class Intent(NamedTuple):
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
