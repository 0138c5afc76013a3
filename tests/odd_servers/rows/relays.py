"""Odd SMTP and LMTP servers."""

from tests.odd_servers.rows.form import Row

ROWS: tuple[Row, ...] = ()
