"""How each account is doing, in words and as JSON. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from popsync.cli.terminal import format_moment, format_table
from popsync.cli.words import format_span, format_when
from popsync.config.model import AccountConfig
from popsync.errors import escape
from popsync.ledger.reports import AccountReport
from popsync.model import AccountId

_HEADER = ("ACCOUNT", "LAST POLL", "NEW", "TOTAL", "WAITING", "HELD", "STATE")


class AccountStatus(NamedTuple):
    """One account as the configuration and the ledger know it."""

    name: str
    """As the configuration calls it; empty for one that is no longer there."""
    account: AccountId
    enabled: bool
    report: AccountReport | None
    """None before the first poll."""


def join_status(
    configured: Mapping[str, AccountConfig], reports: Sequence[AccountReport]
) -> list[AccountStatus]:
    """Give the configured accounts in file order, then those that only the ledger remembers."""
    known = {report.account: report for report in reports}
    rows = [
        AccountStatus(name, config.account_id, config.enabled, known.pop(config.account_id, None))
        for name, config in configured.items()
    ]
    rows += [AccountStatus("", account, False, report) for account, report in known.items()]
    return rows


def format_status(
    rows: Sequence[AccountStatus], now: float, *, width: int | None = None
) -> list[str]:
    """Give a table, times relative to ``now``, in lines of ``width`` characters at most."""
    return format_table(_HEADER, [_status_row(row, now) for row in rows], width=width)


def _status_row(row: AccountStatus, now: float) -> tuple[str | int, ...]:
    name = row.name or escape(row.account)
    state = _describe_state(row, now)
    if row.report is None or row.report.last_poll is None:
        return (name, "never", 0, 0, 0, 0, state)
    report, poll = row.report, row.report.last_poll
    counts = (poll.delivered, report.total_delivered, report.pending, report.held)
    return (name, format_when(poll.ended_at, now), *counts, state)


def _describe_state(row: AccountStatus, now: float) -> str:
    if not row.name:
        return "no longer in the configuration"
    state = _describe_health(row.report, now)
    return state if row.enabled else f"disabled; {state}"


def _describe_health(report: AccountReport | None, now: float) -> str:
    if report is None or report.last_poll is None:
        return "not polled yet"
    if report.error_since is not None:
        error = escape(report.last_poll.error, limit=500)
        return f"failing for {format_span(now - report.error_since)}: {error}"
    if report.renumbering:
        return "ok; the server has renumbered its messages, known ones are being recognised"
    return "ok"


def status_document(rows: Sequence[AccountStatus]) -> dict[str, Any]:
    """Give what ``status --json`` prints."""
    return {"accounts": [_status_document(row) for row in rows]}


def _status_document(row: AccountStatus) -> dict[str, Any]:
    report = row.report
    poll = report.last_poll if report else None
    return {
        "account": row.name or None,
        "id": row.account,
        "enabled": row.enabled,
        "last_poll_at": format_moment(poll.ended_at if poll else None),
        "last_success_at": format_moment(report.last_success_at if report else None),
        "listed": poll.listed if poll else 0,
        "new": poll.delivered if poll else 0,
        "total": report.total_delivered if report else 0,
        "total_octets": report.total_octets if report else 0,
        "waiting": report.pending if report else 0,
        "held": report.held if report else 0,
        "renumbering": report.renumbering if report else False,
        "error": (poll.error or None) if poll else None,
        "error_since": format_moment(report.error_since if report else None),
    }
