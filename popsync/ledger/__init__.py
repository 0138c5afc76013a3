"""The durable memory of what was delivered, in one SQLite file."""

from popsync.ledger.assembly import look_at_ledger, open_ledger
from popsync.ledger.ledger import SqliteLedger
from popsync.ledger.opening import read_ledger
from popsync.ledger.reading import LedgerReader
from popsync.ledger.reports import AccountReport, HeldDelivery, StoredStanding

__all__ = [
    "AccountReport",
    "HeldDelivery",
    "LedgerReader",
    "SqliteLedger",
    "StoredStanding",
    "look_at_ledger",
    "open_ledger",
    "read_ledger",
]
