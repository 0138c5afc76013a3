"""How each account is doing, in words and as JSON. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from popsync.agent.memory import parse_remembered
from popsync.agent.overview import AccountOverview, AccountState
from popsync.cli.terminal import format_moment, format_table
from popsync.cli.words import count, describe_suspension, format_span, format_when
from popsync.config.model import AccountConfig
from popsync.errors import escape
from popsync.ledger.recording import format_day
from popsync.ledger.reports import AccountReport
from popsync.model import AccountId

_HEADER = ("ACCOUNT", "LAST POLL", "NEXT POLL", "TODAY", "TOTAL", "WAITING", "HELD", "STATE")


class AccountStatus(NamedTuple):
    """One account as the configuration, the ledger and the running daemon know it."""

    name: str
    """As the configuration calls it; empty for one that is no longer there."""
    account: AccountId
    enabled: bool
    report: AccountReport | None
    """None before the first poll."""
    live: AccountOverview | None = None
    """None when no daemon polls it."""


def join_status(
    configured: Mapping[str, AccountConfig],
    reports: Sequence[AccountReport],
    overviews: Sequence[AccountOverview] = (),
) -> list[AccountStatus]:
    """Give the configured accounts in file order, then those that only the ledger remembers."""
    known = {report.account: report for report in reports}
    live = {overview.account: overview for overview in overviews}
    rows = [
        AccountStatus(
            name,
            config.account_id,
            config.enabled,
            known.pop(config.account_id, None),
            live.get(config.account_id),
        )
        for name, config in configured.items()
    ]
    rows += [AccountStatus("", account, False, report) for account, report in known.items()]
    return rows


def join_polled(
    overviews: Sequence[AccountOverview], reports: Sequence[AccountReport]
) -> list[AccountStatus]:
    """Give the accounts that the daemon polls: all that is known while the files are broken."""
    known = {report.account: report for report in reports}
    return [
        AccountStatus(live.name, live.account, True, known.get(live.account), live)
        for live in overviews
    ]


def format_status(
    rows: Sequence[AccountStatus], now: float, *, width: int | None = None
) -> list[str]:
    """Give a table, times relative to ``now``, in lines of ``width`` characters at most."""
    return format_table(_HEADER, [_status_row(row, now) for row in rows], width=width)


def _status_row(row: AccountStatus, now: float) -> tuple[str | int, ...]:
    name = row.name or escape(row.account)
    planned, state = _describe_next_poll(row.live, now), _describe_state(row, now)
    report = row.report
    if report is None:
        return (name, "never", planned, 0, 0, 0, 0, state)
    ended = format_when(report.last_poll.ended_at, now) if report.last_poll else "never"
    counts = (_count_today(report, now), report.total_delivered, report.pending, report.held)
    return (name, ended, planned, *counts, state)


def _describe_next_poll(live: AccountOverview | None, now: float) -> str:
    if live is not None and live.state is AccountState.POLLING:
        return "now"
    if live is None or live.next_poll_at is None:
        return "-"
    return format_when(live.next_poll_at, now) if live.next_poll_at >= now + 1 else "now"


def _count_today(report: AccountReport, now: float) -> int:
    return report.delivered_today if report.day == format_day(now) else 0


def _describe_state(row: AccountStatus, now: float) -> str:
    if not row.name:
        return "no longer in the configuration"
    health = _describe_unwritten(row, now) or _describe_health(row.report, now)
    parts = (_describe_activity(row, now), health, _describe_waiting(row.report))
    return "; ".join(filter(None, parts))


def _describe_activity(row: AccountStatus, now: float) -> str:
    """Say what is unusual about an account's polls; nothing when they come as planned."""
    if not row.enabled:
        return "disabled"
    if row.live is not None:
        return _describe_live(row.live, now)
    if row.report is not None and row.report.paused:
        return "paused"
    return describe_suspension(row.name) if _is_suspended(row) else ""


def _is_suspended(row: AccountStatus) -> bool:
    """Say what the daemon says; without one, what it noted last, unless a poll went well since."""
    if row.live is not None:
        return row.live.state is AccountState.SUSPENDED
    if row.report is None or row.report.error_since is None:
        return False
    return parse_remembered(row.report.standing).standing.suspended


def _describe_live(live: AccountOverview, now: float) -> str:
    match live.state:
        case AccountState.POLLING if live.polling_since is None:
            return "waits for its turn"
        case AccountState.POLLING:
            return f"polling for {format_span(now - (live.polling_since or now))}"
        case AccountState.SUSPENDED:
            return describe_suspension(live.name)
        case AccountState.PAUSED:
            return "paused"
        case _:
            return ""


def _describe_unwritten(row: AccountStatus, now: float) -> str:
    """Say what the daemon knows and could not write down: most often that the disk is full."""
    since = row.live.standing.failing_since if row.live is not None else None
    if row.live is None or since is None or (row.report and row.report.error_since is not None):
        return ""
    error = escape(row.live.standing.trouble.partition(": ")[2], limit=500)
    return f"failing for {format_span(now - since)}: {error}"


def _describe_health(report: AccountReport | None, now: float) -> str:
    if report is None or report.last_poll is None:
        begun = report is not None and (report.total_delivered or report.pending or report.held)
        return "no poll was finished yet" if begun else "not polled yet"
    if report.error_since is not None:
        error = escape(report.last_poll.error, limit=500)
        return f"failing for {format_span(now - report.error_since)}: {error}"
    if report.renumbering:
        return "ok; the server has renumbered its messages, known ones are being recognised"
    return "ok"


def _describe_waiting(report: AccountReport | None) -> str:
    """Say what waits for which destination: it counts as delivered once all have it."""
    if report is None or not report.waiting_for:
        return ""
    parts = [
        f"{count(messages, 'message')} for {destination}"
        for destination, messages in report.waiting_for
    ]
    return f"waiting: {', '.join(parts)}"


def status_document(rows: Sequence[AccountStatus], now: float) -> dict[str, Any]:
    """Give what ``status --json`` says of accounts."""
    return {"accounts": [_status_document(row, now) for row in rows]}


def _status_document(row: AccountStatus, now: float) -> dict[str, Any]:
    report, live = row.report, row.live
    poll = report.last_poll if report else None
    return {
        "account": row.name or None,
        "id": row.account,
        "enabled": row.enabled,
        "state": live.state.value if live else None,
        "paused": report.paused if report else False,
        "suspended": _is_suspended(row),
        "last_poll_at": format_moment(poll.ended_at if poll else None),
        "next_poll_at": format_moment(live.next_poll_at if live else None),
        "polling_since": format_moment(live.polling_since if live else None),
        "last_success_at": format_moment(report.last_success_at if report else None),
        "listed": poll.listed if poll else 0,
        "new": poll.delivered if poll else 0,
        "today": _count_today(report, now) if report else 0,
        "total": report.total_delivered if report else 0,
        "total_octets": report.total_octets if report else 0,
        "waiting": report.pending if report else 0,
        "waiting_for": [
            {"destination": destination, "messages": messages}
            for destination, messages in (report.waiting_for if report else ())
        ],
        "held": report.held if report else 0,
        "renumbering": report.renumbering if report else False,
        "error": (poll.error or None) if poll else None,
        "error_since": format_moment(report.error_since if report else None),
    }
