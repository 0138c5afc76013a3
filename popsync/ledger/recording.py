"""Writes what became of messages and deliveries. Each function is part of one transaction."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast

from popsync.ledger.deliveries import Place, change_deliveries, new_places, refresh
from popsync.model import (
    AccountId,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    Digest,
    SeenMessage,
    UnretrievedMessage,
)

_ADD_ACCOUNT = "INSERT INTO account (key) VALUES (?) ON CONFLICT DO NOTHING"
_ACCOUNT = "SELECT id FROM account WHERE key = ?"

_SAME_UNIQUE_ID = """
SELECT digest, id, generation FROM message WHERE account = ? AND unique_id = ?
"""

_SEE_AGAIN = """
UPDATE message
SET copies = ?, suspect = iif(?, min(suspect + 1, 2), 0), listed_octets = ?,
    gone_at = iif(spooled = 1, NULL, gone_at)
WHERE id = ?
"""

_UNSETTLED = """
SELECT id FROM message WHERE id IN (SELECT value FROM json_each(?)) AND settled_at IS NULL
"""

_COUNT_SETTLED = """
UPDATE account
SET total_delivered = total_delivered + settled.messages,
    total_octets = total_octets + settled.octets
FROM (SELECT account, count(*) AS messages, sum(octets) AS octets FROM message
      WHERE id IN (SELECT value FROM json_each(?)) AND settled_at IS NOT NULL
      GROUP BY account) AS settled
WHERE account.id = settled.account
"""

_SERVED_BEFORE = """
SELECT served FROM message
WHERE account = ? AND digest = ? AND settled_at IS NOT NULL ORDER BY length(served) DESC
"""

# Once a whole message has come, the stump that came before in its place is no message.
_BURY_STUMPS = """
UPDATE message SET state = 'gone', gone_at = :now, next_try = NULL, spooled = 0
WHERE account = :account AND unique_id = :unique_id AND suspect > 0 AND digest <> :digest
"""

_FORGET = "DELETE FROM message WHERE id = ?"

# A tombstone's age is another message's: delete_after must not count from it.
_FILL_UNRETRIEVED = """
UPDATE message
SET digest = :digest, octets = :octets, listed_octets = :listed_octets, copies = :copies,
    suspect = :suspect, served = :served, message_id = :message_id, state = 'pending',
    reason = '', oversize = 0,
    first_seen = iif(state = 'gone', :now, first_seen)
WHERE id = :unretrieved
"""

_NEXT_GENERATION = """
(SELECT coalesce(max(generation), 0) + 1 FROM message
 WHERE account = :account AND unique_id = :unique_id)
"""

_ADD_MESSAGE = """
INSERT INTO message
    (account, unique_id, generation, digest, octets, listed_octets, copies, suspect, served,
     message_id, first_seen)
VALUES
    (:account, :unique_id, :generation, :digest, :octets, :listed_octets, :copies,
     :suspect, :served, :message_id, :now)
"""

_ADD_DELIVERY = """
INSERT INTO delivery (message, destination, recipient, changed_at) VALUES (?, ?, ?, ?)
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
    accounts = {
        account: number_of_account(connection, account)
        for account in {message.message.account for message in seen}
    }
    places: dict[DeliveryKey, Place] = {}
    touched, new = set(), set()
    for message in seen:
        number, is_new = _see(connection, accounts[message.message.account], message, now=now)
        touched.add(number)
        if is_new and message.deliveries:
            new.add(number)
            places |= new_places(message, number)
    changed = change_deliveries(connection, changes, places, now=now)
    # A new message is pending, due at once, and so it stays while all its deliveries are open.
    as_written = new - {places[c.delivery].message for c in changes if not _is_open(c)}
    refresh(connection, touched - changed - as_written, now=now)
    unsettled = _unsettled(connection, changed - as_written)
    refresh(connection, changed - as_written, now=now)
    _count_settled(connection, unsettled)


def _is_open(change: DeliveryChange) -> bool:
    is_intent = change.state in (DeliveryState.STAGED, DeliveryState.DOT_SENT)
    return is_intent and change.next_try is None


def _unsettled(connection: sqlite3.Connection, numbers: Iterable[int]) -> list[int]:
    return [number for (number,) in connection.execute(_UNSETTLED, (json.dumps([*numbers]),))]


def _count_settled(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Add to the accounts' totals what has just become settled; a poll may never end."""
    if numbers:
        connection.execute(_COUNT_SETTLED, (json.dumps(numbers),))


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
        [
            message._asdict() | {"state": message.state.value, "account": number, "now": now}
            for message in messages
        ],
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


def _see(
    connection: sqlite3.Connection, account: int, seen: SeenMessage, *, now: float
) -> tuple[int, bool]:
    """Give the row number of a retrieved message, and whether that row is a new one."""
    rows = connection.execute(_SAME_UNIQUE_ID, (account, seen.message.unique_id)).fetchall()
    numbers: dict[Digest | None, int] = {digest: number for digest, number, _ in rows}
    unretrieved = numbers.pop(None, None)
    known = numbers.get(seen.message.digest)
    if known is None:
        generation = max((row[2] for row in rows), default=0) + 1
        number = _add(
            connection, account, seen, unretrieved=unretrieved, generation=generation, now=now
        )
        return number, unretrieved is None
    if unretrieved is not None:
        connection.execute(_FORGET, (unretrieved,))
    connection.execute(_SEE_AGAIN, (seen.copies, seen.suspect, seen.listed_octets, known))
    return known, False


def _add(
    connection: sqlite3.Connection,
    account: int,
    seen: SeenMessage,
    *,
    unretrieved: int | None,
    generation: int,
    now: float,
) -> int:
    """Add a message, in the place of its row from before it was retrieved if there is one."""
    values = {
        "account": account,
        "unique_id": seen.message.unique_id,
        "generation": generation,
        "digest": seen.message.digest,
        "octets": seen.octets,
        "listed_octets": seen.listed_octets,
        "copies": seen.copies,
        "suspect": seen.suspect,
        "served": _served(connection, account, seen),
        "message_id": seen.message_id,
        "unretrieved": unretrieved,
        "now": now,
    }
    if generation > 1 and not seen.suspect:
        connection.execute(_BURY_STUMPS, values)
    statement = _ADD_MESSAGE if unretrieved is None else _FILL_UNRETRIEVED
    added = connection.execute(statement, values).lastrowid
    number = cast("int", added) if unretrieved is None else unretrieved
    connection.executemany(
        _ADD_DELIVERY,
        [(number, destination, recipient, now) for destination, recipient in seen.deliveries],
    )
    return number


def _served(connection: sqlite3.Connection, account: int, seen: SeenMessage) -> str:
    """Name the destinations of a message; one that owes nothing was served under another name."""
    if seen.deliveries:
        return _name_destinations(seen.deliveries)
    found = connection.execute(_SERVED_BEFORE, (account, seen.message.digest)).fetchone()
    return str(found[0]) if found else "[]"


@lru_cache(maxsize=256)
def _name_destinations(deliveries: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(sorted({destination for destination, _ in deliveries}))
