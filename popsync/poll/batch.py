"""One batch of retrieved messages to every destination that is still owed them."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

from popsync.errors import (
    DeliveryBroken,
    DeliveryLooped,
    DestinationUnavailable,
    LedgerError,
    escape,
)
from popsync.model import (
    Envelope,
    MessageKey,
    Parcel,
    Refusal,
    RetrievedMessage,
    SeenMessage,
)
from popsync.poll.consignment import Consignment, Rows, consign, consign_unread
from popsync.poll.events import Warned
from popsync.poll.header import (
    close_header,
    format_loop_mark,
    format_redelivery_mark,
    format_suspicion,
    parcel_name,
)
from popsync.poll.isolation import isolate_bugs
from popsync.poll.journal import BatchJournal
from popsync.poll.keeping import put_by
from popsync.poll.pauses import with_pauses
from popsync.poll.session import Session


async def deliver_batch(messages: Sequence[RetrievedMessage], session: Session) -> None:
    """Bring each message to every destination that is owed it, all destinations at once.

    What came of each is in ``session`` and in the ledger afterwards: what a destination lacks,
    also because it takes nothing now, is put into the spool. Closes the contents. Raises
    LedgerError, once every destination has ended. A bug that a message brings to light stops no
    other (P5) and is raised in the end.
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
    consignments = await consign(rows, session)
    journal = _open_journal(consignments, session)
    try:
        await _hold_looped(consignments, journal)
        await journal.remember([c.key for c in consignments if not c.owed])
        await _send([c for c in consignments if not c.loop], journal, session)
    finally:
        for consignment in consignments:
            if journal.has_settled(consignment.statuses):
                settled.add(consignment.key)
                _count_delivered(consignment, session)
        _count_refused(journal, session)
        _count_waiting(consignments, journal, session)
    await put_by(consignments, settled, journal, session)


async def _blame(
    key: MessageKey, rows: Sequence[RetrievedMessage], bug: Exception, session: Session
) -> None:
    """Defer what can still be deferred of a message on which we fail.

    Nothing is read of it: that may be what fails. What a destination may have by now waits for
    recovery.
    """
    consignment = await consign_unread(key, rows, session)
    journal = _open_journal([consignment], session)
    words = escape(f"popsync fails on this message: {type(bug).__name__}: {bug}")
    error = DeliveryBroken(words)
    error.__cause__ = bug
    await journal.record([Refusal(delivery, error) for delivery in consignment.owed], [])
    _count_refused(journal, session)


# -- delivering ------------------------------------------------------------------------------


def _open_journal(consignments: Sequence[Consignment], session: Session) -> BatchJournal:
    return BatchJournal(
        session.ports,
        account=session.account.name,
        seen={c.key: _seen(c, session) for c in consignments},
        statuses={key: status for c in consignments for key, status in c.statuses.items()},
        written=session.from_spool,
    )


def _seen(consignment: Consignment, session: Session) -> SeenMessage:
    return SeenMessage(
        consignment.key,
        octets=consignment.content.octets,
        copies=session.copies[consignment.key],
        suspect=bool(consignment.suspect),
        deliveries=tuple([d[1:] for d in consignment.statuses]),
        listed_octets=consignment.rows[0].listed.octets,
        message_id=escape(consignment.header.message_id),
    )


async def _hold_looped(consignments: Sequence[Consignment], journal: BatchJournal) -> None:
    refusals = [
        Refusal(delivery, DeliveryLooped(c.loop))
        for c in consignments
        if c.loop
        for delivery in c.owed
    ]
    if refusals:
        await journal.record(refusals, [])


async def _send(
    consignments: Sequence[Consignment], journal: BatchJournal, session: Session
) -> None:
    """Let every destination that is up deliver its parcels; raise the gravest of their errors."""
    parcels = {
        name: [
            parcel
            async for consignment in with_pauses(consignments)
            if (parcel := _pack(consignment, name, session)) is not None
        ]
        for name in session.ports.destinations
    }
    work = {
        name: session.ports.destinations[name].deliver(owed, journal)
        for name, owed in parcels.items()
        if owed and name not in session.down
    }
    results = await asyncio.gather(*work.values(), return_exceptions=True)
    errors = []
    for name, result in zip(work, results, strict=True):
        if isinstance(result, DestinationUnavailable):
            session.down[name] = result
        elif isinstance(result, BaseException):
            errors.append(result)
    if errors:
        raise min(errors, key=lambda error: not isinstance(error, LedgerError))


def _pack(consignment: Consignment, destination: str, session: Session) -> Parcel | None:
    """Make the parcel of one message for one destination, or None when nothing is owed there."""
    owed = [key for key in consignment.owed if key.destination == destination]
    if not owed:
        return None
    doubts = max([consignment.statuses[key].doubts for key in owed])
    head = consignment.header.head
    now = session.ports.clock()
    name = parcel_name(consignment.key)
    account = session.account
    header = account.trace(name, now) if account.trace else b""
    if account.loop_mark:
        header += format_loop_mark(account.loop_mark)
    if doubts:
        header += format_redelivery_mark(doubts)
    if consignment.suspect:
        header += format_suspicion(consignment.suspect)
    return Parcel(
        message=consignment.key,
        content=consignment.content,
        envelope=Envelope(account.find_reverse_path(head), tuple([key.recipient for key in owed])),
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


def _count_waiting(
    consignments: Sequence[Consignment], journal: BatchJournal, session: Session
) -> None:
    """Count as deferred, too, what waits for one destination that takes nothing now.

    When none does the poll's error tells, and what was not even retrieved waits as well.
    """
    if not session.down or session.is_cut_off:
        return
    answered = journal.held | journal.deferred
    session.deferred += sum(
        c.key not in answered and any(key.destination in session.down for key in c.owed)
        for c in consignments
    )


def _part(rows: Rows, settled: Collection[MessageKey], session: Session) -> None:
    """Tell the session which rows are settled, and which must not be deleted in any case."""
    for key, same in rows.items():
        listed = [row.listed for row in same]
        if key in settled:
            session.settled += listed
        elif key in session.kept:
            session.spooled += listed
        else:
            session.unsettled += listed
        for row in same:
            _note_suspect(row, session)


def _note_suspect(row: RetrievedMessage, session: Session) -> None:
    if row.suspect and not session.from_spool:
        session.suspect.add(row.listed.unique_id)
        text = f"message {escape(row.listed.unique_id)} stays on the server: {row.suspect}"
        session.ports.observe(Warned(session.account.name, text))
