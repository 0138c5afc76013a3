"""One batch of retrieved messages to every destination that is still owed them."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from popsync.errors import LedgerError
from popsync.model import (
    AccountMemory,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Envelope,
    ListedMessage,
    MessageKey,
    Parcel,
    RetrievedMessage,
    SeenMessage,
    UniqueId,
)
from popsync.poll.header import close_header, format_redelivery_mark, parcel_name, read_head
from popsync.poll.journal import BatchJournal
from popsync.poll.plan import PollPlan
from popsync.poll.policy import Account, Route
from popsync.poll.ports import Ports


@dataclass(slots=True)
class Session:
    """What is known of one session, and what has come of it so far."""

    account: Account
    ports: Ports
    memory: AccountMemory
    plan: PollPlan
    copies: Counter[MessageKey] = field(default_factory=Counter)
    settled: list[ListedMessage] = field(default_factory=list)
    """Retrieved, and every delivery has its receipt."""
    unsettled: list[ListedMessage] = field(default_factory=list)
    """Retrieved, and still owed to some destination: QUIT would be too early."""
    refused: list[ListedMessage] = field(default_factory=list)
    """The server would not give them."""
    suspect: set[UniqueId] = field(default_factory=set)
    """Retrieved with doubtful bytes: never deleted."""
    delivered: int = 0
    octets: int = 0
    held: int = 0
    deferred: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything that the plan wanted has been dealt with."""
        dealt_with = len(self.settled) + len(self.unsettled) + len(self.refused)
        return self.plan.is_whole and dealt_with == len(self.plan.retrieve)


class Consignment(NamedTuple):
    """One message, where its deliveries stood before, and what is to be delivered now."""

    key: MessageKey
    message: RetrievedMessage
    before: Mapping[DeliveryKey, DeliveryStatus]
    owed: tuple[DeliveryKey, ...]
    is_new: bool


async def deliver_batch(messages: Sequence[RetrievedMessage], session: Session) -> None:
    """Bring each message to every destination that is owed it, all destinations at once.

    What came of each is in ``session`` and in the ledger afterwards. Closes the contents. Raises
    LedgerError or DestinationUnavailable, once every destination has ended.
    """
    try:
        consignments = await _consign(messages, session)
        journal = _open_journal(consignments, session)
        try:
            await _send(consignments, journal, session)
            await journal.write_rest()
        finally:
            _settle(consignments, journal, session)
    finally:
        for message in messages:
            message.content.close()


# -- what is owed ----------------------------------------------------------------------------


async def _consign(
    messages: Sequence[RetrievedMessage], session: Session
) -> tuple[Consignment, ...]:
    keys = [MessageKey(session.account.id, m.listed.unique_id, m.content.digest) for m in messages]
    known = await _known(keys, session)
    matched = await _match_renumbered(keys, session)
    now = session.ports.clock()
    consignments = []
    for key, message in zip(keys, messages, strict=True):
        session.copies[key] += 1
        is_first = session.copies[key] == 1
        before = known.get(key)
        is_new = before is None and is_first and key.digest not in matched
        owed = _every_delivery(key, session.account.routes) if is_new else ()
        if before and is_first:
            owed = _due_deliveries(before, session.account.routes, now)
        consignments.append(Consignment(key, message, before or {}, owed, is_new))
    return tuple(consignments)


async def _known(
    keys: Sequence[MessageKey], session: Session
) -> Mapping[MessageKey, Mapping[DeliveryKey, DeliveryStatus]]:
    """Ask the ledger of those messages that it can know; most are new."""
    asked = [key for key in keys if key.unique_id in session.memory.messages]
    return await session.ports.ledger.deliveries(asked) if asked else {}


async def _match_renumbered(keys: Sequence[MessageKey], session: Session) -> frozenset[bytes]:
    """Give the digests that need no delivery: known messages under a new unique-id."""
    if not session.plan.renumbered:
        return frozenset()
    digests = [key.digest for key in keys if key.unique_id not in session.memory.messages]
    return await session.ports.ledger.known_digests(session.account.id, digests)


