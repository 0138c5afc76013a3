"""Changes deliveries, and lets their messages say what they say. Part of one transaction."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from popsync.errors import LedgerError
from popsync.ledger.states import check_transition
from popsync.model import DeliveryChange, DeliveryKey, DeliveryState, SeenMessage

_FIND_DELIVERY = """
SELECT message.id, delivery.state
FROM account JOIN message ON account = account.id JOIN delivery ON message = message.id
WHERE key = ? AND unique_id = ? AND digest = ? AND destination = ? AND recipient = ?
"""

_CHANGE_DELIVERY = """
UPDATE delivery
SET state = ?, reply = ?, attempts = ?, next_try = ?, doubts = ?, staged_as = ?, changed_at = ?
WHERE message = ? AND destination = ? AND recipient = ?
"""

# A pending delivery without next_try is due now. Without any delivery nothing is owed. What the
# operator dropped stays dropped. With its last delivery a message needs no copy in the spool; if
# only that was left of it, what is listed under its unique-id next is another message (P1).
_REFRESH = """
UPDATE message
SET (state, next_try, settled_at, gone_at, spooled) = (
    SELECT
        CASE WHEN total(state <> 'delivered') = 0
             THEN iif(message.spooled = 1 AND message.gone_at IS NOT NULL, 'gone', 'settled')
             WHEN total(state NOT IN ('delivered', 'held')) > 0 THEN 'pending'
             ELSE 'held' END,
        CASE WHEN total(state NOT IN ('delivered', 'held') AND next_try IS NULL) = 0
             THEN min(next_try) FILTER (WHERE state <> 'delivered') END,
        CASE WHEN total(state <> 'delivered') = 0
             THEN coalesce(message.settled_at, :now) END,
        iif(message.spooled = 1, message.gone_at, NULL),
        iif(total(state <> 'delivered') = 0, 0, message.spooled)
    FROM delivery WHERE message = :id
)
WHERE id = :id AND state <> 'dropped'
"""


class Place(NamedTuple):
    """The row of a delivery, and where the delivery stands."""

    message: int
    state: DeliveryState


def new_places(seen: SeenMessage, number: int) -> dict[DeliveryKey, Place]:
    """Give where the deliveries of a message stand that was added as ``number``."""
    place = Place(number, DeliveryState.SEEN)
    return {DeliveryKey(seen.message, *delivery): place for delivery in seen.deliveries}


def change_deliveries(
    connection: sqlite3.Connection,
    changes: Sequence[DeliveryChange],
    places: dict[DeliveryKey, Place],
    *,
    now: float,
) -> set[int]:
    """Change deliveries, in order; give the row numbers of their messages.

    places: where the deliveries stand that were added just now; the others are looked up and
    added to it.
    """
    rows = []
    for change in changes:
        key = change.delivery
        place = places.get(key) or _find_delivery(connection, key)
        state = check_transition(key, place.state, change.state)
        places[key] = Place(place.message, state)
        rows.append((state.value, *_history(change), now, place.message, *key[1:]))
    connection.executemany(_CHANGE_DELIVERY, rows)
    return {places[change.delivery].message for change in changes}


def _history(change: DeliveryChange) -> tuple[str, int, float | None, int, str]:
    return change.reply, change.attempts, change.next_try, change.doubts, change.staged_as


def _find_delivery(connection: sqlite3.Connection, delivery: DeliveryKey) -> Place:
    message, destination, recipient = delivery
    found = connection.execute(_FIND_DELIVERY, (*message, destination, recipient)).fetchone()
    if found is None:
        raise LedgerError(
            f"message {message.unique_id!r} of {message.account} owes {destination} no delivery"
        )
    return Place(int(found[0]), DeliveryState(found[1]))


def refresh(connection: sqlite3.Connection, numbers: Iterable[int], *, now: float) -> None:
    """Make messages say again what their deliveries say."""
    connection.executemany(_REFRESH, [{"id": number, "now": now} for number in numbers])
