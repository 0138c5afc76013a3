"""What ``status`` says of the daemon itself, in words and as JSON. Pure."""

import time
from collections.abc import Iterator
from typing import Any

from popsync.agent.control import ConfigRefusal, Overview
from popsync.agent.overview import DestinationOverview
from popsync.cli.daemon import DaemonSeen
from popsync.cli.terminal import format_moment
from popsync.cli.words import count, format_span, format_when
from popsync.errors import escape


def format_daemon(seen: DaemonSeen, now: float) -> Iterator[str]:
    """Give a line on whether it runs, and one for each thing that somebody should mend."""
    if seen.overview is None:
        yield _describe_absence(seen.trouble)
        return
    yield _describe_run(seen.overview, now)
    if seen.overview.refused is not None:
        yield _describe_refusal(seen.overview.refused, now)
    for destination in seen.overview.destinations:
        if destination.unavailable_since is not None:
            yield _describe_destination(destination, now)


def _describe_absence(trouble: str) -> str:
    if trouble:
        return f"A popsync runs, but does not say how it is: {escape(trouble, limit=500)}"
    return "No popsync runs; 'popsync run' starts it. The ledger remembers:"


def _describe_run(overview: Overview, now: float) -> str:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(overview.began_at))
    runs = f"popsync {escape(overview.version)} runs since {began}"
    late = "" if overview.moving else "; its polls are late, something is stuck"
    return f"{runs}, for {format_span(now - overview.began_at)}{late}"


def _describe_refusal(refused: ConfigRefusal, now: float) -> str:
    first = escape(refused.problems[0].partition("\n")[0], limit=500) if refused.problems else ""
    more = len(refused.problems) - 1
    others = f" (and {count(more, 'more problem')})" if more > 0 else ""
    since = format_span(now - refused.since)
    return (
        f"The configuration is refused for {since}, the one before is in effect: {first}{others}"
    )


def _describe_destination(destination: DestinationOverview, now: float) -> str:
    since = format_span(now - (destination.unavailable_since or now))
    again = (
        "" if destination.retry_at is None else f"; tried {format_when(destination.retry_at, now)}"
    )
    trouble = escape(destination.trouble, limit=500)
    return f"Destination {destination.name} takes no mail for {since}: {trouble}{again}"


def daemon_document(seen: DaemonSeen) -> dict[str, Any]:
    """Give what ``status --json`` says beside the accounts."""
    overview = seen.overview
    refused = overview.refused if overview else None
    return {
        "daemon": {
            "running": overview is not None or bool(seen.trouble),
            "version": overview.version if overview else None,
            "since": format_moment(overview.began_at if overview else None),
            "moving": overview.moving if overview else False,
            "trouble": seen.trouble or None,
        },
        "configuration_refused": {
            "since": format_moment(refused.since),
            "problems": list(refused.problems),
        }
        if refused
        else None,
        "destinations": [_destination(d) for d in (overview.destinations if overview else ())],
    }


def _destination(destination: DestinationOverview) -> dict[str, Any]:
    return {
        "destination": destination.name,
        "unavailable_since": format_moment(destination.unavailable_since),
        "retry_at": format_moment(destination.retry_at),
        "error": destination.trouble or None,
    }
