"""The rows of accounts. Part of one transaction."""

import sqlite3

from popsync.model import AccountId

_ADD = "INSERT INTO account (key) VALUES (?) ON CONFLICT DO NOTHING"
_FIND = "SELECT id FROM account WHERE key = ?"


def number_of_account(connection: sqlite3.Connection, account: AccountId) -> int:
    """Give the account's row number, making the row when it is new."""
    found = connection.execute(_FIND, (account,)).fetchone()
    if found is None:
        connection.execute(_ADD, (account,))
        found = connection.execute(_FIND, (account,)).fetchone()
    return int(found[0])
