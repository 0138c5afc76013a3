"""Finds where in a TOML text each key stands, which ``tomllib`` does not tell.

The text must already have passed ``tomllib``, with LF line ends; nothing is validated twice.
Grammar: TOML 1.0.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import NamedTuple

TomlPath = tuple[str | int, ...]
"""Keys from the top, with an index for each array: how ``tomllib``'s result is walked."""


class Place(NamedTuple):
    """Where a key, a table's header or an array's item stands; offsets count characters."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    start: int
    end: int
    """End of the key, the header or the item itself."""
    value_start: int
    value_end: int
    """Equal to ``end`` when there is no value: headers, and the leading parts of ``a.b.c``."""


_BLANKS = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^ \t\n,\]}#]+(?: [0-9][^ \t\n,\]}#]*)?")  # a date may hold a blank
_STRING = re.compile(
    # Nothing possessive: Python before 3.11.5 gets that wrong, and valid TOML never backtracks.
    r'"""(?:[^"\\]+|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']+|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\]+|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def locate(text: str) -> Mapping[TomlPath, Place]:
    """Give the place of every table, key and array item, by its path.

    A table that is opened by a header stands where the header does, else where its name first
    appears. Raises RecursionError when arrays are nested as deeply as tomllib itself fails at.
    """
    return _Scanner(text).scan()


class _KeyPart(NamedTuple):
    name: str
    start: int
    end: int


class _Scanner:
    """One pass over a text; ``_at`` is the offset of the next character to read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._places: dict[TomlPath, Place] = {}
        self._arrays: dict[TomlPath, int] = {}
        """Index of the last element of each array of tables."""
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def scan(self) -> Mapping[TomlPath, Place]:
        table: TomlPath = ()
        while self._skip(_BLANKS) < len(self._text):
            if self._text[self._at] == "[":
                table = self._read_header()
            else:
                self._read_pair(table)
        return self._places

    def _read_header(self) -> TomlPath:
        start = self._at
        brackets = 2 if self._text.startswith("[[", start) else 1
        self._at += brackets
        *parents, last = self._read_key()
        self._at += brackets
        path = (*self._enter(parents), last.name)
        if brackets == 2:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self._note(path, start, self._at)
            path = (*path, self._arrays[path])
        self._places.pop(path, None)
        self._note(path, start, self._at)
        return path

    def _enter(self, parents: list[_KeyPart]) -> TomlPath:
        """Follow a header's leading parts; an array of tables means its last element."""
        path: TomlPath = ()
        for part in parents:
            path = (*path, part.name)
            self._note(path, part.start, part.end)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _read_pair(self, table: TomlPath) -> None:
        *parents, last = self._read_key()
        for part in parents:
            table = (*table, part.name)
            self._note(table, part.start, part.end)
        self._at += 1  # the equals sign
        self._skip(_SPACES)
        path = (*table, last.name)
        value_start = self._at
        self._read_value(path)
        self._note(path, last.start, last.end, value_start)

    def _read_key(self) -> list[_KeyPart]:
        parts = []
        while True:
            start = self._skip(_SPACES)
            name = self._read_key_name()
            parts.append(_KeyPart(name, start, self._at))
            self._skip(_SPACES)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _read_key_name(self) -> str:
        start = self._at
        if self._text[start] not in "\"'":
            self._skip(_BARE_KEY)
            return self._text[start : self._at]
        self._skip(_STRING)
        inner = self._text[start + 1 : self._at - 1]
        return inner if self._text[start] == "'" else _ESCAPE.sub(_unescape, inner)

    def _read_value(self, path: TomlPath) -> None:
        first = self._text[self._at]
        if first in "\"'":
            self._skip(_STRING)
        elif first == "[":
            self._read_array(path)
        elif first == "{":
            self._read_inline_table(path)
        else:
            self._skip(_SCALAR)

    def _read_array(self, path: TomlPath) -> None:
        for index, start in enumerate(self._items("]")):
            self._read_value((*path, index))
            self._note((*path, index), start, self._at, start)

    def _read_inline_table(self, path: TomlPath) -> None:
        for _start in self._items("}"):
            self._read_pair(path)

    def _items(self, closing: str) -> Iterator[int]:
        """Stop at each item between brackets, for the caller to read."""
        self._at += 1
        while self._text[self._skip(_BLANKS)] != closing:
            yield self._at
            if self._text[self._skip(_BLANKS)] == ",":
                self._at += 1
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _note(self, path: TomlPath, start: int, end: int, value_start: int | None = None) -> None:
        if path in self._places:
            return
        line = bisect_right(self._line_starts, start)
        column = start - self._line_starts[line - 1] + 1
        value = (end, end) if value_start is None else (value_start, self._at)
        self._places[path] = Place(line, column, start, end, *value)


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    return chr(int(escape[1:], 16)) if escape[0] in "uU" else _ESCAPED[escape]
