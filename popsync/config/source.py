"""One file of the configuration: read once, parsed, every key located."""

import re
import sys
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from popsync.config.excerpt import Span, excerpt_of
from popsync.config.files import FileContent, FileRefused, read_regular_file
from popsync.config.locate import Place, TomlPath, locate
from popsync.config.problem import Problem, format_key
from popsync.config.syntax import syntax_problem
from popsync.config.vocabulary import KNOWN_KEYS

MAX_FILE_OCTETS = 1024 * 1024
_TOP = Place(1, 1, 0, 1, 1, 1)


class SourceRefused(Exception):
    """A file cannot be used at all; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.sentence)


class Source(NamedTuple):
    """A file as it was at one moment."""

    path: Path
    text: str
    """With LF line ends."""
    tables: dict[str, Any]
    places: Mapping[TomlPath, Place]
    file: FileContent
    secrets: Sequence[Span]
    """Values that may be secret, in order, none inside another."""

    def problem(self, path: TomlPath, sentence: str) -> Problem:
        """Point at ``path``, or at the nearest table around it when it is not in the file."""
        place = self.place(path)
        excerpt = excerpt_of(self.text, (place.start, place.end), self._secrets_on(place))
        return Problem(self.path, sentence, format_key(path), place.line, place.column, excerpt)

    def place(self, path: TomlPath) -> Place:
        """Give the place of ``path``, or of the nearest table around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, _TOP)

    def _secrets_on(self, place: Place) -> Sequence[Span]:
        """Give the spans that touch the line of ``place``."""
        line_start = place.start - place.column + 1
        line_end = self.text.find("\n", line_start)
        line_end = len(self.text) if line_end < 0 else line_end
        first = bisect_left(self.secrets, line_start, key=lambda span: span[1])
        return self.secrets[first : bisect_right(self.secrets, line_end, key=lambda span: span[0])]


def _find_secrets(text: str, places: Mapping[TomlPath, Place]) -> Iterator[Span]:
    """Give the values of passwords, and of unknown keys: one may be a misspelt password."""
    end = 0
    for path, place in sorted(places.items(), key=lambda item: item[1].value_start):
        has_value = place.value_end > place.end and not isinstance(path[-1], int)
        if has_value and place.value_start >= end and _may_be_secret(path, text, place):
            end = place.value_end
            yield place.value_start, end


def _may_be_secret(path: TomlPath, text: str, place: Place) -> bool:
    unknown = path[-1] not in KNOWN_KEYS
    return path[-1] == "password" or (unknown and text[place.value_start] != "{")


def read_source(path: Path) -> Source:
    """Read and parse ``path``. Raises SourceRefused with the first thing that is wrong."""
    try:
        file = read_regular_file(path, max_octets=MAX_FILE_OCTETS)
    except FileRefused as refusal:
        raise SourceRefused(Problem(path, str(refusal))) from None
    text = _decode(path, file.octets)
    try:
        tables = tomllib.loads(text)
        places = locate(text)
    except tomllib.TOMLDecodeError as error:
        raise SourceRefused(syntax_problem(path, text, str(error))) from None
    except RecursionError:
        raise SourceRefused(Problem(path, "has lists or tables nested too deeply")) from None
    except ValueError:  # a number that Python cannot hold
        raise SourceRefused(_long_number(path, text)) from None
    secrets = tuple(_find_secrets(text, places))
    return Source(path, text, tables, places, file, secrets)


def _long_number(path: Path, text: str) -> Problem:
    """Point at the first run of digits that is too long to be read."""
    digits = re.search(f"[0-9_]{{{sys.get_int_max_str_digits()},}}", text)
    start = digits.start() if digits else 0
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    return syntax_problem(path, text, f"A number is too long (at line {line}, column {column})")


def _decode(path: Path, octets: bytes) -> str:
    try:
        return octets.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        column = error.start - (octets.rfind(b"\n", 0, error.start) + 1) + 1
        sentence = "is not UTF-8 text; save the file as UTF-8"
        raise SourceRefused(Problem(path, sentence, line=line, column=column)) from None
