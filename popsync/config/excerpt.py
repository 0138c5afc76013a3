"""Shows the line at fault without showing a secret."""

from collections.abc import Iterable
from typing import NamedTuple

MAX_EXCERPT_CHARACTERS = 100

Span = tuple[int, int]
"""Offsets of the first character and of the one after the last."""


class Excerpt(NamedTuple):
    """One line, and what to underline in it."""

    line: str
    indent: int
    width: int

    def format(self) -> str:
        """Give two indented lines."""
        return f"    {self.line}\n    {' ' * self.indent}{'^' * self.width}"


def excerpt_of(text: str, fault: Span, hidden: Iterable[Span]) -> Excerpt:
    """Cut out the line where ``fault`` begins, with an ellipsis for each hidden span."""
    first = text.rfind("\n", 0, fault[0]) + 1
    last = text.find("\n", first)
    cells = [c if c.isprintable() else " " for c in text[first : last if last >= 0 else None]]
    for start, end in hidden:
        _hide(cells, max(start - first, 0), min(end - first, len(cells)))
    indent = len("".join(cells[: fault[0] - first]))
    width = len("".join(cells[fault[0] - first : fault[1] - first]))
    return _trim("".join(cells), indent, max(width, 1))


def _hide(cells: list[str], start: int, end: int) -> None:
    if start < end:
        cells[start:end] = ["…", *[""] * (end - start - 1)]


def _trim(line: str, indent: int, width: int) -> Excerpt:
    """Drop leading blanks, and what is too far from the fault."""
    blanks = min(len(line) - len(line.lstrip()), indent)
    cut = max(blanks, indent - MAX_EXCERPT_CHARACTERS // 2)
    shown = line[cut : cut + MAX_EXCERPT_CHARACTERS].rstrip()
    indent -= cut
    return Excerpt(shown, indent, max(1, min(width, len(shown) - indent)))
