"""One batch of retrieved messages to every destination that is still owed them."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from popsync.errors import DeliveryBroken, LedgerError, escape
from popsync.model import (
    Content,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Envelope,
    MessageKey,
    Parcel,
    Refusal,
    RetrievedMessage,
    SeenMessage,
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
from popsync.poll.isolation import isolate_bugs
from popsync.poll.journal import BatchJournal
from popsync.poll.policy import Route
from popsync.poll.renumbering import Statuses, recognise
from popsync.poll.session import Session

Rows = Mapping[MessageKey, Sequence[RetrievedMessage]]
"""Of each message every row of the listing that brought it: identical copies may share a key."""


class Consignment(NamedTuple):
    """One message, all its deliveries as they stood before, and those to be made now."""

    key: MessageKey
    rows: Sequence[RetrievedMessage]
    statuses: Mapping[DeliveryKey, DeliveryStatus]
    owed: tuple[DeliveryKey, ...]
    message_id: str = ""
    """Escaped; empty when it has none."""

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
    LedgerError or DestinationUnavailable, once every destination has ended. A bug that a message
    brings to light stops no other (P5) and is raised in the end.
    """
    rows: dict[MessageKey, list[RetrievedMessage]] = defaultdict(list)
    settled: set[MessageKey] = set()

    async def deliver(keys: Collection[MessageKey]) -> None:
        await _deliver({key: rows[key] for key in keys}, settled, session)

    async def blame(key: MessageKey, bug: Exception) -> None:
        await _blame(key, rows[key], bug, session)

    try:
        for message in messages:
            listed, content = message.listed, message.content
            rows[MessageKey(session.account.id, listed.unique_id, content.digest)].append(message)
        session.copies.update({key: len(same) for key, same in rows.items()})
        await isolate_bugs(rows.keys(), deliver, blame)
    finally:
        _part(rows, settled, session)
        for message in messages:
            message.content.close()


async def _deliver(rows: Rows, settled: set[MessageKey], session: Session) -> None:
    """Deliver what is owed now; adds to ``settled`` what is owed nothing any more."""
    consignments = await _consign(rows, session)
    journal = _open_journal(consignments, session)
    try:
        await journal.remember([c.key for c in consignments if not c.owed])
        await _send(consignments, journal, session)
    finally:
        for consignment in consignments:
            if _is_settled(consignment, journal):
                settled.add(consignment.key)
                _count_delivered(consignment, session)
        _count_refused(journal, session)


async def _blame(
    key: MessageKey, rows: Sequence[RetrievedMessage], bug: Exception, session: Session
) -> None:
    """Defer what can still be deferred of a message on which we fail.

    Nothing is read of it: that may be what fails. What a destination may have by now waits for
    recovery.
    """
    known = await session.ports.ledger.deliveries([key])
    statuses = known[key] if key in known else _every_delivery(key, session.account.routes)
    owed = _due_deliveries(statuses, session.account.routes, session.ports.clock())
    journal = _open_journal([Consignment(key, rows, statuses, owed)], session)
    words = escape(f"popsync fails on this message: {type(bug).__name__}: {bug}")
    error = DeliveryBroken(words)
    error.__cause__ = bug
    await journal.record([Refusal(delivery, error) for delivery in owed], [])
    _count_refused(journal, session)


# -- what is owed ----------------------------------------------------------------------------


async def _consign(rows: Rows, session: Session) -> tuple[Consignment, ...]:
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
    now = session.ports.clock()
    routes = session.account.routes
    consignments = []
    for key, same in rows.items():
        statuses = known[key] if key in known else _every_delivery(key, routes)
        owed = _due_deliveries(statuses, routes, now)
        message_id = find_message_id(read_head(same[0].content.chunks()))
        consignments.append(Consignment(key, same, statuses, owed, escape(message_id)))
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
    asked = [key for key in keys if key.unique_id in memory or key in session.consigned]
    session.consigned.update(keys)
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
        message_id=consignment.message_id,
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


def _count_delivered(consignment: Consignment, session: Session) -> None:
    if consignment.owed:
        session.delivered += 1
        session.octets += consignment.content.octets


def _count_refused(journal: BatchJournal, session: Session) -> None:
    session.held += len(journal.held)
    session.deferred += len(journal.deferred - journal.held)


def _is_settled(consignment: Consignment, journal: BatchJournal) -> bool:
    return all(
        status.state is DeliveryState.DELIVERED or key in journal.received
        for key, status in consignment.statuses.items()
    )


def _part(rows: Rows, settled: Collection[MessageKey], session: Session) -> None:
    """Tell the session which rows are settled, and which must not be deleted in any case."""
    for key, same in rows.items():
        listed = [row.listed for row in same]
        (session.settled if key in settled else session.unsettled).extend(listed)
        for row in same:
            _note_suspect(row, session)


def _note_suspect(row: RetrievedMessage, session: Session) -> None:
    if row.suspect:
        session.suspect.add(row.listed.unique_id)
        text = f"message {escape(row.listed.unique_id)} stays on the server: {row.suspect}"
        session.ports.observe(Warned(session.account.name, text))
