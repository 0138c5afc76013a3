"""What the ledger is told of messages, deliveries and polls."""

from typing import NamedTuple

from popsync.model.delivery import DeliveryKey, DeliveryState, MessageKey
from popsync.model.memory import MessageState
from popsync.model.names import UniqueId


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


class PollSummary(NamedTuple):
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
