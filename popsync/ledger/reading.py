"""All questions to the ledger, on a connection that cannot write."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from popsync.ledger.failures import damaged, translated
from popsync.ledger.reports import (
    AccountReport,
    DeliveredMessage,
    HeldDelivery,
    MessageStory,
    StoredStanding,
)
from popsync.ledger.schema import read_token
from popsync.ledger.spooling import read_all_spooled, read_spooled
from popsync.ledger.stories import read_delivered, read_stories
from popsync.model import (
    AccountId,
    AccountMemory,
    AccountOutset,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Digest,
    Hint,
    Intent,
    Kept,
    KnownMessage,
    MessageKey,
    MessageNumber,
    MessageState,
    PollSummary,
    Quiet,
    SpooledMessage,
    UniqueId,
)

_MESSAGE_STATES = {state.value: state for state in MessageState}

_ACCOUNT = """
SELECT id, stamp, polled_before, renumbering, lock_step, content_keys FROM account WHERE key = ?
"""

# In the order of Hint's fields, behind the number.
_HINTS = "SELECT number, octets, unique_id, retrieved_at FROM hint WHERE account = ?"

# Anything that is staged or sent counts, whatever has become of its message since.
_OUTSET = """
SELECT lock_step,
       EXISTS (SELECT 1 FROM message INDEXED BY message_open
               WHERE account = account.id AND state IN ('pending', 'held'))
       OR EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_intent
                  CROSS JOIN message ON message.id = message
                  WHERE delivery.state IN ('staged', 'dot_sent') AND account = account.id),
       quiet, quiet_until, stamp
FROM account WHERE key = ?
"""

# In the order of KnownMessage's fields.
_KNOWN = """
SELECT unique_id, digest, state, copies, first_seen, settled_at, next_try, suspect, deletions,
       oversize, listed_octets, served,
       iif(spooled = 0, 0, iif(gone_at IS NOT NULL, 2, iif(reason <> '', 3, 1)))
