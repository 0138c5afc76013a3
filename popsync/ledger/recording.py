"""Writes what became of messages and deliveries. Each function is part of one transaction."""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from popsync.ledger.accounts import number_of_account
from popsync.ledger.arrivals import Arrivals
from popsync.ledger.deliveries import Place, Settled, change_deliveries, refresh
from popsync.model import (
    AccountId,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    SeenMessage,
    UnretrievedMessage,
)

_COUNT_SETTLED = """
UPDATE account
SET total_delivered = total_delivered + :messages, total_octets = total_octets + :octets,
    delivered_today = iif(day = :day, delivered_today, 0) + :messages, day = :day
WHERE id = :account
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
        arrivals = Arrivals(connection, account, now=now)
        arrivals.see(messages)
        places |= arrivals.places
        touched |= arrivals.touched
        new |= arrivals.new
    changed = change_deliveries(connection, changes, places, now=now)
    # A new message is pending, due at once, and so it stays while all its deliveries are open.
    as_written = new - {places[c.delivery].message for c in changes if not _is_open(c)}
    refresh(connection, touched - changed - as_written, now=now)
    _count_settled(connection, refresh(connection, changed - as_written, now=now), now=now)


def _is_open(change: DeliveryChange) -> bool:
    is_intent = change.state in (DeliveryState.STAGED, DeliveryState.DOT_SENT)
    return is_intent and change.next_try is None


def _count_settled(
    connection: sqlite3.Connection, settled: Sequence[Settled], *, now: float
) -> None:
    """Add to the accounts' totals what has just become settled; a poll may never end."""
    octets: dict[int, list[int]] = defaultdict(list)
    for account, of_message in settled:
        octets[account].append(of_message)
    for account, counted in octets.items():
        totals = {"messages": len(counted), "octets": sum(counted), "day": format_day(now)}
        connection.execute(_COUNT_SETTLED, totals | {"account": account})


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
