"""What was delivered, and the stories of single messages, in words and as JSON. Pure."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from popsync.cli.terminal import format_moment
from popsync.cli.words import Names, count, format_octets, format_when, name_account
from popsync.errors import escape
from popsync.ledger.reports import DeliveredMessage, DeliveryStory, MessageStory
from popsync.model import DeliveryState, MessageState

_MESSAGE_WORDS = {
    MessageState.PENDING: "waits for a delivery",
    MessageState.HELD: "held, see 'popsync held'",
    MessageState.SETTLED: "delivered everywhere",
    MessageState.ADOPTED: "taken as seen when the account was new, not delivered",
    MessageState.GONE: "no longer on the server",
    MessageState.DROPPED: "given up by the operator, not delivered",
}
_DELIVERY_WORDS = {
    DeliveryState.SEEN: "not tried yet",
    DeliveryState.STAGED: "written, about to appear",
    DeliveryState.DOT_SENT: "sent, no reply yet",
    DeliveryState.IN_DOUBT: "sent, but the reply was lost; sent again, marked",
    DeliveryState.DEFERRED: "refused for now",
    DeliveryState.HELD: "refused for good",
    DeliveryState.DELIVERED: "delivered",
}


def format_delivered(row: DeliveredMessage, names: Names) -> str:
    """Give one line: time, account, unique-id, octets, Message-ID, destination and reply."""
    parts = [
        _format_time(row.delivered_at),
        name_account(row.account, names),
        escape(row.unique_id),
        f"{row.octets:,} octets",
        escape(row.message_id) or "-",
        _place(row.destination, row.recipient),
    ]
    return "  ".join([*parts, escape(row.reply, limit=500)] if row.reply else parts)


def delivered_document(rows: Sequence[DeliveredMessage], names: Names) -> dict[str, Any]:
    """Give what ``log --json`` prints."""
    return {
        "deliveries": [
            {
                "delivered_at": format_moment(row.delivered_at),
                "account": names.get(row.account),
                "id": row.account,
                "unique_id": escape(row.unique_id),
                "octets": row.octets,
                "message_id": row.message_id or None,
                "destination": row.destination,
                "recipient": row.recipient or None,
                "reply": row.reply or None,
            }
            for row in rows
        ]
    }


def format_story(story: MessageStory, names: Names, now: float) -> Iterator[str]:
    """Give all that is known of one message, times relative to ``now`` too."""
    yield f"{escape(story.message_id) or escape(story.unique_id)}"
    yield f"  account:     {name_account(story.account, names)} ({escape(story.account)})"
    yield f"  unique-id:   {escape(story.unique_id)}"
    yield f"  size:        {format_octets(story.octets)} ({story.octets} octets)"
    if story.digest is not None:
        yield f"  SHA-256:     {story.digest.hex()}"
    yield f"  first seen:  {_format_moment(story.first_seen, now)}"
    yield f"  state:       {_describe_state(story)}"
    for delivery in story.deliveries:
        yield from _format_delivery(delivery, story, now)
    if story.settled_at is not None:
        yield f"  settled:     {_format_moment(story.settled_at, now)}"
    if story.deletions:
        yield f"  deletion:    asked of the server {count(story.deletions, 'time')}"
    if story.gone_at is not None:
        yield f"  gone since:  {_format_moment(story.gone_at, now)}"


def _describe_state(story: MessageStory) -> str:
    facts = [_MESSAGE_WORDS[story.state], escape(story.reason, limit=500)]
    if story.suspect:
        facts.append(f"its size is not that of the listing, {story.listed_octets} octets")
    if story.copies > 1:
        facts.append(f"{story.copies} copies were listed")
    return "; ".join(filter(None, facts))


def _next_try(delivery: DeliveryStory, story: MessageStory) -> float | None:
    """Say when it is tried again; None for what is delivered, given up or out of reach."""
    is_over = story.state in (MessageState.DROPPED, MessageState.GONE)
    is_delivered = delivery.state is DeliveryState.DELIVERED
    return None if is_over or is_delivered else delivery.next_try


def _format_delivery(delivery: DeliveryStory, story: MessageStory, now: float) -> Iterator[str]:
    yield f"  {_place(delivery.destination, delivery.recipient)}:"
    when = _format_moment(delivery.changed_at, now)
    yield f"    state:     {_DELIVERY_WORDS[delivery.state]}, {when}"
    if delivery.reply:
        yield f"    reply:     {escape(delivery.reply, limit=500)}"
    if delivery.attempts and delivery.state is not DeliveryState.DELIVERED:
        yield f"    tried:     {count(delivery.attempts, 'time')}"
    if delivery.doubts:
        yield f"    in doubt:  {count(delivery.doubts, 'time')}"
    if (next_try := _next_try(delivery, story)) is not None:
        yield f"    next try:  {_format_moment(next_try, now)}"


def stories_document(stories: Sequence[MessageStory], names: Names) -> dict[str, Any]:
    """Give what ``explain --json`` prints."""
    return {"messages": [_story_document(story, names) for story in stories]}


def _story_document(story: MessageStory, names: Names) -> dict[str, Any]:
    return {
        "account": names.get(story.account),
        "id": story.account,
        "unique_id": escape(story.unique_id),
        "message_id": story.message_id or None,
        "sha256": story.digest.hex() if story.digest else None,
        "octets": story.octets,
        "listed_octets": story.listed_octets,
        "copies": story.copies,
        "state": story.state.value,
        "reason": story.reason or None,
        "suspect": story.suspect,
        "first_seen": format_moment(story.first_seen),
        "settled_at": format_moment(story.settled_at),
        "gone_at": format_moment(story.gone_at),
        "deletions": story.deletions,
        "deliveries": [_delivery_document(delivery, story) for delivery in story.deliveries],
    }


def _delivery_document(delivery: DeliveryStory, story: MessageStory) -> dict[str, Any]:
    return {
        "destination": delivery.destination,
        "recipient": delivery.recipient or None,
        "state": delivery.state.value,
        "reply": delivery.reply or None,
        "attempts": delivery.attempts,
        "doubts": delivery.doubts,
        "next_try": format_moment(_next_try(delivery, story)),
        "changed_at": format_moment(delivery.changed_at),
    }


def _place(destination: str, recipient: str) -> str:
    return " ".join(filter(None, (destination, recipient)))


def _format_time(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _format_moment(moment: float, now: float) -> str:
    return f"{_format_time(moment)} ({format_when(moment, now)})"
