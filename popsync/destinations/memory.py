"""A destination that keeps messages in memory: for tests, and as the smallest complete example."""

from collections.abc import Sequence

from popsync.errors import DeliveryError, DeliveryUndone
from popsync.model import (
    DeliveryKey,
    DeliveryState,
    Intent,
    Journal,
    MessageKey,
    Outcome,
    Parcel,
    Receipt,
    Refusal,
    UniqueId,
)

RECIPIENT = ""


class MemoryDestination:
    """Stages, records, publishes and records like a Maildir, without a disk.

    ``failures``: what to raise, once, at ``"ready"``, ``"stage"``, ``"publish"`` or
    ``"recover"``. ``refusals``: what to answer for a unique-id, every time.
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.failures: dict[str, BaseException] = {}
        self.refusals: dict[UniqueId, DeliveryError] = {}
        self.staged: dict[str, bytes] = {}
        self.arrived: list[tuple[MessageKey, bytes]] = []
        """Header and content of each message, in the order they came."""
        self._published: set[str] = set()

    async def ready(self) -> None:
        """Do nothing, or fail as told."""
        self._fail("ready")

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Deliver all but those that ``refusals`` names."""
        self._fail("stage")
        accepted = [p for p in parcels if p.message.unique_id not in self.refusals]
        for parcel in accepted:
            self.staged[parcel.name] = parcel.header + b"".join(parcel.content.chunks())
        await journal.record(
            [self._refuse(p) for p in parcels if p.message.unique_id in self.refusals],
            [self._intent(p) for p in accepted],
        )
        self._fail("publish")
        for parcel in accepted:
            self._publish(parcel.message, parcel.name)
        await journal.record([Receipt(self._delivery(p.message), p.name) for p in accepted], ())

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Publish what is still staged; what is neither staged nor published is undone."""
        self._fail("recover")
        return [self._resume(intent) for intent in intents]

    def _fail(self, step: str) -> None:
        failure = self.failures.pop(step, None)
        if failure is not None:
            raise failure

    def _resume(self, intent: Intent) -> Outcome:
        delivery = self._delivery(intent.message)
        if intent.staged_as in self.staged:
            self._publish(intent.message, intent.staged_as)
        if intent.staged_as in self._published:
            return Receipt(delivery, intent.staged_as)
        return Refusal(delivery, DeliveryUndone(f"{self.name}: it was lost with our memory"))

    def _publish(self, message: MessageKey, name: str) -> None:
        self.arrived.append((message, self.staged.pop(name)))
        self._published.add(name)

    def _delivery(self, message: MessageKey) -> DeliveryKey:
        return DeliveryKey(message, self.name, RECIPIENT)

    def _intent(self, parcel: Parcel) -> Intent:
        return Intent(parcel.message, self.name, (RECIPIENT,), DeliveryState.STAGED, parcel.name)

    def _refuse(self, parcel: Parcel) -> Refusal:
        error = self.refusals[parcel.message.unique_id]
        return Refusal(self._delivery(parcel.message), error)
