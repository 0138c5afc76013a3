"""Writes what a poll found out about its account. Each function is part of one transaction."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping

from popsync.ledger.accounts import number_of_account
from popsync.ledger.questions import change_in_pieces
from popsync.ledger.spooling import note_left
from popsync.model import AccountId, Hint, MessageNumber, PollSummary, Quiet, UniqueId

TOMBSTONES_KEPT_S = 90 * 86400.0
"""A server that shows a message again within this time is not believed to have a new one."""

_COUNT_DELETION = """
UPDATE message SET deletions = deletions + 1
WHERE account = ? AND unique_id IN (%s) AND state <> 'gone'
"""

_FORGET_DELETION = """
UPDATE message SET deletions = 0 WHERE account = ? AND unique_id IN (%s) AND deletions = 1
"""

# What lies in the spool is delivered without the server. What a crash left half done waits for its
# recovery, which needs none either; what the operator dropped stays dropped should it come back.
# All else is beyond reach: even a held message could only be tried again by retrieving it.
_BURY = """
UPDATE message SET state = 'gone', gone_at = ?, next_try = NULL
WHERE account = ? AND unique_id = ? AND state NOT IN ('gone', 'dropped') AND spooled = 0
  AND NOT EXISTS (SELECT 1 FROM delivery
                  WHERE message = message.id AND delivery.state IN ('staged', 'dot_sent'))
"""

_PRUNE = "DELETE FROM message WHERE account = ? AND gone_at < ? AND spooled = 0"

_CLOSE_LISTING = "UPDATE account SET polled_before = 1, renumbering = ? WHERE id = ?"

_NOTE_LOCK_STEP = "UPDATE account SET lock_step = 1 WHERE id = ?"

_NOTE_CONTENT_KEYS = "UPDATE account SET content_keys = 1 WHERE id = ?"

_FORGET_HINTS = "DELETE FROM hint WHERE account = ?"

_NOTE_HINT = "INSERT INTO hint VALUES (?, ?, ?, ?, ?)"

_NOTE_POLL = """
UPDATE account
SET began_at = :began_at, ended_at = :ended_at, listed = :listed, delivered = :delivered,
    octets = :octets, deleted = :deleted, held = :held, deferred = :deferred, error = :error,
    last_success_at = iif(:error = '', :ended_at, last_success_at),
    error_since = iif(:error = '', NULL, coalesce(error_since, :ended_at)),
    stamp = coalesce(stamp, randomblob(8))
WHERE id = :account
"""

_NOTE_QUIET = """
UPDATE account SET quiet = :fingerprint, quiet_until = :until
WHERE id = :account AND stamp = :stamp
"""


def note_deletions(
    connection: sqlite3.Connection, account: AccountId, unique_ids: Collection[UniqueId]
) -> None:
    """Count a DELE that is about to be issued for each."""
    number = number_of_account(connection, account)
    change_in_pieces(connection, _COUNT_DELETION, number, unique_ids)


def note_undeleted(
    connection: sqlite3.Connection, account: AccountId, unique_ids: Collection[UniqueId]
) -> None:
    """Forget the one DELE of each."""
    number = number_of_account(connection, account)
    change_in_pieces(connection, _FORGET_DELETION, number, unique_ids)


def close_listing(
    connection: sqlite3.Connection,
    account: AccountId,
    gone: Iterable[UniqueId],
    *,
    renumbering: bool,
    now: float,
) -> None:
    """Bury what a complete listing no longer shows, forget old tombstones, mark it polled."""
    number = number_of_account(connection, account)
    left = frozenset(gone)
    if left:
        connection.executemany(_BURY, [(now, number, unique_id) for unique_id in left])
        note_left(connection, number, left, now=now)
    connection.execute(_PRUNE, (number, now - TOMBSTONES_KEPT_S))
    connection.execute(_CLOSE_LISTING, (renumbering, number))


def note_lock_step(connection: sqlite3.Connection, account: AccountId) -> None:
    """Remember that this account's server cannot be trusted with pipelining."""
    connection.execute(_NOTE_LOCK_STEP, (number_of_account(connection, account),))


def note_content_keys(connection: sqlite3.Connection, account: AccountId) -> None:
    """Remember that this account's unique-ids mean nothing from one session to the next."""
    connection.execute(_NOTE_CONTENT_KEYS, (number_of_account(connection, account),))


def note_hints(
    connection: sqlite3.Connection, account: AccountId, hints: Mapping[MessageNumber, Hint]
) -> None:
    """Remember these hints in the place of all earlier ones."""
    number = number_of_account(connection, account)
    connection.execute(_FORGET_HINTS, (number,))
    connection.executemany(_NOTE_HINT, [(number, at, *hint) for at, hint in hints.items()])


def note_poll(
    connection: sqlite3.Connection, account: AccountId, summary: PollSummary, quiet: Quiet | None
) -> None:
    """Remember what a poll came to, and the listing that it found to be quiet.

    Nothing is known of that listing any more when something has changed meanwhile: the stamp,
    which it was compared under, is then gone, and the next one is another.
    """
    number = number_of_account(connection, account)
    if quiet is not None:
        connection.execute(_NOTE_QUIET, quiet._asdict() | {"account": number})
    connection.execute(_NOTE_POLL, summary._asdict() | {"account": number})


def note_standing(connection: sqlite3.Connection, account: AccountId, standing: str) -> None:
    """Remember how the daemon goes about an account."""
    number = number_of_account(connection, account)
    connection.execute("UPDATE account SET standing = ? WHERE id = ?", (standing, number))


def set_paused(connection: sqlite3.Connection, account: AccountId, *, paused: bool) -> None:
    """Remember whether the operator wants an account not to be polled."""
    number = number_of_account(connection, account)
    connection.execute("UPDATE account SET paused = ? WHERE id = ?", (paused, number))
