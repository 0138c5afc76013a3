"""Runs the tests of all rows: ``python -m tests.odd_servers.tally [--collect] [PYTEST-OPTION …]``.

Prints each row that is not shown, with the reason, then how many are. ``--collect`` takes a test
that is there for one that passes. The exit status is 0 when every row is shown.
"""

import sys
from collections.abc import Collection, Iterable, Iterator

import pytest

from tests.odd_servers.rows import POP3_ROWS, RELAY_ROWS
from tests.odd_servers.rows.form import Row, files_of, named_by


class Outcomes:
    """A plugin for pytest that keeps which tests there were and which did not pass."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.failed: set[str] = set()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Keep a test that was found."""
        self.seen.add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test that ran, also in another process."""
        self.seen.add(report.nodeid)
        if not report.passed:
            self.failed.add(report.nodeid)


def shortcomings(row: Row, seen: Collection[str], failed: Collection[str]) -> Iterator[str]:
    """Say why a row is not shown; nothing when it is."""
    if row.lacks:
        yield "lacks " + row.lacks
    if not row.tests:
        yield "no test"
    for reference in row.tests:
        found = named_by(reference, seen)
        if not found:
            yield f"there is no {reference}"
        yield from (f"not passed: {node_id}" for node_id in found if node_id in failed)


def _count_shown(kind: str, rows: Iterable[Row], outcomes: Outcomes) -> int:
    shown = 0
    for number, row in enumerate(rows, 1):
        reasons = list(shortcomings(row, outcomes.seen, outcomes.failed))
        shown += not reasons
        for reason in reasons:
            _tell(f"{kind} {number}: {reason}")
    return shown


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")


def main(options: list[str]) -> int:
    """Run the tests and tell; give the exit status."""
    outcomes = Outcomes()
    collects = [] if "--collect" not in options else ["--collect-only"]
    others = [option for option in options if option != "--collect"]
    files = files_of((*POP3_ROWS, *RELAY_ROWS))
    if files:
        pytest.main(["-q", "--no-header", *collects, *others, *files], plugins=[outcomes])
    pop3 = _count_shown("POP3", POP3_ROWS, outcomes)
    relays = _count_shown("relay", RELAY_ROWS, outcomes)
    _tell(f"odd POP3 servers {pop3} of {len(POP3_ROWS)}, odd relays {relays} of {len(RELAY_ROWS)}")
    return 0 if (pop3, relays) == (len(POP3_ROWS), len(RELAY_ROWS)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
