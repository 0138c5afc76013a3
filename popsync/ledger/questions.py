"""One statement for many values, as many of them at a time as one statement takes.

Each statement, and each row of its own that Python makes of it, lets go of the interpreter a few
times; while the event loop is busy, to get it back takes longer than what SQLite does.
"""

import sqlite3
from collections.abc import Collection, Hashable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any

_MOST_VALUES = 256
_MOST_ROWS = 8
"""More would make more different statements than SQLite's module remembers."""


def ask_in_pieces(
    connection: sqlite3.Connection, query: str, subject: object, values: Collection[Hashable]
) -> Iterator[tuple[Any, ...]]:
    """Give the rows for all different ``values``.

    query: takes ``subject`` first, and has ``%s`` where the marks of the values go.
    """
    rest = iter(dict.fromkeys(values))
    while some := tuple(islice(rest, _MOST_VALUES)):
        yield from connection.execute(query % ",".join("?" * len(some)), (subject, *some))


def change_in_pieces(
    connection: sqlite3.Connection, change: str, subject: object, values: Collection[Hashable]
) -> None:
    """Make the same ``change``, which takes what a query takes, for all different ``values``."""
    for _ in ask_in_pieces(connection, change, subject, values):
        pass


def write_rows(
    connection: sqlite3.Connection, statement: str, rows: Collection[Sequence[object]]
) -> None:
    """Execute ``statement`` for all ``rows``, in order; it has ``%s`` for the list of VALUES."""
    rest = iter(rows)
    while some := tuple(islice(rest, _MOST_ROWS)):
        text = _with_marks(statement, len(some[0]), len(some))
        connection.execute(text, tuple(chain.from_iterable(some)))


@lru_cache(maxsize=64)
def _with_marks(statement: str, columns: int, rows: int) -> str:
    row = f"({','.join('?' * columns)})"
    return statement % ",".join([row] * rows)