def _every_delivery(key: MessageKey, routes: Sequence[Route]) -> tuple[DeliveryKey, ...]:
    return tuple(
        DeliveryKey(key, route.destination, recipient)
        for route in routes
        for recipient in route.recipients
    )


def _due_deliveries(
    before: Mapping[DeliveryKey, DeliveryStatus], routes: Sequence[Route], now: float
) -> tuple[DeliveryKey, ...]:
    """Give what is not delivered yet, may be tried now, and has a destination to go to."""
    configured = {route.destination for route in routes}
    return tuple(
        delivery
        for delivery, status in before.items()
        if delivery.destination in configured and _is_due(status, now)
    )


def _is_due(status: DeliveryStatus, now: float) -> bool:
    match status.state:
        case DeliveryState.DELIVERED | DeliveryState.STAGED | DeliveryState.DOT_SENT:
            return False
        case DeliveryState.HELD:
            return status.next_try is not None and status.next_try <= now
        case DeliveryState.SEEN | DeliveryState.DEFERRED | DeliveryState.IN_DOUBT:
            return status.next_try is None or status.next_try <= now


# -- delivering ------------------------------------------------------------------------------


def _open_journal(consignments: Sequence[Consignment], session: Session) -> BatchJournal:
    statuses = {key: status for c in consignments for key, status in c.before.items()}
    return BatchJournal(
        session.ports,
        account=session.account.name,
        seen={c.key: _seen(c, session) for c in consignments},
        statuses=statuses,
        contents={c.key: c.message.content for c in consignments},
    )


def _seen(consignment: Consignment, session: Session) -> SeenMessage:
    return SeenMessage(
        consignment.key,
        octets=consignment.message.content.octets,
        copies=session.copies[consignment.key],
        suspect=bool(consignment.message.suspect),
        deliveries=tuple((d.destination, d.recipient) for d in consignment.owed)
        if consignment.is_new
        else (),
    )


async def _send(
    consignments: Sequence[Consignment], journal: BatchJournal, session: Session
) -> None:
    """Let every destination deliver its parcels; raise the gravest of their errors."""
    work = []
    for name, destination in session.ports.destinations.items():
        parcels = [p for c in consignments if (p := _pack(c, name, session)) is not None]
        if parcels:
            work.append(destination.deliver(parcels, journal))
    results = await asyncio.gather(*work, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise min(errors, key=lambda error: not isinstance(error, LedgerError))


def _pack(consignment: Consignment, destination: str, session: Session) -> Parcel | None:
    """Make the parcel of one message for one destination, or None when nothing is owed there."""
    owed = [key for key in consignment.owed if key.destination == destination]
    if not owed:
        return None
    statuses = [consignment.before[key] for key in owed if key in consignment.before]
    doubts = max((status.doubts for status in statuses), default=0)
    content = consignment.message.content
    head = read_head(content.chunks())
    now = session.ports.clock()
    name = parcel_name(consignment.key)
    account = session.account
    header = account.trace(name, now) if account.trace else b""
    if doubts:
        header += format_redelivery_mark(doubts)
    return Parcel(
        message=consignment.key,
        content=content,
        envelope=Envelope(account.find_reverse_path(head), tuple(key.recipient for key in owed)),
        header=close_header(header, head),
        name=name,
        received_at=now,
    )


# -- what has come of it ---------------------------------------------------------------------


def _settle(consignments: Sequence[Consignment], journal: BatchJournal, session: Session) -> None:
    # Of identical copies only the first is consigned, so they share its fate by key.
    left = {
        c.key
        for c in consignments
        if not journal.received.issuperset(c.owed) or _has_undelivered(c, journal)
    }
    for c in consignments:
        if c.message.suspect:
            session.suspect.add(c.key.unique_id)
        (session.unsettled if c.key in left else session.settled).append(c.message.listed)
        if c.owed and c.key not in left:
            session.delivered += 1
            session.octets += c.message.content.octets
    session.held += len(journal.held)
    session.deferred += len(journal.deferred - journal.held)


def _has_undelivered(consignment: Consignment, journal: BatchJournal) -> bool:
    return any(
        status.state is not DeliveryState.DELIVERED and key not in journal.received
        for key, status in consignment.before.items()
    )
