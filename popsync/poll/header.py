"""Reads and writes the little that popsync needs of a message's header, as octets. Pure.

The message itself is never parsed and written again (P6): what is written here goes in front.
"""

import hmac
import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from popsync.model import AccountId, MessageKey

MAX_HEADER_OCTETS = 256 * 1024
"""More of a header is not looked at; nothing that is looked for stands so far down."""

MAX_RECEIVED = 50
"""More servers than that take no message that arrives; Postfix counts as far."""

_LOOP_FIELD = b"X-Popsync-Loop: "

_MESSAGE_ID = re.compile(rb"message-id[ \t]*:[ \t]*(?:\r?\n[ \t]+)?([^\r\n]*)", re.IGNORECASE)
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")


class Header(NamedTuple):
    """What a poll needs of one message's header."""

    head: bytes
    """The message's first octets, enough to hold any sane header."""
    message_id: bytes
    """Its value as it stands; empty when there is none."""
    received: int
    """How many Received fields there are: one for each server on its way (RFC 5321 §4.4)."""
    loop_marks: frozenset[bytes]
    """What popsyncs that it came through have left in it."""


NO_HEADER = Header(b"", b"", 0, frozenset())


def read_header(chunks: Iterator[bytes]) -> Header:
    """Read what there is to know, once."""
    head, body = _read_head(chunks)
    fields = head if body < 0 else head[: body + 1]
    # To search octets for octets is many times faster than a pattern that ignores case.
    lines = b"\n" + fields.lower()
    marks = _find_loop_marks(fields) if _LOOP_FIELD in fields else frozenset[bytes]()
    return Header(head, _find_message_id(fields, lines), _count_received(lines), marks)


def explain_loop(header: Header, own_mark: str) -> str:
    """Say why a message seems to go round in circles (RFC 5321 §6.3); empty when it does not.

    own_mark: what the account leaves in each message; empty when it leaves nothing.
    """
    if own_mark and own_mark.encode() in header.loop_marks:
        return "it goes round in a loop: it has been delivered from this account before"
    if header.received <= MAX_RECEIVED:
        return ""
    return f"it seems to go round in a loop: {header.received} servers have received it already"


def _read_head(chunks: Iterator[bytes]) -> tuple[bytes, int]:
    """Give the first octets of a message, enough to hold any sane header, and where it ends.

    That is where the empty line follows; -1 when none does.
    """
    head = next(chunks, b"")
    while (body := _find_body(head)) < 0 and len(head) < MAX_HEADER_OCTETS:
        more = next(chunks, b"")
        if not more:
            break
        head += more
    return head[:MAX_HEADER_OCTETS], body if body < MAX_HEADER_OCTETS else -1


def _find_body(head: bytes) -> int:
    if head.startswith((b"\r\n", b"\n")):
        return 0
    found = _EMPTY_LINE.search(head)
    return -1 if found is None else found.start()


def _find_message_id(fields: bytes, lines: bytes) -> bytes:
    """Give the first Message-ID's value as it stands, or nothing."""
    at = lines.find(b"\nmessage-id")
    while at >= 0:
        if found := _MESSAGE_ID.match(fields, at):
            return found[1].strip()
        at = lines.find(b"\nmessage-id", at + 1)
    return b""


def _count_received(lines: bytes) -> int:
    """Give the number of Received fields, also where a space comes before the colon."""
    return lines.count(b"\nreceived:") + lines.count(b"\nreceived :")


def _find_loop_marks(fields: bytes) -> frozenset[bytes]:
    """Give the values of all loop headers, whoever wrote them."""
    lines = fields.split(b"\n")
    return frozenset(
        line.removeprefix(_LOOP_FIELD).strip() for line in lines if line.startswith(_LOOP_FIELD)
    )


def parcel_name(message: MessageKey) -> str:
    """Give 32 hex digits that name the message, the same at every try and for every crash."""
    parts = [message.account.encode(), message.unique_id, message.digest]
    named = b"".join([len(part).to_bytes(4, "big") + part for part in parts])
    return blake2b(named, digest_size=16).hexdigest()


def format_trace(
    *, server: str, hostname: str, protocol: str, account: str, parcel: str, received_at: float
) -> bytes:
    """Write the trace header (RFC 5321 §4.4) of a message that came by POP3.

    protocol: ``POP3`` or ``POP3S``. parcel: the parcel's name; a message that comes round again
    can be recognised by it.
    """
    return (
        f"Received: from {server} by {hostname} with {protocol} (popsync)\r\n"
        f"\tid {parcel} for <{account}>;\r\n"
        f"\t{_format_date(int(received_at))}\r\n"
    ).encode("utf-8", "replace")


@lru_cache(maxsize=16)
def _format_date(seconds: int) -> str:
    """Give the date in RFC 5322's form; the messages of one second share it."""
    from email.utils import formatdate  # noqa: PLC0415 - most polls bring no message

    return formatdate(seconds, localtime=True)


def make_loop_mark(token: str, account: AccountId) -> str:
    """Give 32 hex digits by which an account knows again what it has delivered.

    Nobody can make them without ``token``, the ledger's own, so nobody can have a message set
    aside who has never seen one that the account delivered.
    """
    return hmac.digest(token.encode(), account.encode(), "sha256")[:16].hex()


def format_loop_mark(mark: str) -> bytes:
    """Write the header that tells the account, should the message come back: a loop."""
    return b"%s%s\r\n" % (_LOOP_FIELD, mark.encode())


def format_redelivery_mark(doubts: int) -> bytes:
    """Write the header that tells a reader: this may have come before (P4)."""
    return b"X-Popsync-Redelivery: %d\r\n" % doubts


def format_suspicion(reason: str) -> bytes:
    """Write the header that tells a reader: this may not be the whole message."""
    return f"X-Popsync-Suspect: {reason}\r\n".encode("ascii", "replace")


def close_header(header: bytes, head: bytes) -> bytes:
    """Give ``header`` such that the message stays what it was with ``header`` in front.

    A message that begins with a field or with the empty line goes straight behind; anything
    else is no header, and would become part of ours, so an empty line is put between.
    """
    if not header or not head or head.startswith((b"\r\n", b"\n")) or _FIELD.match(head):
        return header
    return header + b"\r\n"
