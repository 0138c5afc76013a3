"""Messages that were set aside, in words and as JSON. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from popsync.cli.terminal import format_moment, format_table
from popsync.cli.words import count, format_octets, format_when
from popsync.errors import escape
from popsync.ledger.reports import HeldDelivery

_HEADER = ("ID", "ACCOUNT", "SINCE", "SIZE", "DESTINATION", "WHY")


def format_held(rows: Sequence[HeldDelivery], now: float) -> list[str]:
    """Give a table with a line for each delivery; nothing held is said in words."""
    if not rows:
        return ["Nothing is held."]
    return format_table(
        _HEADER,
        [
            (
                str(row.id),
                escape(row.account),
                format_when(row.first_seen, now),
                format_octets(row.octets),
                describe_destination(row),
                describe_reason(row),
            )
            for row in rows
        ],
    )


def format_held_message(rows: Sequence[HeldDelivery], now: float) -> Iterator[str]:
    """Give all that is known of one message; ``rows`` are its deliveries, at least one."""
    first = rows[0]
    yield f"Message {first.id}"
    yield f"  account:     {escape(first.account)}"
    yield f"  unique-id:   {escape(first.unique_id)}"
    yield f"  size:        {format_octets(first.octets)} ({first.octets} octets)"
    yield f"  first seen:  {format_when(first.first_seen, now)}"
    for row in rows:
        yield f"  {describe_destination(row)}:"
        yield f"    why:       {describe_reason(row)}"
        yield f"    tried:     {count(row.attempts, 'time')}"
        if row.next_try is not None:
            yield f"    next try:  {format_when(row.next_try, now)}"


def describe_destination(row: HeldDelivery) -> str:
    """Give the destination and who was to be served there; a dash when none was asked."""
    return " ".join(filter(None, (row.destination, row.recipient))) or "-"


def describe_reason(row: HeldDelivery) -> str:
    """Give the destination's words, or why the message was never retrieved."""
    return escape(row.reply or row.reason, limit=500)


def held_document(rows: Sequence[HeldDelivery]) -> dict[str, Any]:
    """Give what ``held list --json`` and ``held show --json`` print: messages, oldest first."""
    return {"messages": [_message(list(same)) for _, same in groupby(rows, lambda row: row.id)]}


def _message(rows: Sequence[HeldDelivery]) -> dict[str, Any]:
    first = rows[0]
    return {
        "id": first.id,
        "account": first.account,
        "unique_id": escape(first.unique_id),
        "octets": first.octets,
        "first_seen": format_moment(first.first_seen),
        "oversize": first.oversize,
        "deliveries": [
            {
                "destination": row.destination or None,
                "recipient": row.recipient or None,
                "reason": describe_reason(row),
                "attempts": row.attempts,
                "next_try": format_moment(row.next_try),
            }
            for row in rows
        ],
    }
