"""One question about many values, as many of them at a time as one statement takes."""

import sqlite3
from collections.abc import Collection, Hashable, Iterator
from itertools import islice
from typing import Any

_MOST_VALUES = 256


def ask_in_pieces(
    connection: sqlite3.Connection, query: str, subject: object, values: Collection[Hashable]
) -> Iterator[tuple[Any, ...]]:
    """Give the rows for all different ``values``.

    query: takes ``subject`` first, and has ``%s`` where the marks of the values go.
    """
    rest = iter(dict.fromkeys(values))
    while some := tuple(islice(rest, _MOST_VALUES)):
        yield from connection.execute(query % ",".join("?" * len(some)), (subject, *some))
