"""Turns what SQLite and the file system say into the ledger's own errors."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from popsync.errors import LedgerCorrupt, LedgerError, LedgerUnavailable
from popsync.ledger.marker import MARKER_NAME

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE = 0xFF


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise LedgerUnavailable or LedgerCorrupt in place of sqlite3.Error and OSError."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(path, error) from error
    except UnicodeDecodeError as error:  # SQLite hands on the text of a damaged page as it is
        raise damaged(path, "is damaged (text in it is not UTF-8)") from error
    except LedgerError:
        raise
    except OSError as error:
        raise LedgerUnavailable(f"the ledger {path} cannot be used: {_words(error)}") from error


def refuse_file(state_dir: Path) -> None:
    """Raise LedgerUnavailable when something else is in the place of the directory."""
    place = next(place for place in (state_dir, *state_dir.parents) if os.path.lexists(place))
    if not place.is_dir():
        raise LedgerUnavailable(
            f"state_dir {state_dir} cannot be used: {place} is not a directory; move it away, or"
            " name another state_dir in the configuration"
        )


def _words(error: OSError) -> str:
    """Give the system's words without its numbers."""
    named = f"{error.filename}: " if error.filename else ""
    return f"{named}{error.strerror}" if error.strerror else str(error)


def damaged(path: Path, finding: str) -> LedgerCorrupt:
    """Say that the ledger must be replaced by a person, and how."""
    return LedgerCorrupt(
        f"the ledger {path} {finding}; it was left as it is. Put back a backup, or move it and"
        f" {MARKER_NAME} away to begin anew: messages still on the servers are then delivered"
        " once more"
    )


def _explain(path: Path, error: sqlite3.Error) -> LedgerError:
    # Errors that Python's module finds by itself, such as a closed connection, carry no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
    if code in _DAMAGED:
        return damaged(path, f"is damaged ({error})")
    return LedgerUnavailable(f"the ledger {path} cannot be used: {error}")
