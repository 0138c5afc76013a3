"""What is owed of each message of a batch: what the ledger knows, and what its header says."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from popsync.model import (
    Content,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    MessageKey,
    MessageState,
    RetrievedMessage,
)
from popsync.poll.content_keys import content_key, is_content_key
from popsync.poll.disposition import NEVER_TRIED
from popsync.poll.header import NO_HEADER, Header, explain_loop, read_header
from popsync.poll.pauses import with_pauses
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
    header: Header
    loop: str
    """Why it must not be sent on without the operator; empty when nothing speaks against it."""
    suspect: str
    """Why its bytes may not be the whole message; empty when there is no doubt."""
    content: Content
    """The message itself, from the first of its rows."""


async def consign(rows: Rows, session: Session) -> tuple[Consignment, ...]:
    """Ask the ledger what is owed of each message. Raises LedgerError.

    Leaves out, for a later session, what another name's open step keeps from being judged.
    """
    headers = {
        key: read_header(same[0].content.chunks()) async for key, same in with_pauses(rows.items())
    }
    known = await _known(rows.keys(), session)
    strangers = {
        key: same[0].content.octets
        for key, same in rows.items()
        if key not in known and _may_be_renamed(key, headers[key], session)
    }
    if strangers:
        recognised = await recognise(
            session.account.id,
            strangers,
            session.memory,
            session.ports.ledger,
            listed=session.plan.rows,
        )
        known |= {key: found for key, found in recognised.items() if found is not None}
        rows = {key: rows[key] for key in rows if recognised.get(key, ()) is not None}
    now = session.ports.clock()
    routes = session.account.routes
    consignments = []
    for key, same in rows.items():
        statuses = known[key] if key in known else _every_delivery(key, routes)
        owed = due_deliveries(statuses, routes, now)
        # What the ledger knows was looked at when it was new, or the operator wants it sent.
        is_new = key not in known
        loop = explain_loop(headers[key], session.account.loop_mark) if is_new else ""
        suspect, content = _suspicion(same), same[0].content
        consignments.append(
            Consignment(key, same, statuses, owed, headers[key], loop, suspect, content)
        )
    return tuple(consignments)


async def consign_unread(
    key: MessageKey, rows: Sequence[RetrievedMessage], session: Session
) -> Consignment:
    """Ask the ledger the same of one message of which nothing is read. Raises LedgerError."""
    routes = session.account.routes
    known = await session.ports.ledger.deliveries([key])
    statuses = known[key] if key in known else _every_delivery(key, routes)
    owed = due_deliveries(statuses, routes, session.ports.clock())
    suspect, content = _suspicion(rows), rows[0].content
    return Consignment(key, rows, statuses, owed, NO_HEADER, "", suspect, content)


def _suspicion(rows: Sequence[RetrievedMessage]) -> str:
    """Say why the bytes may not be the whole message; empty when there is no doubt."""
    return next((row.suspect for row in rows if row.suspect), "")


def _may_be_renamed(key: MessageKey, header: Header, session: Session) -> bool:
    """Tell whether an unknown message may be a known one: now, or when it could not be had.

    While not all messages are being matched, that takes a Message-ID: without one, two messages
    may well have the same octets (P1). Where content stands for a unique-id they are one.
    """
    known = session.memory.messages
    if session.plan.renumbered or is_content_key(key.unique_id):
        return True
    keyed = known.get(content_key(key.digest))
    if keyed and any(k.state is not MessageState.GONE for k in keyed):
        return True
    generations = known.get(key.unique_id)
    was_not_had = generations and any(k.digest is None for k in generations)
    return bool(was_not_had or key.digest in session.vanished) and bool(header.message_id)


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


def due_deliveries(
    statuses: Statuses, routes: Sequence[Route], now: float
) -> tuple[DeliveryKey, ...]:
    """Give what is not delivered yet, may be tried now, and has a destination to go to."""
    configured = {route.destination for route in routes}
    return tuple(
        delivery
        for delivery, status in statuses.items()
        if delivery.destination in configured and (status is NEVER_TRIED or _is_due(status, now))
    )


def _is_due(status: DeliveryStatus, now: float) -> bool:
    match status.state:
        case DeliveryState.DELIVERED | DeliveryState.STAGED | DeliveryState.DOT_SENT:
            return False
        case DeliveryState.HELD:
            return status.next_try is not None and status.next_try <= now
        case DeliveryState.SEEN | DeliveryState.DEFERRED | DeliveryState.IN_DOUBT:
            return status.next_try is None or status.next_try <= now
