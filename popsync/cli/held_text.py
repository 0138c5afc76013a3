"""Messages that were set aside, in words and as JSON. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from email.header import decode_header, make_header
from itertools import groupby
from typing import Any

from popsync.cli.terminal import format_moment, format_table
from popsync.cli.words import Names, count, format_octets, format_when, name_account
from popsync.errors import escape
from popsync.ledger.reports import HeldDelivery

SHOWN_FIELDS = ("From", "To", "Cc", "Date", "Subject", "Message-ID")
"""What tells a person which message it is."""

_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:[ \t]*(.*?)[ \t]*\r?$")
_FOLD = re.compile(rb"\r?\n[ \t]+")

_HEADER = ("ID", "ACCOUNT", "SINCE", "SIZE", "DESTINATION", "WHY")


def format_held(rows: Sequence[HeldDelivery], names: Names, now: float) -> list[str]:
    """Give a table with a line for each delivery; nothing held is said in words."""
    if not rows:
        return ["Nothing is held."]
    return format_table(
        _HEADER,
        [
            (
                str(row.id),
                name_account(row.account, names),
                format_when(row.first_seen, now),
                format_octets(row.octets),
                describe_destination(row),
                describe_reason(row),
            )
            for row in rows
        ],
    )


def read_fields(head: bytes) -> dict[str, str]:
    """Give those fields of a message's header that are shown, decoded (RFC 2047), the first each.

    head: its first octets. What cannot be decoded is given as it stands.
    """
    fields: dict[str, str] = {}
    for line in _FOLD.sub(b" ", head).split(b"\n"):
        if not line.strip():
            break
        if match := _FIELD.match(line):
            name = match[1].decode("ascii").lower()
            shown = next((field for field in SHOWN_FIELDS if field.lower() == name), None)
            if shown is not None:
                fields.setdefault(shown, _decode(match[2]))
    return fields


def _decode(value: bytes) -> str:
    text = value.decode("utf-8", "backslashreplace")
    try:
        return str(make_header(decode_header(text)))
    except Exception:  # noqa: BLE001 - whatever strangers write, it is only to be shown
        return text


def format_held_message(
    rows: Sequence[HeldDelivery],
    names: Names,
    now: float,
    fields: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Give all that is known of one message; ``rows`` are its deliveries, at least one.

    fields: of its header, when there is a copy of it.
    """
    first = rows[0]
    yield f"Message {first.id}"
    yield f"  account:     {name_account(first.account, names)} ({escape(first.account)})"
    yield f"  unique-id:   {escape(first.unique_id)}"
    yield f"  size:        {format_octets(first.octets)} ({first.octets} octets)"
    yield f"  first seen:  {format_when(first.first_seen, now)}"
    yield f"  where:       {describe_place(first)}"
    for name, value in (fields or {}).items():
        yield f"  {name + ':':12} {escape(value, limit=500)}"
    for row in rows:
        yield f"  {describe_destination(row)}:"
        yield f"    why:       {describe_reason(row)}"
        yield f"    tried:     {count(row.attempts, 'time')}"
        if row.next_try is not None:
            yield f"    next try:  {format_when(row.next_try, now)}"


def describe_place(row: HeldDelivery) -> str:
    """Say where the message is."""
    if not row.spooled:
        return "on the server"
    return "here, and not on the server any more" if row.left else "here and on the server"


def describe_destination(row: HeldDelivery) -> str:
    """Give the destination and who was to be served there; a dash when none was asked."""
    return " ".join(filter(None, (row.destination, row.recipient))) or "-"


def describe_reason(row: HeldDelivery) -> str:
    """Give the destination's words, or why the message was never retrieved.

    What is not set aside waits, perhaps for a destination that has not been asked yet.
    """
    words = _words(row)
    if not row.is_waiting:
        return words
    return f"waits: {words}" if words else "waits for its destination"


def _words(row: HeldDelivery) -> str:
    return escape("; ".join(filter(None, dict.fromkeys((row.reply, row.reason)))), limit=500)


def held_document(
    rows: Sequence[HeldDelivery], names: Names, fields: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Give what ``held list --json`` and ``held show --json`` print: messages, oldest first.

    fields: of the header of the only message, when there is a copy of it.
    """
    messages = [_message(list(same), names) for _, same in groupby(rows, lambda row: row.id)]
    if fields is not None:
        messages[0]["header"] = dict(fields)
    return {"messages": messages}


def _message(rows: Sequence[HeldDelivery], names: Names) -> dict[str, Any]:
    first = rows[0]
    return {
        "id": first.id,
        "account": names.get(first.account),
        "account_id": first.account,
        "unique_id": escape(first.unique_id),
        "octets": first.octets,
        "first_seen": format_moment(first.first_seen),
        "oversize": first.oversize,
        "spooled": first.spooled,
        "on_server": not first.left,
        "deliveries": [
            {
                "destination": row.destination or None,
                "recipient": row.recipient or None,
                "state": "waiting" if row.is_waiting else "held",
                "reason": _words(row),
                "attempts": row.attempts,
                "next_try": format_moment(row.next_try),
            }
            for row in rows
        ],
    }
