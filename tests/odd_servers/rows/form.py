"""What a row of the two tables is, and how it names the tests that show it."""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """One oddity that servers show, and where popsync is seen to bear it."""

    says: str
    """The oddity and what popsync makes of it, in one sentence."""
    tests: tuple[str, ...] = ()
    """Node ids below ``tests/``. ``*`` stands for anything; without ``[…]`` every case counts."""
    lacks: str = ""
    """What no test shows yet; empty when nothing is missing."""


def within(file: str, *tests: str) -> tuple[str, ...]:
    """Name tests of one file, all without any; it is given without ``tests/`` and ``.py``."""
    return tuple(f"{file}.py::{test}" for test in tests or ("*",))


def cases(test: str, *names: str) -> tuple[str, ...]:
    """Name cases of one test."""
    return tuple(f"{test}[{name}]" for name in names)


def named_by(reference: str, node_ids: Iterable[str]) -> Collection[str]:
    """Give those node ids, written from the repository's top, that a reference stands for."""
    words = ".*".join(re.escape(part) for part in reference.split("*"))
    pattern = re.compile(rf"tests/{words}(?:\[.*\])?", re.DOTALL)
    return [node_id for node_id in node_ids if pattern.fullmatch(node_id)]


def files_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Give the files that the tests of ``rows`` are in, each once, from the repository's top."""
    files = {"tests/" + test.partition("::")[0] for row in rows for test in row.tests}
    return tuple(sorted(files))
