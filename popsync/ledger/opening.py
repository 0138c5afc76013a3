"""Finds, makes, checks and opens the ledger's file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from popsync.ledger.failures import damaged, refuse_file, translated
from popsync.ledger.marker import ledger_exists
from popsync.ledger.reading import LedgerReader
from popsync.ledger.schema import (
    VERSION,
    create_schema,
    explain_foreign,
    migrate_schema,
    read_version,
)
from popsync.storage import DurableSteps

LEDGER_NAME = "ledger.sqlite3"
LOCK_NAME = "lock"

# Checking costs a second or two for each GB. A larger ledger is checked only after an unclean
# end, which leaves a write-ahead log behind.
_ALWAYS_CHECKED_OCTETS = 256 * 1024 * 1024

_BUSY_TIMEOUT_S = 10.0


def prepare_file(path: Path, steps: DurableSteps) -> None:
    """Make an empty ledger if there never was one; an older sound one becomes one of today.

    Any other that is sound stays as it is. Raises LedgerCorrupt, LedgerUnavailable.
    """
    with translated(path):
        if ledger_exists(path):
            _check(path)
            _migrate(path, steps)
        else:
            _create(path, steps)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open a sound ledger for writing, every commit durable. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a ledger for reading only. Raises sqlite3.Error."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def read_ledger(state_dir: Path) -> LedgerReader:
    """Open the ledger for questions only, also while a daemon writes it.

    A ledger that does not exist yet answers like an empty one, an older one through a copy in
    memory. Raises LedgerCorrupt, LedgerUnavailable.
    """
    path = state_dir / LEDGER_NAME
    with translated(path):
        refuse_file(state_dir)
        if not ledger_exists(path):
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            create_schema(connection)
            connection.commit()
            return LedgerReader(path, connection)
        connection = connect_reader(path)
        try:
            _refuse_foreign(path, connection)
            if read_version(connection) < VERSION:
                connection = _copy_of_today(connection)
        except BaseException:
            connection.close()
            raise
        return LedgerReader(path, connection)


def _copy_of_today(older: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    older.backup(copy)
    older.close()
    migrate_schema(copy)
    copy.commit()
    return copy


def _create(path: Path, steps: DurableSteps) -> None:
    """Make the file under another name first, so that an empty one is always a damaged one."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    steps.sync_file(steps.write_file(fresh, ()))
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        create_schema(connection)
        steps.commit(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    steps.sync_path(fresh)
    steps.rename(fresh, path)
    steps.sync_directory(path.parent)


def _migrate(path: Path, steps: DurableSteps) -> None:
    """Change the tables in one transaction: a crash leaves the older ledger or the new one."""
    with closing(connect_writer(path)) as connection:
        if read_version(connection) < VERSION:
            migrate_schema(connection)
            steps.commit(connection)


def _check(path: Path) -> None:
    with closing(connect_reader(path)) as connection:
        _refuse_foreign(path, connection)
        if _wants_check(path):
            (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if finding != "ok":
                raise damaged(path, f"is damaged ({finding})")


def _refuse_foreign(path: Path, connection: sqlite3.Connection) -> None:
    if explanation := explain_foreign(connection):
        raise damaged(path, explanation)


def _wants_check(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    unclean = log.exists() and log.stat().st_size > 0
    return unclean or path.stat().st_size <= _ALWAYS_CHECKED_OCTETS
