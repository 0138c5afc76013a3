"""Where accounts and held messages stand: the questions behind ``status`` and ``held``."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from popsync.ledger.reports import AccountReport, HeldDelivery, StoredStanding
from popsync.model import AccountId, PollSummary

# SQLite believes in a partial index only when its condition is repeated word for word.
# In the order of AccountReport's fields, the fields of PollSummary in the place of last_poll.
_ACCOUNTS = """
SELECT key, began_at, ended_at, listed, delivered, octets, deleted, held, deferred, error,
       last_success_at, error_since, total_delivered, total_octets,
       (SELECT count(*) FROM message INDEXED BY message_open
        WHERE account = account.id AND state IN ('pending', 'held') AND state = 'pending'),
       (SELECT count(*) FROM message INDEXED BY message_open
        WHERE account = account.id AND state IN ('pending', 'held') AND state = 'held'),
       polled_before, renumbering, lock_step, paused, day, delivered_today, standing
FROM account ORDER BY key
"""

_WAITING = """
SELECT key, destination, count(DISTINCT message.id)
FROM message INDEXED BY message_open CROSS JOIN delivery ON message = message.id
     JOIN account ON account = account.id
WHERE message.state IN ('pending', 'held') AND message.state = 'pending'
  AND delivery.state NOT IN ('delivered', 'held')
GROUP BY key, destination ORDER BY key, destination
"""

_STANDINGS = "SELECT key, standing, paused FROM account"

_IN_DOUBT = """
SELECT count(*) FROM message INDEXED BY message_open CROSS JOIN delivery ON message = message.id
WHERE message.state IN ('pending', 'held') AND delivery.state = 'in_doubt'
"""

# In the order of HeldDelivery's fields.
_HELD = """
SELECT message.id, key, unique_id, message.octets, first_seen, destination, recipient, reply,
       attempts, delivery.next_try, reason, oversize,
       0, digest, spooled, spooled = 1 AND gone_at IS NOT NULL
FROM delivery JOIN message ON message = message.id JOIN account ON account = account.id
WHERE delivery.state = 'held' AND message.state NOT IN ('gone', 'dropped')
UNION ALL
SELECT message.id, key, unique_id, message.octets, first_seen, destination, recipient, reply,
       attempts, delivery.next_try, reason, oversize, 1, digest, spooled, gone_at IS NOT NULL
FROM message INDEXED BY message_open CROSS JOIN delivery ON message = message.id
     JOIN account ON account = account.id
WHERE message.state IN ('pending', 'held') AND spooled = 1
  AND delivery.state NOT IN ('delivered', 'held')
UNION ALL
SELECT message.id, key, unique_id, message.octets, first_seen, '', '', '', 0,
       next_try, reason, oversize, 0, NULL, 0, 0
FROM message INDEXED BY message_open JOIN account ON account = account.id
WHERE message.state IN ('pending', 'held') AND message.state = 'held' AND digest IS NULL
ORDER BY 1, 6, 7
"""


def read_accounts(connection: sqlite3.Connection) -> Sequence[AccountReport]:
    """Give where each account stands that was ever polled, by name."""
    waiting: dict[AccountId, tuple[tuple[str, int], ...]] = defaultdict(tuple)
    for key, destination, messages in connection.execute(_WAITING):
        waiting[key] += ((destination, messages),)
    return tuple(_account_report(row, waiting[row[0]]) for row in connection.execute(_ACCOUNTS))


def read_standings(connection: sqlite3.Connection) -> Mapping[AccountId, StoredStanding]:
    """Give how each known account stood with the daemon when it last said so."""
    return {
        AccountId(key): StoredStanding(standing, bool(paused))
        for key, standing, paused in connection.execute(_STANDINGS)
    }


def read_in_doubt(connection: sqlite3.Connection) -> int:
    """Count the deliveries whose reply was lost and that are to be sent again."""
    return int(connection.execute(_IN_DOUBT).fetchone()[0])


def read_held(connection: sqlite3.Connection) -> Sequence[HeldDelivery]:
    """Give what was set aside or waits in the spool, oldest first, a row for each delivery."""
    return tuple(_held_delivery(row) for row in connection.execute(_HELD))


def _account_report(
    row: tuple[Any, ...], waiting_for: tuple[tuple[str, int], ...]
) -> AccountReport:
    key, began_at, *_ = row
    summary = None if began_at is None else PollSummary(*row[1:10])
    flags = map(bool, row[-7:-3])
    return AccountReport._make((key, summary, *row[10:-7], *flags, *row[-3:], waiting_for))


def _held_delivery(row: tuple[Any, ...]) -> HeldDelivery:
    oversize, is_waiting, digest, spooled, left = row[-5:]
    flags = bool(oversize), bool(is_waiting), digest, bool(spooled), bool(left)
    return HeldDelivery._make((*row[:-5], *flags))
