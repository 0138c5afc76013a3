"""What commands print on stdout: JSON documents and tables."""

import json
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

_GAP = "  "
_LEAST_ROOM = 30
"""A narrower last column would be all lines and no text."""
_BELOW = 4
"""How far the last column is indented when it stands below its row."""


def print_json(document: Any, *, in_one_line: bool = False) -> None:
    """Print one JSON document; in one line where more follow."""
    indent = None if in_one_line else 2
    click.echo(json.dumps(document, indent=indent, ensure_ascii=False))


def format_moment(moment: float | None) -> str | None:
    """Give a time in seconds since the epoch as ISO 8601 in UTC, for JSON; None for None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def terminal_width() -> int | None:
    """Give how many characters a line of stdout has; None when it is no terminal."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size  # noqa: PLC0415 - for terminals alone

    return get_terminal_size().columns


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str | int]], *, width: int | None = None
) -> list[str]:
    """Give aligned lines: numbers to the right, text to the left, the last column as it is.

    width: where to fold the last column, between words; None for nowhere.
    """
    shown = [[f"{c:,}" if isinstance(c, int) else c for c in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
    numeric = [all(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for cells in (header, *shown):
        aligned = [
            cell.rjust(room) if right else cell.ljust(room)
            for cell, room, right in zip(
                cells, widths, numeric or [False] * len(cells), strict=True
            )
        ]
        *first, last = aligned
        lines += _fold("".join(cell + _GAP for cell in first), last.rstrip(), width)
    return lines


def _fold(first: str, last: str, width: int | None) -> list[str]:
    """Give ``first`` with ``last`` beside it, or below it where too little room is left."""
    if width is None or len(first) + len(last) <= width:
        return [(first + last).rstrip()]
    below = width - len(first) < _LEAST_ROOM
    indent = " " * (_BELOW if below else len(first))
    folded = textwrap.wrap(
        last,
        max(width, _LEAST_ROOM),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [first.rstrip(), *folded] if below else [first + folded[0].lstrip(), *folded[1:]]
