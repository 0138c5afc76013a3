"""What commands print on stdout: JSON documents and tables."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

_GAP = "  "


def print_json(document: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def format_moment(moment: float | None) -> str | None:
    """Give a time in seconds since the epoch as ISO 8601 in UTC, for JSON; None for None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def format_table(header: Sequence[str], rows: Sequence[Sequence[str | int]]) -> list[str]:
    """Give aligned lines: numbers to the right, text to the left, the last column as it is."""
    shown = [[f"{c:,}" if isinstance(c, int) else c for c in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
    numeric = [all(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for cells in (header, *shown):
        aligned = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(
                cells, widths, numeric or [False] * len(cells), strict=True
            )
        ]
        lines.append(_GAP.join(aligned).rstrip())
    return lines
