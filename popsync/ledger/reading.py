"""All questions to the ledger, on a connection that cannot write."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from popsync.ledger.failures import damaged, translated
from popsync.ledger.known import read_known
from popsync.ledger.reports import (
    AccountReport,
    DeliveredMessage,
    HeldDelivery,
    MessageStory,
    StoredStanding,
)
from popsync.ledger.schema import read_token
from popsync.ledger.spooling import read_all_spooled, read_spooled
from popsync.ledger.status import read_accounts, read_held, read_in_doubt, read_standings
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
    MessageKey,
    MessageNumber,
    Quiet,
    SpooledMessage,
)

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
                read_known(connection, number),
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
            return read_accounts(connection)

    def standings(self) -> Mapping[AccountId, StoredStanding]:
        """Give how each known account stood with the daemon when it last said so."""
        with self._snapshot() as connection:
            return read_standings(connection)

    def in_doubt(self) -> int:
        """Count the deliveries whose reply was lost and that are to be sent again."""
        with self._snapshot() as connection:
            return read_in_doubt(connection)

    def held(self) -> Sequence[HeldDelivery]:
        """Give what was set aside or waits in the spool, oldest first, a row for each delivery."""
        with self._snapshot() as connection:
            return read_held(connection)

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


def _read_deliveries(
    connection: sqlite3.Connection, message: MessageKey, number: int
) -> Mapping[DeliveryKey, DeliveryStatus]:
    return {
        DeliveryKey(message, destination, recipient): DeliveryStatus(DeliveryState(state), *rest)
        for destination, recipient, state, *rest in connection.execute(_DELIVERIES, (number,))
    }


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
