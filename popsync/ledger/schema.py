"""The tables, and what makes a file a ledger of this version."""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from types import MappingProxyType

APPLICATION_ID = 0x706F7073
"""``pops``, so that ``file`` and a careless restore can tell a ledger from another database."""

VERSION = 4

_HINTS = """
CREATE TABLE hint (
    account INTEGER NOT NULL REFERENCES account,
    number INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    unique_id BLOB NOT NULL,  -- a content key, or empty
    retrieved_at REAL NOT NULL,
    PRIMARY KEY (account, number)
) STRICT, WITHOUT ROWID
"""

# Nobody who changes what a plan is made of has to think of it, an operator's command included.
_FORGET_QUIET = tuple(
    f"""
CREATE TRIGGER {name} AFTER {change} BEGIN
    UPDATE account SET stamp = NULL, quiet = NULL WHERE id = {account} AND stamp IS NOT NULL;
END
"""  # noqa: S608 - constants only
    for name, change, account in (
        ("message_added", "INSERT ON message", "NEW.account"),
        ("message_changed", "UPDATE ON message", "NEW.account"),
        ("message_removed", "DELETE ON message", "OLD.account"),
        (
            "account_changed",
            "UPDATE OF polled_before, renumbering, lock_step, content_keys ON account",
            "NEW.id",
        ),
    )
)

_TABLES = f"""
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    polled_before INTEGER NOT NULL DEFAULT 0 CHECK (polled_before IN (0, 1)),
    renumbering INTEGER NOT NULL DEFAULT 0 CHECK (renumbering IN (0, 1)),
    lock_step INTEGER NOT NULL DEFAULT 0 CHECK (lock_step IN (0, 1)),
    began_at REAL,
    ended_at REAL,
    listed INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    deferred INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    last_success_at REAL,
    error_since REAL,
    total_delivered INTEGER NOT NULL DEFAULT 0,
    total_octets INTEGER NOT NULL DEFAULT 0,
    standing TEXT NOT NULL DEFAULT '',  -- how the daemon goes about it, in its own words
    paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    day TEXT NOT NULL DEFAULT '',  -- the local date that delivered_today counts for
    delivered_today INTEGER NOT NULL DEFAULT 0,
    content_keys INTEGER NOT NULL DEFAULT 0 CHECK (content_keys IN (0, 1)),
    stamp BLOB,  -- another one after each change that a plan may depend on
    quiet BLOB,  -- the digest of a listing that leaves nothing to do under this stamp
    quiet_until REAL
) STRICT;

-- state, next_try and settled_at repeat what the deliveries say: a poll reads only this table.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account,
    unique_id BLOB NOT NULL,
    generation INTEGER NOT NULL,
    digest BLOB CHECK (length(digest) = 32),
    octets INTEGER NOT NULL,
    listed_octets INTEGER NOT NULL DEFAULT 0,
    copies INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (
        state IN ('pending', 'held', 'settled', 'adopted', 'gone', 'dropped')
    ),
    reason TEXT NOT NULL DEFAULT '',
    oversize INTEGER NOT NULL DEFAULT 0 CHECK (oversize IN (0, 1)),
    suspect INTEGER NOT NULL DEFAULT 0 CHECK (suspect IN (0, 1, 2)),  -- 2: twice the same
    first_seen REAL NOT NULL,
    settled_at REAL,
    gone_at REAL,
    next_try REAL,
    deletions INTEGER NOT NULL DEFAULT 0,
    served TEXT NOT NULL DEFAULT '[]',  -- names of destinations, as a JSON array
    message_id TEXT NOT NULL DEFAULT '',  -- escaped
    spooled INTEGER NOT NULL DEFAULT 0 CHECK (spooled IN (0, 1)),
    UNIQUE (account, unique_id, digest)
) STRICT;

CREATE UNIQUE INDEX message_unretrieved ON message (account, unique_id) WHERE digest IS NULL;
CREATE INDEX message_digest ON message (account, digest) WHERE settled_at IS NOT NULL;
CREATE INDEX message_gone ON message (account, gone_at) WHERE gone_at IS NOT NULL;
CREATE INDEX message_open ON message (account, state) WHERE state IN ('pending', 'held');

CREATE TABLE delivery (
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    destination TEXT NOT NULL,
    recipient TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'seen' CHECK (
        state IN ('seen', 'staged', 'dot_sent', 'in_doubt', 'deferred', 'held', 'delivered')
    ),
    reply TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL,
    doubts INTEGER NOT NULL DEFAULT 0,
    staged_as TEXT NOT NULL DEFAULT '',
    changed_at REAL NOT NULL,
    PRIMARY KEY (message, destination, recipient)
) STRICT, WITHOUT ROWID;

CREATE INDEX delivery_intent ON delivery (message) WHERE state IN ('staged', 'dot_sent');
CREATE INDEX delivery_held ON delivery (message) WHERE state = 'held';
{_HINTS};
{";".join(_FORGET_QUIET)};
"""

_MIGRATIONS: Mapping[int, Sequence[str]] = MappingProxyType(
    {
        1: (
            "ALTER TABLE account ADD COLUMN standing TEXT NOT NULL DEFAULT ''",
            (
                "ALTER TABLE account ADD COLUMN paused INTEGER NOT NULL DEFAULT 0"
                " CHECK (paused IN (0, 1))"
            ),
            "ALTER TABLE account ADD COLUMN day TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE account ADD COLUMN delivered_today INTEGER NOT NULL DEFAULT 0",
            (
                "ALTER TABLE account ADD COLUMN content_keys INTEGER NOT NULL DEFAULT 0"
                " CHECK (content_keys IN (0, 1))"
            ),
            "ALTER TABLE message ADD COLUMN message_id TEXT NOT NULL DEFAULT ''",
            (
                "ALTER TABLE message ADD COLUMN spooled INTEGER NOT NULL DEFAULT 0"
                " CHECK (spooled IN (0, 1))"
            ),
        ),
        2: (_HINTS,),
        3: (
            "ALTER TABLE account ADD COLUMN stamp BLOB",
            "ALTER TABLE account ADD COLUMN quiet BLOB",
            "ALTER TABLE account ADD COLUMN quiet_until REAL",
            *_FORGET_QUIET,
        ),
    }
)
"""By version, what makes the next one of it."""


def create_schema(connection: sqlite3.Connection) -> None:
    """Make an empty database a ledger with a token of its own; the caller ends the transaction."""
    connection.executescript(f"BEGIN; {_TABLES}")
    connection.execute("INSERT INTO meta VALUES ('token', ?)", (secrets.token_hex(8),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def read_version(connection: sqlite3.Connection) -> int:
    """Give the version that this ledger was last written by."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate_schema(connection: sqlite3.Connection) -> None:
    """Make an older ledger one of this version; the caller ends the transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for version in range(read_version(connection), VERSION):
        for statement in _MIGRATIONS[version]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def explain_foreign(connection: sqlite3.Connection) -> str:
    """Say why this database is no ledger that we can use; empty when it is one."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    version = read_version(connection)
    if application_id != APPLICATION_ID:
        return "is not a ledger of popsync"
    if version > VERSION:
        return f"was written by a newer popsync (format {version}, this one knows {VERSION})"
    return ""


def read_token(connection: sqlite3.Connection) -> str:
    """Give the ledger's own 64 random bits as 16 hex digits."""
    (token,) = connection.execute("SELECT value FROM meta WHERE name = 'token'").fetchone()
    return str(token)
