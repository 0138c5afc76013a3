"""Which messages have a copy in the spool. Each function is part of one transaction.

Only a message that is still owed, pending or held, is called spooled; with its last delivery, or
when the operator drops it, it is not any more, and its file has no meaning from then on.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any

from popsync.ledger.deliveries import refresh
from popsync.model import (
    AccountId,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    MessageKey,
    SpooledMessage,
    UniqueId,
)

_NUMBER = """
SELECT message.id FROM account JOIN message ON account = account.id
WHERE key = ? AND unique_id = ? AND digest = ?
"""

_NOTE_SPOOLED = f"""
UPDATE message SET spooled = 1, reason = ''
WHERE id = ({_NUMBER}) AND state IN ('pending', 'held')
"""  # noqa: S608 - constants only

_NOTE_DAMAGED = f"""
UPDATE message SET reason = ? WHERE id = ({_NUMBER}) AND spooled = 1
"""  # noqa: S608 - constants only

_RETIRE = f"""
UPDATE message SET state = 'gone', gone_at = ?, next_try = NULL, spooled = 0
WHERE id = ({_NUMBER}) AND spooled = 1
"""  # noqa: S608 - constants only

_NOTE_LEFT = """
UPDATE message SET gone_at = ? WHERE id = ? AND gone_at IS NULL
"""

# SQLite believes in a partial index only when its condition is repeated word for word.
_COPIES = """
SELECT id, unique_id, reason <> '' FROM message INDEXED BY message_open
WHERE account = ? AND state IN ('pending', 'held') AND spooled = 1
"""

# Neither the maildrop nor the spool has it any more, as far as we know.
_IS_LOST = "SELECT 1 FROM message WHERE id = ? AND reason <> '' AND gone_at IS NOT NULL"

_HOLD = """
UPDATE delivery
SET state = 'held', next_try = NULL, changed_at = :now,
    reply = (SELECT reason FROM message WHERE id = :id)
WHERE message = :id AND state NOT IN ('delivered', 'staged', 'dot_sent')
"""


_SPOOLED = """
SELECT unique_id, digest, message.octets, listed_octets, first_seen, suspect,
       gone_at IS NOT NULL,
       destination, recipient, delivery.state, attempts, delivery.next_try, doubts
FROM account JOIN message INDEXED BY message_open ON account = account.id
     CROSS JOIN delivery ON message = message.id
WHERE key = ? AND message.state IN ('pending', 'held') AND spooled = 1
ORDER BY message.id
"""

_ALL_SPOOLED = """
SELECT key, unique_id, digest, message.octets
FROM message INDEXED BY message_open JOIN account ON account = account.id
WHERE message.state IN ('pending', 'held') AND spooled = 1
"""


def note_spooled(connection: sqlite3.Connection, messages: Iterable[MessageKey]) -> None:
    """Remember that messages have a sound copy in the spool."""
    connection.executemany(_NOTE_SPOOLED, messages)


def note_damaged(
    connection: sqlite3.Connection, message: MessageKey, reason: str, *, now: float
) -> None:
    """Remember that a copy cannot be used; held, if the maildrop does not show it any more."""
    connection.execute(_NOTE_DAMAGED, (reason, *message))
    (number,) = connection.execute(_NUMBER, message).fetchone()
    if connection.execute(_IS_LOST, (number,)).fetchone():
        _hold(connection, number, now=now)


def note_left(
    connection: sqlite3.Connection, account: int, gone: Collection[UniqueId], *, now: float
) -> None:
    """Remember of spooled messages that a complete listing does not show them any more."""
    for number, unique_id, is_damaged in connection.execute(_COPIES, (account,)).fetchall():
        if unique_id in gone:
            connection.execute(_NOTE_LEFT, (now, number))
            if is_damaged:
                _hold(connection, number, now=now)


def retire(connection: sqlite3.Connection, messages: Iterable[MessageKey], *, now: float) -> None:
    """Let spooled messages end whose place others have taken, with all that they owed."""
    connection.executemany(_RETIRE, [(now, *message) for message in messages])


def _hold(connection: sqlite3.Connection, number: int, *, now: float) -> None:
    connection.execute(_HOLD, {"now": now, "id": number})
    refresh(connection, [number], now=now)


def read_spooled(connection: sqlite3.Connection, account: AccountId) -> tuple[SpooledMessage, ...]:
    """Give what the account still owes of messages that have a copy in the spool."""
    rows = connection.execute(_SPOOLED, (account,)).fetchall()
    return tuple(
        _spooled(account, message, [row[7:] for row in same])
        for message, same in groupby(rows, lambda row: row[:7])
    )


def read_all_spooled(connection: sqlite3.Connection) -> dict[MessageKey, int]:
    """Give the messages of all accounts that have a copy in the spool, with their octets."""
    return {
        MessageKey(key, unique_id, digest): octets
        for key, unique_id, digest, octets in connection.execute(_ALL_SPOOLED)
    }


def _spooled(
    account: AccountId, message: tuple[Any, ...], deliveries: Sequence[tuple[Any, ...]]
) -> SpooledMessage:
    unique_id, digest, octets, listed_octets, first_seen, suspect, left = message
    key = MessageKey(account, unique_id, digest)
    return SpooledMessage(
        key,
        octets,
        listed_octets,
        first_seen,
        bool(suspect),
        bool(left),
        {
            DeliveryKey(key, destination, recipient): DeliveryStatus(DeliveryState(state), *rest)
            for destination, recipient, state, *rest in deliveries
        },
    )
