"""Changes deliveries, and lets their messages say what they say. Part of one transaction."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple, Never

from popsync.errors import LedgerError
from popsync.ledger.questions import ask_in_pieces, write_rows
from popsync.ledger.states import check_transition
from popsync.model import (
    AccountId,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    MessageKey,
    UniqueId,
)

_FIND_DELIVERIES = """
SELECT unique_id, digest, destination, recipient, message.id, delivery.state
FROM message JOIN delivery ON message = message.id
WHERE account = (SELECT id FROM account WHERE key = ?) AND unique_id IN (%s)
"""

_ADD_DELIVERY = """
INSERT INTO delivery
    (state, reply, attempts, next_try, doubts, staged_as, changed_at, message, destination,
     recipient)
VALUES %s
"""

_CHANGE_DELIVERY = """
UPDATE delivery
SET (state, reply, attempts, next_try, doubts, staged_as, changed_at)
    = (column1, column2, column3, column4, column5, column6, column7)
FROM (VALUES %s)
WHERE message = column8 AND destination = column9 AND recipient = column10
"""

# A pending delivery without next_try is due now. What the operator dropped stays dropped.
_REFRESH = """
UPDATE message
SET settled_at = NULL, gone_at = iif(spooled = 1, gone_at, NULL), (state, next_try) = (
    SELECT
        iif(total(state <> 'held') > 0, 'pending', 'held'),
        CASE WHEN total(state <> 'held' AND next_try IS NULL) = 0 THEN min(next_try) END
    FROM delivery WHERE message = :id AND state <> 'delivered'
)
WHERE id = :id AND state <> 'dropped'
"""

# Without any delivery nothing is owed. With its last one a message needs no copy in the spool; if
# only that was left of it, what is listed under its unique-id next is another message (P1).
_SETTLE = """
UPDATE message
SET state = iif(spooled = 1 AND gone_at IS NOT NULL, 'gone', 'settled'), next_try = NULL,
    settled_at = coalesce(settled_at, :now), gone_at = iif(spooled = 1, gone_at, NULL),
    spooled = 0
WHERE id IN (SELECT value FROM json_each(:numbers)) AND state <> 'dropped'
"""

_STANDING = """
SELECT id, account, octets, settled_at IS NULL AND state <> 'dropped',
    EXISTS (SELECT 1 FROM delivery WHERE message = message.id AND state <> 'delivered')
FROM message WHERE id IN (SELECT value FROM json_each(?))
"""

_STATES = {state.value: state for state in DeliveryState}
_Values = tuple[str, str, int, float | None, int, str, float, int, str, str]
"""State, reply, attempts, next try, doubts, file, time; message, destination, recipient."""


class Place(NamedTuple):
    """The row of a delivery's message, and where the delivery stands."""

    message: int
    state: DeliveryState


class Settled(NamedTuple):
    """A message that has just become settled: its account's row, its octets."""

    account: int
    octets: int


def change_deliveries(
    connection: sqlite3.Connection,
    changes: Sequence[DeliveryChange],
    places: dict[DeliveryKey, Place],
    *,
    now: float,
) -> set[int]:
    """Add deliveries and change deliveries, in order; give the row numbers of those changed.

    places: where the deliveries stand that are new and not written yet. The others are looked up
    and added to it.
    """
    unwritten = frozenset(places)
    new: dict[DeliveryKey, _Values] = {}
    old: dict[DeliveryKey, _Values] = {}
    asked = [change.delivery for change in changes if change.delivery not in unwritten]
    places |= _find_deliveries(connection, asked)
    for change in changes:
        key = change.delivery
        place = places.get(key) or _miss(key)
        check_transition(key, place.state, change.state)
        places[key] = Place(place.message, change.state)
        values = _values(change, place.message, now)
        written = new if key in unwritten else old
        written[key] = values
    for key in unwritten.difference(new):
        place = places[key]
        new[key] = _values(DeliveryChange(key, place.state), place.message, now)
    write_rows(connection, _ADD_DELIVERY, new.values())
    write_rows(connection, _CHANGE_DELIVERY, old.values())
    return {places[change.delivery].message for change in changes}


def _values(change: DeliveryChange, message: int, now: float) -> _Values:
    (_, destination, recipient), state, reply, attempts, next_try, doubts, staged_as = change
    return (
        *(state.value, reply, attempts, next_try, doubts, staged_as, now),
        *(message, destination, recipient),
    )


def _find_deliveries(
    connection: sqlite3.Connection, deliveries: Sequence[DeliveryKey]
) -> dict[DeliveryKey, Place]:
    """Give where all deliveries of the same messages stand."""
    asked: dict[AccountId, list[UniqueId]] = defaultdict(list)
    for delivery in deliveries:
        asked[delivery.message.account].append(delivery.message.unique_id)
    return {
        DeliveryKey(MessageKey(account, unique_id, digest), destination, recipient): Place(
            message, _STATES[state]
        )
        for account, unique_ids in asked.items()
        for unique_id, digest, destination, recipient, message, state in ask_in_pieces(
            connection, _FIND_DELIVERIES, account, unique_ids
        )
    }


def _miss(delivery: DeliveryKey) -> Never:
    message = delivery.message
    raise LedgerError(
        f"message {message.unique_id!r} of {message.account} owes {delivery.destination}"
        " no delivery"
    )


def refresh(
    connection: sqlite3.Connection, numbers: Collection[int], *, now: float
) -> list[Settled]:
    """Make messages say again what their deliveries say; give those that are settled by it."""
    if not numbers:
        return []
    undelivered: list[int] = []
    delivered: list[int] = []
    settled: list[Settled] = []
    found = connection.execute(_STANDING, (json.dumps([*numbers]),))
    for number, account, octets, is_unsettled, is_undelivered in found:
        if is_undelivered:
            undelivered.append(number)
            continue
        delivered.append(number)
        if is_unsettled:
            settled.append(Settled(account, octets))
    connection.executemany(_REFRESH, [{"id": number} for number in undelivered])
    if delivered:
        connection.execute(_SETTLE, {"numbers": json.dumps(delivered), "now": now})
    return settled
