"""Follows a changed configuration: what is still owed goes to whom it names now."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from popsync.ledger.deliveries import refresh
from popsync.model import AccountId

# What was staged or sent must first be settled by its own destination.
_UNDELIVERED = """
SELECT message.id, destination, recipient, delivery.state = 'held' AND delivery.next_try IS NULL
FROM account JOIN message ON account = account.id JOIN delivery ON message = message.id
WHERE key = ? AND message.state IN ('pending', 'held')
  AND delivery.state NOT IN ('delivered', 'staged', 'dot_sent')
"""

_FORGET = "DELETE FROM delivery WHERE message = ? AND destination = ? AND recipient = ?"

_ADD = """
INSERT INTO delivery (message, destination, recipient, changed_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""

_HOLD = """
UPDATE delivery SET state = 'held', next_try = NULL, changed_at = ?,
    reply = 'destination ' || destination || ' is no longer configured for this account'
WHERE message = ? AND destination = ? AND recipient = ?
"""


class _Owed(NamedTuple):
    message: int
    destination: str
    recipient: str


def reroute(
    connection: sqlite3.Connection,
    account: AccountId,
    routes: Collection[tuple[str, str]],
    *,
    now: float,
) -> int:
    """Let undelivered messages follow ``routes``, (destination, recipient) pairs.

    What is owed to a recipient that is no longer served is owed to those that are; what is owed
    to a destination that is no longer there is held. Gives how many deliveries were held now.
    """
    recipients: dict[str, set[str]] = defaultdict(set)
    for destination, recipient in routes:
        recipients[destination].add(recipient)
    changed, stranded = [], []
    for *key, is_held in connection.execute(_UNDELIVERED, (account,)):
        owed = _Owed(*key)
        if owed.destination not in recipients:
            stranded += [] if is_held else [owed]
        elif owed.recipient not in recipients[owed.destination]:
            changed.append(owed)
    _readdress(connection, changed, recipients, now=now)
    connection.executemany(_HOLD, [(now, *owed) for owed in stranded])
    refresh(connection, {owed.message for owed in (*changed, *stranded)}, now=now)
    return len(stranded)


def _readdress(
    connection: sqlite3.Connection,
    changed: Iterable[_Owed],
    recipients: dict[str, set[str]],
    *,
    now: float,
) -> None:
    for owed in changed:
        connection.execute(_FORGET, owed)
        connection.executemany(
            _ADD, [(*owed[:2], recipient, now) for recipient in recipients[owed.destination]]
        )
