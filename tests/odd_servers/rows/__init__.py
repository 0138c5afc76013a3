"""What odd servers do, row by row, and the tests that show how popsync bears it.

A row counts once it lacks nothing, and each of its tests is there and passes:
``python -m tests.odd_servers.tally``.
"""

from tests.odd_servers.rows import (
    encryption,
    endings,
    listings,
    messages,
    opening,
    providers,
    relayed_mail,
    relays,
    texts,
)
from tests.odd_servers.rows.form import Row

POP3_ROWS: tuple[Row, ...] = (
    *opening.ROWS,
    *listings.ROWS,
    *messages.ROWS,
    *endings.ROWS,
    *encryption.ROWS,
    *texts.ROWS,
    *providers.ROWS,
)
RELAY_ROWS: tuple[Row, ...] = (*relays.ROWS, *relayed_mail.ROWS)