FROM message WHERE account = ? ORDER BY generation
"""

_KEPT = (Kept.NOT, Kept.SPOOLED, Kept.LEFT, Kept.DAMAGED)

_MESSAGE = """
SELECT message.id FROM account JOIN message ON account = account.id
WHERE key = ? AND unique_id = ? AND digest = ?
"""

_DELIVERIES = """
SELECT destination, recipient, state, attempts, next_try, doubts FROM delivery WHERE message = ?
"""

_SETTLED_DIGEST = """
SELECT 1 FROM account JOIN message ON account = account.id
WHERE key = ? AND digest = ? AND settled_at IS NOT NULL
"""

_INTENTS = """
SELECT unique_id, digest, destination, delivery.state, staged_as, changed_at, recipient
FROM delivery CROSS JOIN message ON message = message.id JOIN account ON account = account.id
WHERE delivery.state IN ('staged', 'dot_sent') AND key = ?
ORDER BY message.id, destination, delivery.state, staged_as, changed_at, recipient
"""

_STAGED_NAMES = """
SELECT staged_as FROM delivery WHERE state IN ('staged', 'dot_sent') AND staged_as <> ''
"""

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


class LedgerReader:
    """Answers questions; blocking. Each answer is consistent in itself.

    All methods raise LedgerUnavailable, LedgerCorrupt.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connection. Idempotent."""
        self._connection.close()

    def copy_to(self, path: Path) -> None:
        """Write all that it knows into the empty file ``path``."""
        with translated(self._path), closing(sqlite3.connect(path)) as target:
            self._connection.backup(target)

    def token(self) -> str:
        """Give the ledger's own 64 random bits as 16 hex digits."""
        with self._snapshot() as connection:
            return read_token(connection)

    def outset(self, account: AccountId) -> AccountOutset:
        """Give what a session must know before it begins."""
        with self._snapshot() as connection:
            row = connection.execute(_OUTSET, (account,)).fetchone()
            if row is None:
                return AccountOutset()
            lock_step, owes, *quiet = row
            known = None if None in quiet else Quiet._make(quiet)
            return AccountOutset(bool(lock_step), bool(owes), known)

    def memory(self, account: AccountId) -> AccountMemory:
        """Give all that is known of the account."""
        with self._snapshot() as connection:
            row = connection.execute(_ACCOUNT, (account,)).fetchone()
            if row is None:
                return AccountMemory()
            number, stamp, *flags = row
            polled_before, renumbering, lock_step, content_keys = map(bool, flags)
            return AccountMemory(
                _read_known(connection, number),
                polled_before=polled_before,
                renumbering=renumbering,
                lock_step=lock_step,
                content_keys=content_keys,
                stamp=stamp or b"",
                hints={
                    MessageNumber(at): Hint._make(hint)
                    for at, *hint in connection.execute(_HINTS, (number,))
                },
            )

    def deliveries(
        self, messages: Sequence[MessageKey]
    ) -> Mapping[MessageKey, Mapping[DeliveryKey, DeliveryStatus]]:
        """Give an entry for each of ``messages`` that is known, empty when none was ever owed."""
        with self._snapshot() as connection:
            numbers = {m: connection.execute(_MESSAGE, m).fetchone() for m in messages}
            return {
                message: _read_deliveries(connection, message, row[0])
                for message, row in numbers.items()
                if row is not None
            }

    def known_digests(self, account: AccountId, digests: Sequence[Digest]) -> frozenset[Digest]:
        """Give those of ``digests`` that the account has ever brought and that are settled."""
        with self._snapshot() as connection:
            return frozenset(
                digest
                for digest in digests
                if connection.execute(_SETTLED_DIGEST, (account, digest)).fetchone()
            )

    def open_intents(self, account: AccountId) -> Sequence[Intent]:
        """Give the STAGED and DOT_SENT deliveries: what a crash left open."""
        with self._snapshot() as connection:
            rows = connection.execute(_INTENTS, (account,)).fetchall()
            return tuple(
                _intent(account, same, tuple(row[-1] for row in recipients))
                for same, recipients in groupby(rows, lambda row: row[:-1])
            )

    def staged_names(self) -> frozenset[str]:
        """Give the names of all files that open intents of any account speak of."""
        with self._snapshot() as connection:
            return frozenset(name for (name,) in connection.execute(_STAGED_NAMES))

    def spooled(self, account: AccountId) -> Sequence[SpooledMessage]:
        """Give what the account still owes of messages that have a copy in the spool."""
        with self._snapshot() as connection:
            return read_spooled(connection, account)

    def all_spooled(self) -> Mapping[MessageKey, int]:
        """Give the messages of all accounts that have a copy in the spool, with their octets."""
        with self._snapshot() as connection:
            return read_all_spooled(connection)

    def accounts(self) -> Sequence[AccountReport]:
        """Give where each account stands that was ever polled, by name."""
        with self._snapshot() as connection:
            return tuple(_account_report(row) for row in connection.execute(_ACCOUNTS))

    def standings(self) -> Mapping[AccountId, StoredStanding]:
        """Give how each known account stood with the daemon when it last said so."""
        with self._snapshot() as connection:
            return {
                AccountId(key): StoredStanding(standing, bool(paused))
                for key, standing, paused in connection.execute(_STANDINGS)
            }

    def in_doubt(self) -> int:
        """Count the deliveries whose reply was lost and that are to be sent again."""
        with self._snapshot() as connection:
            return int(connection.execute(_IN_DOUBT).fetchone()[0])

    def held(self) -> Sequence[HeldDelivery]:
        """Give what was set aside or waits in the spool, oldest first, a row for each delivery."""
        with self._snapshot() as connection:
            return tuple(_held_delivery(row) for row in connection.execute(_HELD))

    def held_message(self, number: int) -> Sequence[HeldDelivery]:
        """Give the rows of one message; none when it is not, or no longer, held."""
        return tuple(row for row in self.held() if row.id == number)

    def delivered(self, account: AccountId | None, most: int) -> Sequence[DeliveredMessage]:
        """Give the last ``most`` deliveries, newest last, of one account or, for None, of all."""
        with self._snapshot() as connection:
            return read_delivered(connection, account, most)

    def stories(self, name: str) -> Sequence[MessageStory]:
        """Give all messages whose Message-ID or unique-id is ``name``, oldest first."""
        with self._snapshot() as connection:
            return read_stories(connection, name)

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Let several questions see one state. A value we never wrote means damage."""
        with translated(self._path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            except (KeyError, ValueError) as error:
                raise damaged(self._path, f"holds a value that is none ({error})") from error
            finally:
                self._connection.rollback()


def _read_known(
    connection: sqlite3.Connection, account: int
) -> Mapping[UniqueId, tuple[KnownMessage, ...]]:
    states = _MESSAGE_STATES
    known: dict[UniqueId, tuple[KnownMessage, ...]] = {}
    served: dict[str, frozenset[str]] = {}
    for row in connection.execute(_KNOWN, (account,)):
        unique_id, digest, state, copies, first, settled, next_try, *rest = row
        suspect, deletions, oversize, listed_octets, names, kept = rest
        if names not in served:
            served[names] = frozenset(json.loads(names))
        message = KnownMessage(
            unique_id,
            digest,
            states[state],
            copies,
            first,
            settled,
            next_try,
            suspect > 0,
            deletions,
            oversize == 1,
            listed_octets,
            suspect == 2,
            served[names],
            _KEPT[kept],
        )
        earlier = known.get(unique_id)
        known[unique_id] = (message,) if earlier is None else (*earlier, message)
    return known


def _read_deliveries(
    connection: sqlite3.Connection, message: MessageKey, number: int
) -> Mapping[DeliveryKey, DeliveryStatus]:
    return {
        DeliveryKey(message, destination, recipient): DeliveryStatus(DeliveryState(state), *rest)
        for destination, recipient, state, *rest in connection.execute(_DELIVERIES, (number,))
    }


def _held_delivery(row: tuple[Any, ...]) -> HeldDelivery:
    oversize, is_waiting, digest, spooled, left = row[-5:]
    flags = bool(oversize), bool(is_waiting), digest, bool(spooled), bool(left)
    return HeldDelivery._make((*row[:-5], *flags))


def _intent(account: AccountId, row: tuple[Any, ...], recipients: tuple[str, ...]) -> Intent:
    unique_id, digest, destination, state, staged_as, changed_at = row
    return Intent(
        MessageKey(account, unique_id, digest),
        destination,
        recipients,
        DeliveryState(state),
        staged_as,
        changed_at,
    )


def _account_report(row: tuple[Any, ...]) -> AccountReport:
    key, began_at, *_ = row
    summary = None if began_at is None else PollSummary(*row[1:10])
    flags = map(bool, row[-7:-3])
    return AccountReport._make((key, summary, *row[10:-7], *flags, *row[-3:]))
