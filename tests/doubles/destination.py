"""Destinations in memory that keep to the contract, step by step, and fail where they are told.

What they hold outlives a crash of the poll, as a disk or another server does.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from popsync.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryInDoubt,
    DeliveryRejected,
    DestinationUnavailable,
)
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
)
from tests.doubles.maildrop import TrackedContent

MARK = b"X-Popsync-Redelivery:"


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message as it came to a destination."""

    message: MessageKey
    recipients: tuple[str, ...]
    header: bytes
    octets: bytes
    reverse_path: str

    @property
    def marked(self) -> bool:
        """Whether it says that it may have come before."""
        return MARK in self.header


async def _no_wait(parcels: Sequence[Parcel]) -> None:
    """Deliver at once."""


def _go_on(step: str) -> None:
    """Take every step."""


@dataclass
class MemoryDestination(ABC):
    """What both kinds share: a name, what has arrived, what it refuses and when it is down."""

    name: str
    arrived: list[Arrived] = field(default_factory=list)
    """Everything that ever arrived; a reader may have taken it away since."""
    refusals: dict[bytes, DeliveryError] = field(default_factory=dict)
    """Content → what is said to it."""
    down: bool = False
    step: Callable[[str], None] = _go_on
    """Called before every step that lasts; may raise."""
    before_delivery: Callable[[Sequence[Parcel]], Awaitable[None]] = _no_wait
    batches: list[int] = field(default_factory=list)
    recovered: list[Intent] = field(default_factory=list)

    @property
    def contents(self) -> list[bytes]:
        """The contents that have arrived, in order."""
        return [arrived.octets for arrived in self.arrived]

    async def ready(self) -> None:
        """Say whether it is up."""
        if self.down:
            raise DestinationUnavailable(f"{self.name} is down")

    @abstractmethod
    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Deliver, every outcome through the journal."""

    @abstractmethod
    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Say what became of open steps."""

    async def _begin(self, parcels: Sequence[Parcel]) -> None:
        self.batches.append(len(parcels))
        await self.before_delivery(parcels)
        await self.ready()

    def _arrive(self, parcel: Parcel) -> None:
        octets = b"".join(parcel.content.chunks())
        envelope = parcel.envelope
        self.arrived.append(
            Arrived(
                parcel.message, envelope.recipients, parcel.header, octets, envelope.reverse_path
            )
        )


def _receipts(parcel: Parcel, destination: str, reply: str) -> list[Outcome]:
    return [
        Receipt(DeliveryKey(parcel.message, destination, recipient), reply)
        for recipient in parcel.envelope.recipients
    ]


def _refuse(parcel: Parcel, destination: str, error: DeliveryError) -> list[Outcome]:
    return [
        Refusal(DeliveryKey(parcel.message, destination, recipient), error)
        for recipient in parcel.envelope.recipients
    ]


@dataclass
class TwoPhaseDestination(MemoryDestination):
    """Stages, then renames, as a Maildir does: exactly once, whatever happens (P4)."""

    staged: dict[str, Parcel] = field(default_factory=dict)
    """What lies in ``tmp/``."""

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Stage all, record, rename all, record."""
        await self._begin(parcels)
        refused: list[Outcome] = []
        taken = []
        for parcel in parcels:
            octets = b"".join(parcel.content.chunks())
            if error := self.refusals.get(octets):
                refused += _refuse(parcel, self.name, error)
                continue
            self.step("stage")
            self.staged[parcel.name] = parcel._replace(content=TrackedContent(octets))
            taken.append(parcel)
        await journal.record(refused, [self._intent(parcel) for parcel in taken])
        receipts: list[Outcome] = []
        for parcel in taken:
            self._rename(parcel.name)
            receipts += _receipts(parcel, self.name, parcel.name)
        self.step("sync")
        if receipts:
            await journal.record(receipts, [])

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Go on at the rename when the file is still staged; else it has been renamed."""
        self.recovered += intents
        await self.ready()
        for intent in intents:
            if intent.staged_as in self.staged:
                self._rename(intent.staged_as)
        return [Receipt(key, intent.staged_as) for intent in intents for key in intent.deliveries]

    def _intent(self, parcel: Parcel) -> Intent:
        return Intent(
            parcel.message,
            self.name,
            parcel.envelope.recipients,
            DeliveryState.STAGED,
            parcel.name,
        )

    def _rename(self, name: str) -> None:
        self.step("rename")
        self._arrive(self.staged.pop(name))


@dataclass
class OneShotDestination(MemoryDestination):
    """Takes a message at the final dot, as an SMTP server does: at most one in doubt."""

    lose_replies: int = 0
    """So many replies to final dots are lost from now on; the messages arrive all the same."""
    swallow: bool = False
    """Messages whose reply is lost do not arrive."""
    parts_when_lost: bool = True
    """A lost reply means a lost connection, so what is left of the batch has to wait."""

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Before each dot, record the reply to the one before and the intent for this one."""
        await self._begin(parcels)
        settled: list[Outcome] = []
        for parcel in parcels:
            await journal.record(settled, [self._intent(parcel)])
            settled = self._send_dot(parcel)
            if self.parts_when_lost and _is_lost(settled):
                await journal.record(settled, [])
                raise DestinationUnavailable(f"{self.name} closed the connection")
        await journal.record(settled, [])

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Nobody knows what became of the dots."""
        self.recovered += intents
        lost = DeliveryInDoubt("popsync ended before the reply")
        return [Refusal(key, lost) for intent in intents for key in intent.deliveries]

    def _intent(self, parcel: Parcel) -> Intent:
        recipients = parcel.envelope.recipients
        return Intent(parcel.message, self.name, recipients, DeliveryState.DOT_SENT)

    def _send_dot(self, parcel: Parcel) -> list[Outcome]:
        self.step("dot")
        error = self.refusals.get(b"".join(parcel.content.chunks()))
        if error:
            return _refuse(parcel, self.name, error)
        lost = self.lose_replies > 0
        if not (lost and self.swallow):
            self._arrive(parcel)
        self.step("reply")
        if lost:
            self.lose_replies -= 1
            return _refuse(parcel, self.name, DeliveryInDoubt("no reply to the final dot"))
        return _receipts(parcel, self.name, "250 taken")


def _is_lost(settled: Sequence[Outcome]) -> bool:
    return any(isinstance(o, Refusal) and isinstance(o.error, DeliveryInDoubt) for o in settled)


DEFERRED = DeliveryDeferred("451 try again later")
REJECTED = DeliveryRejected("554 not here")
