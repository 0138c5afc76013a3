"""Messages as if just retrieved, and the smallest poll that takes them to a destination."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from popsync.errors import DeliveryError, DeliveryInDoubt, DeliveryUndone, DestinationUnavailable
from popsync.ledger import SqliteLedger
from popsync.model import (
    AccountId,
    Content,
    DeliveryChange,
    DeliveryState,
    Digest,
    Envelope,
    Intent,
    MessageKey,
    Outcome,
    Parcel,
    Receipt,
    SeenMessage,
    UniqueId,
)
from popsync.poll.ports import Destination
from popsync.storage import Scratch

ACCOUNT = AccountId("jane@pop.example.org")
RECEIVED_AT = 1_700_000_000.0


def make_content(octets: bytes) -> Content:
    """Give a content in memory."""
    return Scratch(Path()).from_bytes(octets)


def make_key(unique_id: bytes, octets: bytes = b"", account: AccountId = ACCOUNT) -> MessageKey:
    """Name a message."""
    digest = Digest(hashlib.sha256(octets or unique_id).digest())
    return MessageKey(account, UniqueId(unique_id), digest)


def make_parcel(unique_id: bytes, octets: bytes, header: bytes = b"") -> Parcel:
    """Give one message for one destination, received at a fixed time."""
    content = make_content(octets)
    return Parcel(
        MessageKey(ACCOUNT, UniqueId(unique_id), content.digest),
        content,
        Envelope("", ()),
        header,
        hashlib.sha256(unique_id).hexdigest()[:32],
        RECEIVED_AT,
    )


def make_seen(
    message: MessageKey,
    *deliveries: tuple[str, str],
    octets: int = 100,
    copies: int = 1,
    suspect: bool = False,
) -> SeenMessage:
    """Give what a poll tells the ledger of a message; it owes one Maildir unless told."""
    return SeenMessage(message, octets, copies, suspect, deliveries or (("inbox", ""),))


def change_of(outcome: Outcome) -> DeliveryChange:
    """Give what an outcome means for the ledger, as plainly as can be."""
    if isinstance(outcome, Receipt):
        return DeliveryChange(outcome.delivery, DeliveryState.DELIVERED, outcome.reply)
    return DeliveryChange(outcome.delivery, _state_after(outcome.error), str(outcome.error))


def _state_after(error: DeliveryError) -> DeliveryState:
    match error:
        case DeliveryUndone():
            return DeliveryState.SEEN
        case DeliveryInDoubt():
            return DeliveryState.IN_DOUBT
        case _:
            return DeliveryState.DEFERRED if error.temporary else DeliveryState.HELD


class LedgerJournal:
    """Writes outcomes and intents to the ledger, the messages with the first of them."""

    def __init__(self, ledger: SqliteLedger, seen: Iterable[SeenMessage] = ()) -> None:
        self._ledger = ledger
        self._seen = tuple(seen)
        self.outcomes: list[Outcome] = []

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Make both durable."""
        changes = [change_of(outcome) for outcome in settled]
        changes += [
            DeliveryChange(delivery, intent.state, staged_as=intent.staged_as)
            for intent in intents
            for delivery in intent.deliveries
        ]
        await self._ledger.record(self._seen, changes)
        self._seen = ()
        self.outcomes += settled


async def deliver_missing(
    ledger: SqliteLedger, destination: Destination, parcels: Sequence[Parcel]
) -> LedgerJournal:
    """Recover what is open, then deliver what has no receipt: a poll in miniature."""
    intents = await ledger.open_intents(ACCOUNT)
    outcomes = await destination.recover(intents)
    await ledger.record((), [change_of(outcome) for outcome in outcomes])
    statuses = await ledger.deliveries([parcel.message for parcel in parcels])
    done = {
        delivery.message
        for of_message in statuses.values()
        for delivery, status in of_message.items()
        if status.state is DeliveryState.DELIVERED
    }
    missing = [parcel for parcel in parcels if parcel.message not in done]
    seen = [make_seen(p.message, (destination.name, ""), octets=p.content.octets) for p in missing]
    journal = LedgerJournal(ledger, seen)
    await destination.ready()
    try:
        await destination.deliver(missing, journal)
    except DestinationUnavailable as error:
        error.add_note(f"{len(journal.outcomes)} had an outcome")
        raise
    return journal
