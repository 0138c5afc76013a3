"""What a poll would do, in words and as JSON. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from popsync.agent.agent import AccountPlan
from popsync.cli.exit_codes import choose_exit_code
from popsync.cli.report_text import error_document
from popsync.cli.terminal import format_moment, format_table
from popsync.cli.words import format_octets
from popsync.errors import escape
from popsync.model import ListedMessage
from popsync.poll.plan import PollPlan

_HEADER = ("ACCOUNT", "LISTED", "RETRIEVE", "OCTETS", "DELETE", "SKIP", "WHY")


def format_plans(
    plans: Sequence[AccountPlan], *, each_message: bool, width: int | None = None
) -> Iterator[str]:
    """Give a table with a line for each account and, when asked to, a line for each message.

    width: that of the terminal, None for none.
    """
    yield from format_table(_HEADER, [_plan_row(plan) for plan in plans], width=width)
    if each_message:
        for plan in plans:
            yield from _format_messages(plan)


def _plan_row(entry: AccountPlan) -> tuple[str | int, ...]:
    if entry.error is not None:
        why = f"failed: {escape(str(entry.error), limit=500)}"
        return (entry.account, 0, 0, "", 0, 0, why)
    plan = entry.plan
    octets = format_octets(sum(listed.octets for listed in plan.retrieve))
    counts = (len(entry.listing.messages), len(plan.retrieve), octets, len(plan.delete))
    return (entry.account, *counts, len(plan.skip), _describe_skips(plan))


def _describe_skips(plan: PollPlan) -> str:
    reasons = Counter(skip.reason.value for skip in plan.skip)
    parts = [f"{number:,} {reason}" for reason, number in reasons.most_common()]
    if plan.renumbered:
        parts.append("the server has renumbered its messages")
    return "; ".join(parts)


def _format_messages(entry: AccountPlan) -> Iterator[str]:
    for listed, action, reason in _judged(entry.plan):
        why = f" ({reason})" if reason else ""
        unique_id = escape(listed.unique_id)
        octets = format_octets(listed.octets)
        yield f"{entry.account} {listed.number} {unique_id} {octets}: {action}{why}"


def _judged(plan: PollPlan) -> list[tuple[ListedMessage, str, str]]:
    """Give every listed message with what happens to it and why, in message-number order."""
    return sorted(
        [
            *((listed, "retrieve", "") for listed in plan.retrieve),
            *((listed, "delete", "") for listed in plan.delete),
            *((skip.listed, "skip", skip.reason.value) for skip in plan.skip),
        ]
    )


def plans_document(plans: Sequence[AccountPlan]) -> dict[str, Any]:
    """Give what ``once --dry-run --json`` prints."""
    failed = [entry.error for entry in plans if entry.error is not None]
    return {
        "accounts": [_plan_document(entry) for entry in plans],
        "exit_code": int(choose_exit_code(failed)),
    }


def _plan_document(entry: AccountPlan) -> dict[str, Any]:
    until = {skip.listed: skip.until for skip in entry.plan.skip}
    return {
        "account": entry.account,
        "listed": len(entry.listing.messages),
        "complete": entry.listing.complete,
        "renumbered": entry.plan.renumbered,
        "retrieve": len(entry.plan.retrieve),
        "delete": len(entry.plan.delete),
        "skip": len(entry.plan.skip),
        "messages": [
            {
                "number": listed.number,
                "unique_id": escape(listed.unique_id),
                "octets": listed.octets,
                "action": action,
                "reason": reason or None,
                "until": format_moment(until.get(listed)),
            }
            for listed, action, reason in _judged(entry.plan)
        ],
        "error": error_document(entry.error),
    }
