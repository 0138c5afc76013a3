"""What SQLite and the file system say, in the ledger's own words."""

from pathlib import Path

import pytest

from popsync.errors import LedgerCorrupt
from popsync.ledger.failures import translated


def test_text_that_is_not_utf8_is_damage() -> None:
    """A damaged page can show up in the text of a row or of SQLite's own finding."""
    damage = pytest.raises(LedgerCorrupt, match=r"^the ledger ledger\.sqlite3 is damaged")
    with damage, translated(Path("ledger.sqlite3")):
        b"\xb5".decode()
