"""The tables of odd servers name tests that exist."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.odd_servers.rows import POP3_ROWS, RELAY_ROWS
from tests.odd_servers.rows.form import Row, named_by
from tests.odd_servers.tally import shortcomings

_TOP = Path(__file__).parents[2]


def test_every_reference_stands_for_a_test() -> None:
    """A test that was renamed or removed takes its row with it."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.odd_servers.tally", "--collect"],
        cwd=_TOP,
        capture_output=True,
        text=True,
        check=False,
    )

    assert [line for line in told.stdout.splitlines() if "there is no" in line] == []
    assert told.stdout.splitlines()[-1].startswith("odd POP3 servers ")


def test_no_row_is_told_twice() -> None:
    """Each says something of its own."""
    sentences = [row.says for row in (*POP3_ROWS, *RELAY_ROWS)]

    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("a.py::test_x", ["tests/a.py::test_x", "tests/a.py::test_x[1]"]),
        ("a.py::test_x[*]", ["tests/a.py::test_x[1]"]),
        ("a.py::test_y*", ["tests/a.py::test_yz"]),
        ("b.py::test_x", []),
    ],
)
def test_a_reference_names_a_test_or_its_cases(reference: str, found: list[str]) -> None:
    """Without brackets all of them; nothing that only begins alike."""
    seen = ["tests/a.py::test_x", "tests/a.py::test_x[1]", "tests/a.py::test_yz"]

    assert named_by(reference, seen) == found


def test_a_row_is_shown_when_nothing_is_missing_and_all_passed() -> None:
    """What lacks a word, a test or its success does not count."""
    seen, failed = {"tests/a.py::test_x", "tests/a.py::test_y"}, {"tests/a.py::test_y"}

    def shown(*tests: str, lacks: str = "") -> bool:
        return not list(shortcomings(Row("Odd.", tests, lacks), seen, failed))

    assert shown("a.py::test_x")
    assert not shown("a.py::test_x", lacks="a case")
    assert not shown()
    assert not shown("a.py::test_y")
    assert not shown("a.py::test_x", "a.py::test_z")
