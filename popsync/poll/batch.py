"""One batch of retrieved messages to every destination that is still owed them."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from popsync.errors import LedgerError, escape
from popsync.model import (
    AccountMemory,
    Content,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Digest,
    Envelope,
    ListedMessage,
    MessageKey,
    Parcel,
    RetrievedMessage,
    SeenMessage,
    UniqueId,
)
from popsync.poll.disposition import NEVER_TRIED
from popsync.poll.events import Warned
from popsync.poll.header import (
    close_header,
    find_message_id,
    format_redelivery_mark,
    format_suspicion,
    parcel_name,
    read_head,
)
from popsync.poll.journal import BatchJournal
from popsync.poll.plan import PollPlan
from popsync.poll.policy import Account, Route
from popsync.poll.ports import Ports
from popsync.poll.renumbering import Statuses, recognise


@dataclass(slots=True)
class Session:
    """What is known of one session, and what has come of it so far."""

    account: Account
    ports: Ports
    memory: AccountMemory
    plan: PollPlan
    vanished: frozenset[Digest] = frozenset()
    """Of known messages that nobody told the server to delete and that are not listed."""
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
    """One message, all its deliveries as they stood before, and those to be made now."""

    key: MessageKey
    rows: Sequence[RetrievedMessage]
    """Every row of the listing that brought it: identical copies may share a unique-id."""
    statuses: Mapping[DeliveryKey, DeliveryStatus]
    owed: tuple[DeliveryKey, ...]

    @property
    def suspect(self) -> str:
        """Why its bytes may not be the whole message; empty when there is no doubt."""
        return next((row.suspect for row in self.rows if row.suspect), "")

    @property
    def content(self) -> Content:
        """The message itself, from the first of its rows."""
        return self.rows[0].content


async def deliver_batch(messages: Sequence[RetrievedMessage], session: Session) -> None:
    """Bring each message to every destination that is owed it, all destinations at once.

    What came of each is in ``session`` and in the ledger afterwards. Closes the contents. Raises
    LedgerError or DestinationUnavailable, once every destination has ended.
    """
    try:
        consignments = await _consign(messages, session)
        journal = _open_journal(consignments, session)
        try:
            await journal.remember([c.key for c in consignments if not c.owed])
            await _send(consignments, journal, session)
        finally:
            _settle(consignments, journal, session)
    finally:
        for message in messages:
            message.content.close()


# -- what is owed ----------------------------------------------------------------------------


async def _consign(
    messages: Sequence[RetrievedMessage], session: Session
) -> tuple[Consignment, ...]:
    rows: dict[MessageKey, list[RetrievedMessage]] = defaultdict(list)
    for message in messages:
        key = MessageKey(session.account.id, message.listed.unique_id, message.content.digest)
        rows[key].append(message)
    known = await _known(rows.keys(), session)
    strangers = {
        key: same[0].content.octets
        for key, same in rows.items()
        if key not in known and _may_be_renamed(key, same[0].content, session)
    }
    if strangers:
        known |= await recognise(
            session.account.id, strangers, session.memory, session.ports.ledger
        )
    session.copies.update({key: len(same) for key, same in rows.items()})
    now = session.ports.clock()
    routes = session.account.routes
    consignments = []
    for key, same in rows.items():
        statuses = known[key] if key in known else _every_delivery(key, routes)
        owed = _due_deliveries(statuses, routes, now)
        consignments.append(Consignment(key, same, statuses, owed))
    return tuple(consignments)


def _may_be_renamed(key: MessageKey, content: Content, session: Session) -> bool:
    """Tell whether an unknown message may be a known one: now, or when it could not be had.

    While not all messages are being matched, that takes a Message-ID: without one, two messages
    may well have the same octets (P1).
    """
    if session.plan.renumbered:
        return True
    generations = session.memory.messages.get(key.unique_id, ())
    may_be = key.digest in session.vanished or any(known.digest is None for known in generations)
    return may_be and bool(find_message_id(read_head(content.chunks())))


async def _known(keys: Collection[MessageKey], session: Session) -> dict[MessageKey, Statuses]:
    """Ask the ledger of those messages that it can know; most are new."""
    memory = session.memory.messages
    asked = [key for key in keys if key.unique_id in memory or key in session.copies]
    return dict(await session.ports.ledger.deliveries(asked)) if asked else {}


def _every_delivery(key: MessageKey, routes: Sequence[Route]) -> Statuses:
    return {
        DeliveryKey(key, route.destination, recipient): NEVER_TRIED
        for route in routes
        for recipient in route.recipients
    }


def _due_deliveries(
    statuses: Statuses, routes: Sequence[Route], now: float
) -> tuple[DeliveryKey, ...]:
    """Give what is not delivered yet, may be tried now, and has a destination to go to."""
    configured = {route.destination for route in routes}
    return tuple(
        delivery
        for delivery, status in statuses.items()
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
    return BatchJournal(
        session.ports,
        account=session.account.name,
        seen={c.key: _seen(c, session) for c in consignments},
        statuses={key: status for c in consignments for key, status in c.statuses.items()},
    )


def _seen(consignment: Consignment, session: Session) -> SeenMessage:
    return SeenMessage(
        consignment.key,
        octets=consignment.content.octets,
        copies=session.copies[consignment.key],
        suspect=bool(consignment.suspect),
        deliveries=tuple((d.destination, d.recipient) for d in consignment.statuses),
        listed_octets=consignment.rows[0].listed.octets,
        message_id=escape(find_message_id(read_head(consignment.content.chunks()))),
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
    doubts = max(consignment.statuses[key].doubts for key in owed)
    content = consignment.content
    head = read_head(content.chunks())
    now = session.ports.clock()
    name = parcel_name(consignment.key)
    account = session.account
    header = account.trace(name, now) if account.trace else b""
    if doubts:
        header += format_redelivery_mark(doubts)
    if consignment.suspect:
        header += format_suspicion(consignment.suspect)
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
    for consignment in consignments:
        is_settled = _is_settled(consignment, journal)
        rows = [row.listed for row in consignment.rows]
        (session.settled if is_settled else session.unsettled).extend(rows)
        if is_settled and consignment.owed:
            session.delivered += 1
            session.octets += consignment.content.octets
        _note_suspect(consignment, session)
    session.held += len(journal.held)
    session.deferred += len(journal.deferred - journal.held)


def _is_settled(consignment: Consignment, journal: BatchJournal) -> bool:
    return all(
        status.state is DeliveryState.DELIVERED or key in journal.received
        for key, status in consignment.statuses.items()
    )


def _note_suspect(consignment: Consignment, session: Session) -> None:
    for row in consignment.rows:
        if row.suspect:
            session.suspect.add(row.listed.unique_id)
            text = f"message {escape(row.listed.unique_id)} stays on the server: {row.suspect}"
            session.ports.observe(Warned(session.account.name, text))
