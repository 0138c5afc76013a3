"""What a server says, line by line: a parser and a formatter for each form.

Parsers take one line without its CRLF, tolerate what servers in the field do, and raise
RemoteProtocolError only. No text becomes a number before it has matched.
"""

import re
from typing import NamedTuple

from popsync.errors import RemoteProtocolError
from popsync.model import NAMELESS, MessageNumber, UniqueId

# RFC 1939 §7 allows 70 octets of 0x21 to 0x7E. Servers in the field send spaces, 8-bit and longer
# ones, and refusing them would refuse the mailbox.
MAX_UNIQUE_ID_OCTETS = 1024

_NUMBER = rb"([0-9]{1,10})"
_OCTETS = rb"([0-9]{1,18})"
_STATUS = re.compile(rb"(\+OK|-ERR)(?![A-Za-z0-9])[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(rb"\[([!-Z^-~]{1,64})\][ \t]*(.*)", re.DOTALL)
_STAT = re.compile(_NUMBER + rb"[ \t]+" + _OCTETS + rb"(?:[ \t].*)?", re.DOTALL)
_LIST_ROW = re.compile(_NUMBER + rb"[ \t]+" + _OCTETS + rb"(?:[ \t].*)?", re.DOTALL)
_UIDL_ROW = re.compile(_NUMBER + rb"(?:[ \t]+(.*))?", re.DOTALL)
_NO_UNIQUE_ID = re.compile(rb"[\0\r\n]")


class Reply(NamedTuple):
    """A status line."""

    ok: bool
    code: str = ""
    """Response code in upper case, without brackets: ``IN-USE``, ``SYS/TEMP`` (RFC 2449 §8)."""
    text: bytes = b""


class Challenge(NamedTuple):
    """A server's turn in AUTH: ``+`` and base64 (RFC 5034 §4)."""

    octets: bytes


class Totals(NamedTuple):
    """What STAT claims."""

    messages: int
    octets: int


class ListRow(NamedTuple):
    """One row of LIST."""

    number: MessageNumber
    octets: int


class UidlRow(NamedTuple):
    """One row of UIDL."""

    number: MessageNumber
    unique_id: UniqueId


def parse_status(line: bytes) -> Reply:
    """Read a status line; ``+OK`` and ``-ERR`` in any case, the text may be missing."""
    match = _STATUS.fullmatch(line)
    if match is None:
        raise RemoteProtocolError("a reply is neither +OK nor -ERR", line)
    indicator, text = match.groups()
    ok = indicator.startswith(b"+")
    coded = _CODE.fullmatch(text)
    if coded is None:
        return Reply(ok, "", text)
    return Reply(ok, coded[1].decode("ascii").upper(), coded[2])


def format_status(reply: Reply) -> bytes:
    """Give the status line with its CRLF."""
    words = [b"+OK" if reply.ok else b"-ERR"]
    if reply.code:
        words.append(f"[{reply.code}]".encode("ascii"))
    if reply.text:
        words.append(reply.text)
    return b" ".join(words) + b"\r\n"


def parse_challenge(line: bytes) -> Challenge | None:
    """Read a line that AUTH may be answered with; None when it is a status line."""
    return Challenge(line[1:].strip(b" \t")) if line == b"+" or line[:2] == b"+ " else None


def format_challenge(challenge: Challenge) -> bytes:
    """Give the line with its CRLF; the blank is there even when nothing follows."""
    return b"+ %b\r\n" % challenge.octets


def parse_stat(text: bytes) -> Totals:
    """Read the text of STAT's reply; words after the two numbers are ignored (RFC 1939 §5)."""
    match = _STAT.fullmatch(text)
    if match is None:
        raise RemoteProtocolError("STAT's reply is not 'messages octets'", text)
    return Totals(int(match[1]), int(match[2]))


def format_stat(totals: Totals) -> bytes:
    """Give the text of STAT's reply."""
    return b"%d %d" % totals


def parse_list_row(row: bytes) -> ListRow:
    """Read one row of LIST; words after the two numbers are ignored (RFC 1939 §5)."""
    match = _LIST_ROW.fullmatch(row)
    if match is None:
        raise RemoteProtocolError("a row of LIST is not 'number octets'", row)
    return ListRow(MessageNumber(int(match[1])), int(match[2]))


def format_list_row(row: ListRow) -> bytes:
    """Give one row of LIST without its CRLF."""
    return b"%d %d" % row


def parse_uidl_row(row: bytes) -> UidlRow:
    """Read one row of UIDL; the unique-id is all that follows the first blanks.

    It is NAMELESS where none follows, where it is too long, or holds NUL, CR or LF.
    """
    match = _UIDL_ROW.fullmatch(row)
    if match is None:
        raise RemoteProtocolError("a row of UIDL is not 'number unique-id'", row)
    unique_id = UniqueId(match[2] or b"")
    usable = len(unique_id) <= MAX_UNIQUE_ID_OCTETS and not _NO_UNIQUE_ID.search(unique_id)
    return UidlRow(MessageNumber(int(match[1])), unique_id if usable else NAMELESS)


def format_uidl_row(row: UidlRow) -> bytes:
    """Give one row of UIDL without its CRLF."""
    return b"%d %b" % row
