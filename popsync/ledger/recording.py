"""Writes what became of messages and deliveries. Each function is part of one transaction."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import cast

from popsync.errors import LedgerError
from popsync.ledger.states import check_transition
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

_SAME_UNIQUE_ID = "SELECT digest, id FROM message WHERE account = ? AND unique_id = ?"

_SEE_AGAIN = """
UPDATE message SET copies = ?, suspect = iif(?, min(suspect + 1, 2), 0), listed_octets = ?
WHERE id = ?
"""

_IS_UNSETTLED = "SELECT 1 FROM message WHERE id = ? AND settled_at IS NULL"

_COUNT_SETTLED = """
UPDATE account
SET total_delivered = total_delivered + 1, total_octets = total_octets + message.octets
FROM message WHERE message.id = ? AND settled_at IS NOT NULL AND account.id = message.account
"""

_SERVED_BEFORE = """
SELECT served FROM message
WHERE account = ? AND digest = ? AND settled_at IS NOT NULL ORDER BY length(served) DESC
"""

# Once a whole message has come, the stump that came before in its place is no message.
_BURY_STUMPS = """
UPDATE message SET state = 'gone', gone_at = :now, next_try = NULL
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

_ADD_MESSAGE = f"""
INSERT INTO message
    (account, unique_id, generation, digest, octets, listed_octets, copies, suspect, served,
     message_id, first_seen)
VALUES
    (:account, :unique_id, {_NEXT_GENERATION}, :digest, :octets, :listed_octets, :copies,
     :suspect, :served, :message_id, :now)
"""  # noqa: S608 - constants only

_ADD_DELIVERY = """
INSERT INTO delivery (message, destination, recipient, changed_at) VALUES (?, ?, ?, ?)
"""

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
# operator dropped stays dropped.
_REFRESH = """
UPDATE message
SET gone_at = NULL, (state, next_try, settled_at) = (
    SELECT
        CASE WHEN total(state <> 'delivered') = 0 THEN 'settled'
             WHEN total(state NOT IN ('delivered', 'held')) > 0 THEN 'pending'
             ELSE 'held' END,
        CASE WHEN total(state NOT IN ('delivered', 'held') AND next_try IS NULL) = 0
             THEN min(next_try) FILTER (WHERE state <> 'delivered') END,
        CASE WHEN total(state <> 'delivered') = 0
             THEN coalesce(message.settled_at, :now) END
    FROM delivery WHERE message = :id
)
WHERE id = :id AND state <> 'dropped'
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

_DROP = "UPDATE message SET state = 'dropped', next_try = NULL WHERE id = ? AND state = 'held'"


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
    touched = {
        _see(connection, accounts[message.message.account], message, now=now) for message in seen
    }
    changed = {_change(connection, change, now=now) for change in changes}
    refresh(connection, touched - changed, now=now)
    unsettled = _unsettled(connection, changed)
    refresh(connection, changed, now=now)
    _count_settled(connection, unsettled)


def _unsettled(connection: sqlite3.Connection, numbers: Iterable[int]) -> list[int]:
    return [n for n in numbers if connection.execute(_IS_UNSETTLED, (n,)).fetchone()]


def _count_settled(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Add to the accounts' totals what has just become settled; a poll may never end."""
    connection.executemany(_COUNT_SETTLED, [(number,) for number in numbers])


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
    """Let a held message be tried at the next poll; False when it is not held."""
    deliveries = connection.execute(_RETRY_DELIVERIES, (now, number)).rowcount
    messages = connection.execute(_RETRY_UNRETRIEVED, (number,)).rowcount
    if deliveries:
        refresh(connection, {number}, now=now)
    return deliveries + messages > 0


def drop_held(connection: sqlite3.Connection, number: int) -> bool:
    """Give a held message up for good; False when it is not held, or not by every destination."""
    return connection.execute(_DROP, (number,)).rowcount > 0


def _see(connection: sqlite3.Connection, account: int, seen: SeenMessage, *, now: float) -> int:
    """Give the row number of a retrieved message, known or new."""
    generations: dict[Digest | None, int] = dict(
        connection.execute(_SAME_UNIQUE_ID, (account, seen.message.unique_id))
    )
    unretrieved = generations.pop(None, None)
    known = generations.get(seen.message.digest)
    if known is None:
        return _add(connection, account, seen, unretrieved=unretrieved, now=now)
    if unretrieved is not None:
        connection.execute(_FORGET, (unretrieved,))
    connection.execute(_SEE_AGAIN, (seen.copies, seen.suspect, seen.listed_octets, known))
    return known


def _add(
    connection: sqlite3.Connection,
    account: int,
    seen: SeenMessage,
    *,
    unretrieved: int | None,
    now: float,
) -> int:
    """Add a message, in the place of its row from before it was retrieved if there is one."""
    values = {
        "account": account,
        "unique_id": seen.message.unique_id,
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
    if not seen.suspect:
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
        return json.dumps(sorted({destination for destination, _ in seen.deliveries}))
    found = connection.execute(_SERVED_BEFORE, (account, seen.message.digest)).fetchone()
    return str(found[0]) if found else "[]"


def _change(connection: sqlite3.Connection, change: DeliveryChange, *, now: float) -> int:
    """Give the row number of the message whose delivery was changed."""
    number, before = _find_delivery(connection, change.delivery)
    state = check_transition(change.delivery, DeliveryState(before), change.state)
    connection.execute(
        _CHANGE_DELIVERY,
        (
            state.value,
            change.reply,
            change.attempts,
            change.next_try,
            change.doubts,
            change.staged_as,
            now,
            number,
            change.delivery.destination,
            change.delivery.recipient,
        ),
    )
    return number


def _find_delivery(connection: sqlite3.Connection, delivery: DeliveryKey) -> tuple[int, str]:
    message, destination, recipient = delivery
    found = connection.execute(_FIND_DELIVERY, (*message, destination, recipient)).fetchone()
    if found is None:
        raise LedgerError(
            f"message {message.unique_id!r} of {message.account} owes {destination} no delivery"
        )
    return int(found[0]), str(found[1])


def refresh(connection: sqlite3.Connection, numbers: Iterable[int], *, now: float) -> None:
    """Make messages say again what their deliveries say."""
    connection.executemany(_REFRESH, [{"id": number, "now": now} for number in numbers])
