"""What a round came to, in words, as JSON and as an exit code."""

from typing import Any

import pytest

from popsync.cli.report_text import exit_code_of_reports, format_report, reports_document
from popsync.errors import AuthRejected, ConnectFailed, PopsyncError
from popsync.model import PollSummary
from popsync.poll.events import PollReport


def report(error: PopsyncError | None = None, **counts: Any) -> PollReport:
    """Make the report of a poll that took two seconds."""
    return PollReport("gmx", PollSummary(0.0, 2.0, **counts), error)


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        ([report(listed=5)], 0),
        ([report(listed=5, delivered=5, deleted=5)], 0),
        ([report(delivered=5, deferred=1)], 75),
        ([report(delivered=5, held=1)], 75),
        ([report(ConnectFailed("refused")), report(held=1)], 69),
        ([report(ConnectFailed("refused")), report(AuthRejected("no"))], 77),
        ([], 0),
    ],
)
def test_the_exit_code_is_truthful(reports: list[PollReport], code: int) -> None:
    """An undelivered message is no success, even when every poll went through."""
    assert exit_code_of_reports(reports) == code


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (report(listed=5), ""),
        (
            report(delivered=2, octets=1500, deleted=1),
            "gmx: 2 messages delivered (1.5 kB), 1 deleted from the server",
        ),
        (
            report(deferred=1, held=1),
            "gmx: 1 not delivered yet, to be tried again, 1 set aside, see 'popsync held list'",
        ),
        (
            report(ConnectFailed("refused\x1b[2J"), delivered=1, octets=1),
            "gmx: 1 message delivered (1 B), failed: refused\\x1b[2J",
        ),
    ],
)
def test_only_mail_or_trouble_has_a_line(report: PollReport, line: str) -> None:
    """An account with nothing new is not worth a word; foreign text is escaped."""
    assert format_report(report) == line


def test_the_document_has_stable_keys() -> None:
    """Every key is there whatever happened; an error has a kind and a text."""
    assert reports_document([report(AuthRejected("no"), listed=3, delivered=1, octets=9)]) == {
        "accounts": [
            {
                "account": "gmx",
                "began_at": "1970-01-01T00:00:00.000+00:00",
                "ended_at": "1970-01-01T00:00:02.000+00:00",
                "listed": 3,
                "delivered": 1,
                "octets": 9,
                "deleted": 0,
                "deferred": 0,
                "held": 0,
                "error": {"kind": "AuthRejected", "text": "no"},
            }
        ],
        "exit_code": 77,
    }
