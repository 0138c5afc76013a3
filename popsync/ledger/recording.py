"""Writes what became of messages and deliveries. Each function is part of one transaction."""

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from popsync.ledger.arrivals import Arrivals
from popsync.ledger.deliveries import Place, change_deliveries, refresh
from popsync.model import (
    AccountId,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    SeenMessage,
    UnretrievedMessage,
)

_ADD_ACCOUNT = "INSERT INTO account (key) VALUES (?) ON CONFLICT DO NOTHING"
_ACCOUNT = "SELECT id FROM account WHERE key = ?"

_UNSETTLED = """
SELECT id FROM message WHERE id IN (SELECT value FROM json_each(?)) AND settled_at IS NULL
"""

_COUNT_SETTLED = """
UPDATE account
SET total_delivered = total_delivered + settled.messages,
    total_octets = total_octets + settled.octets,
    delivered_today = iif(day = ?, delivered_today, 0) + settled.messages, day = ?
FROM (SELECT account, count(*) AS messages, sum(octets) AS octets FROM message
      WHERE id IN (SELECT value FROM json_each(?)) AND settled_at IS NOT NULL
      GROUP BY account) AS settled
WHERE account.id = settled.account
"""

_NEXT_GENERATION = """
(SELECT coalesce(max(generation), 0) + 1 FROM message
 WHERE account = :account AND unique_id = :unique_id)
"""

_NOTE_UNRETRIEVED = f"""
INSERT INTO message
    (account, unique_id, generation, octets, listed_octets, state, reason, oversize, first_seen,
     next_try)
VALUES
    (:account, :unique_id, {_NEXT_GENERATION}, :octets, :octets, :state, :reason, :oversize,
     :now, :next_try)
ON CONFLICT (account, unique_id) WHERE digest IS NULL DO UPDATE
SET octets = excluded.octets, listed_octets = excluded.octets, state = excluded.state,
    reason = excluded.reason, oversize = excluded.oversize, next_try = excluded.next_try,
    gone_at = NULL,
    first_seen = iif(state = 'gone', excluded.first_seen, first_seen)
WHERE state <> 'dropped'
"""  # noqa: S608 - constants only

_RETRY_DELIVERIES = """
UPDATE delivery SET state = 'seen', attempts = 0, next_try = NULL, changed_at = ?
WHERE message = ? AND state = 'held'
"""

_RETRY_UNRETRIEVED = """
UPDATE message SET state = 'pending', next_try = NULL, oversize = 0
WHERE id = ? AND state = 'held' AND digest IS NULL
"""

_HASTEN_SPOOLED = """
UPDATE delivery SET next_try = NULL
WHERE message = (SELECT id FROM message WHERE id = ? AND spooled = 1) AND state <> 'delivered'
"""

_DROP = """
UPDATE message SET state = 'dropped', next_try = NULL, spooled = 0
WHERE id = ? AND (state = 'held' OR spooled = 1)
"""


def number_of_account(connection: sqlite3.Connection, account: AccountId) -> int:
    """Give the account's row number, making the row when it is new."""
    found = connection.execute(_ACCOUNT, (account,)).fetchone()
    if found is None:
        connection.execute(_ADD_ACCOUNT, (account,))
        found = connection.execute(_ACCOUNT, (account,)).fetchone()
    return int(found[0])


def record(
    connection: sqlite3.Connection,
    seen: Sequence[SeenMessage],
    changes: Sequence[DeliveryChange],
    *,
    now: float,
) -> None:
    """Remember messages with the deliveries they owe, then change deliveries.

    Raises LedgerError for a delivery that is not known, or a state that may not follow.
    """
    told: dict[AccountId, list[SeenMessage]] = defaultdict(list)
    for message in seen:
        told[message.message.account].append(message)
    places: dict[DeliveryKey, Place] = {}
    touched: set[int] = set()
    new: set[int] = set()
    for account, messages in told.items():
        arrivals = Arrivals(connection, number_of_account(connection, account), now=now)
        arrivals.see(messages)
        places |= arrivals.places
        touched |= arrivals.touched
        new |= arrivals.new
    changed = change_deliveries(connection, changes, places, now=now)
    # A new message is pending, due at once, and so it stays while all its deliveries are open.
    as_written = new - {places[c.delivery].message for c in changes if not _is_open(c)}
    refresh(connection, touched - changed - as_written, now=now)
    unsettled = _unsettled(connection, changed - as_written)
    refresh(connection, changed - as_written, now=now)
    _count_settled(connection, unsettled, now=now)


def _is_open(change: DeliveryChange) -> bool:
    is_intent = change.state in (DeliveryState.STAGED, DeliveryState.DOT_SENT)
    return is_intent and change.next_try is None


def _unsettled(connection: sqlite3.Connection, numbers: Iterable[int]) -> list[int]:
    return [number for (number,) in connection.execute(_UNSETTLED, (json.dumps([*numbers]),))]


def _count_settled(connection: sqlite3.Connection, numbers: Sequence[int], *, now: float) -> None:
    """Add to the accounts' totals what has just become settled; a poll may never end."""
    if numbers:
        day = format_day(now)
        connection.execute(_COUNT_SETTLED, (day, day, json.dumps(numbers)))


def format_day(moment: float) -> str:
    """Give the local date of a moment as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.localtime(moment))


def note_unretrieved(
    connection: sqlite3.Connection,
    account: AccountId,
    messages: Iterable[UnretrievedMessage],
    *,
    now: float,
) -> None:
    """Remember messages that were not retrieved; one row for each unique-id."""
    number = number_of_account(connection, account)
    connection.executemany(
        _NOTE_UNRETRIEVED,
        (
            message._asdict() | {"state": message.state.value, "account": number, "now": now}
            for message in messages
        ),
    )


def retry_held(connection: sqlite3.Connection, number: int, *, now: float) -> bool:
    """Let a message be tried at the next poll; False when it is neither held nor spooled."""
    deliveries = connection.execute(_RETRY_DELIVERIES, (now, number)).rowcount
    deliveries += connection.execute(_HASTEN_SPOOLED, (number,)).rowcount
    messages = connection.execute(_RETRY_UNRETRIEVED, (number,)).rowcount
    if deliveries:
        refresh(connection, {number}, now=now)
    return deliveries + messages > 0


def drop_held(connection: sqlite3.Connection, number: int) -> bool:
    """Give a message up for good; False when it is not held, or not by every destination.

    What is in the spool may be given up while some destination may still take it.
    """
    return connection.execute(_DROP, (number,)).rowcount > 0
