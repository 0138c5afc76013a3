"""What a round of polls came to, in words and as JSON. Pure."""

from collections.abc import Sequence
from typing import Any

from popsync.cli.exit_codes import ExitCode, choose_exit_code
from popsync.cli.terminal import format_moment
from popsync.cli.words import count, format_octets
from popsync.errors import PopsyncError, escape
from popsync.model import PollSummary
from popsync.poll.events import PollReport


def exit_code_of_reports(reports: Sequence[PollReport]) -> ExitCode:
    """Give the code of a round; a message that was not delivered keeps it from being a success."""
    failed = [report.error for report in reports if report.error is not None]
    undelivered = any(r.summary.held or r.summary.deferred for r in reports)
    return choose_exit_code([*failed, *([ExitCode.TEMPORARY] if undelivered else [])])


def format_report(report: PollReport) -> str:
    """Give one line for an account that had mail or trouble, the empty string for any other."""
    done = _describe_work(report.summary)
    if report.error is not None:
        done.append(f"failed: {escape(str(report.error), limit=500)}")
    return f"{report.account}: {', '.join(done)}" if done else ""


def _describe_work(summary: PollSummary) -> list[str]:
    parts = []
    if summary.delivered:
        octets = format_octets(summary.octets)
        parts.append(f"{count(summary.delivered, 'message')} delivered ({octets})")
    if summary.deleted:
        parts.append(f"{summary.deleted:,} deleted from the server")
    if summary.deferred:
        parts.append(f"{summary.deferred:,} not delivered yet, to be tried again")
    if summary.held:
        parts.append(f"{summary.held:,} set aside, see 'popsync held list'")
    return parts


def reports_document(reports: Sequence[PollReport]) -> dict[str, Any]:
    """Give what ``once --json`` prints."""
    return {
        "accounts": [_report_document(report) for report in reports],
        "exit_code": int(exit_code_of_reports(reports)),
    }


def _report_document(report: PollReport) -> dict[str, Any]:
    summary = report.summary
    return {
        "account": report.account,
        "began_at": format_moment(summary.began_at),
        "ended_at": format_moment(summary.ended_at),
        "listed": summary.listed,
        "delivered": summary.delivered,
        "octets": summary.octets,
        "deleted": summary.deleted,
        "deferred": summary.deferred,
        "held": summary.held,
        "error": error_document(report.error),
    }


def error_document(error: PopsyncError | None) -> dict[str, str] | None:
    """Give an error as its kind, which is stable, and its text, which is for people."""
    if error is None:
        return None
    return {"kind": type(error).__name__, "text": escape(str(error), limit=2000)}
