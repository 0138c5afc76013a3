"""Binds the destinations of one batch to the ledger: what happened, and what is about to."""

from collections.abc import Mapping, Sequence

from popsync.model import (
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Intent,
    MessageKey,
    Outcome,
    Receipt,
    SeenMessage,
)
from popsync.poll.disposition import NEVER_TRIED, change_after_outcome, changes_after_intent
from popsync.poll.events import Delivered, Event, NotDelivered
from popsync.poll.ports import Ports


class BatchJournal:
    """The journal that all destinations of one batch share (``popsync.model.Journal``).

    The first record that touches a message also writes the message and every delivery it owes,
    so that a crash between two destinations cannot forget the second (P1).
    """

    def __init__(
        self,
        ports: Ports,
        *,
        account: str,
        seen: Mapping[MessageKey, SeenMessage],
        statuses: Mapping[DeliveryKey, DeliveryStatus],
        written: bool = False,
    ) -> None:
        """``written``: the ledger knows all of ``seen`` and need not be told again."""
        self._ports = ports
        self._account = account
        self._seen = seen
        self._unwritten = {} if written else dict(seen)
        self._statuses = statuses
        self.received: set[DeliveryKey] = set()
        """Deliveries whose receipt is durable."""
        self.held: set[MessageKey] = set()
        self.deferred: set[MessageKey] = set()

    def has_settled(self, statuses: Mapping[DeliveryKey, DeliveryStatus]) -> bool:
        """Whether all deliveries of a message have their receipts, then or since."""
        return all(
            status.state is DeliveryState.DELIVERED or key in self.received
            for key, status in statuses.items()
        )

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Make outcomes and intents durable in one transaction, then tell the observer."""
        now = self._ports.clock()
        outcomes = [change_after_outcome(o, self._status(o.delivery), now) for o in settled]
        changes = [*outcomes, *self._changes_after(intents)]
        await self._write([change.delivery.message for change in changes], changes)
        for outcome, change in zip(settled, outcomes, strict=True):
            self._announce(outcome, change)

    async def remember(self, messages: Sequence[MessageKey]) -> None:
        """Write messages that are owed nothing now: matched, delivered before, not due."""
        if messages:
            await self._write(messages, [])

    async def _write(
        self, messages: Sequence[MessageKey], changes: Sequence[DeliveryChange]
    ) -> None:
        # Taken off only once durable: two destinations may both be first with a message, and
        # either of them may fail; to tell the ledger twice does no harm.
        first = [key for key in dict.fromkeys(messages) if key in self._unwritten]
        await self._ports.ledger.record([self._unwritten[key] for key in first], changes)
        for key in first:
            self._unwritten.pop(key, None)

    def _changes_after(self, intents: Sequence[Intent]) -> list[DeliveryChange]:
        changes: list[DeliveryChange] = []
        for intent in intents:
            statuses = [self._status(delivery) for delivery in intent.deliveries]
            changes += changes_after_intent(intent, statuses)
        return changes

    def _status(self, delivery: DeliveryKey) -> DeliveryStatus:
        return self._statuses.get(delivery, NEVER_TRIED)

    def _announce(self, outcome: Outcome, change: DeliveryChange) -> None:
        if isinstance(outcome, Receipt):
            self.received.add(outcome.delivery)
        elif change.state is DeliveryState.HELD:
            self.held.add(outcome.delivery.message)
        else:
            self.deferred.add(outcome.delivery.message)
        self._ports.observe(self._event(outcome, change))

    def _event(self, outcome: Outcome, change: DeliveryChange) -> Event:
        message, destination, recipient = outcome.delivery
        if isinstance(outcome, Receipt):
            seen = self._seen[message]
            return Delivered(
                self._account,
                message.unique_id,
                seen.octets,
                seen.message_id,
                destination,
                recipient,
                change.reply,
            )
        return NotDelivered(
            self._account,
            message.unique_id,
            destination,
            recipient,
            outcome.error,
            change.state,
        )
