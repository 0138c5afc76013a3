"""What a client says: commands and SASL PLAIN, a formatter and a parser for each form."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

from popsync.errors import LocalProtocolError, RemoteProtocolError

MAX_COMMAND_OCTETS = 255
"""With CRLF (RFC 2449 §4)."""

_FORBIDDEN = re.compile(rb"[\0\r\n]")
_COMMAND = re.compile(rb"([A-Za-z]{3,8})(?: ([^\0\r\n]*))?")


class Command(NamedTuple):
    """A command as a server reads it."""

    keyword: str
    """In upper case."""
    argument: bytes = b""
    """All that follows the first blank: a password may hold blanks."""


class PlainCredentials(NamedTuple):
    """What SASL PLAIN carries (RFC 4616)."""

    user: str
    password: str
    authorization: str = ""
    """Whose maildrop; empty for the user's own."""


def format_command(command: Command) -> bytes:
    """Give the command's line with its CRLF.

    Raises LocalProtocolError, which never quotes the argument: it may be a password.
    """
    line = command.keyword.encode("ascii")
    if command.argument or command.keyword in ("USER", "PASS"):
        line += b" " + command.argument
    if _FORBIDDEN.search(line):
        raise LocalProtocolError(f"{command.keyword}: CR, LF or NUL in its argument")
    if len(line) + 2 > MAX_COMMAND_OCTETS:
        raise LocalProtocolError(f"{command.keyword}: longer than {MAX_COMMAND_OCTETS} octets")
    return line + b"\r\n"


def format_numbered(keyword: str, numbers: Iterable[int]) -> bytes:
    """Give one command for each message number, all in one piece."""
    form = keyword.encode("ascii") + b" %d\r\n"
    return b"".join([form % number for number in numbers])


def parse_command(line: bytes) -> Command:
    """Read one command without its line end.

    Raises RemoteProtocolError without evidence: it may be a password.
    """
    match = _COMMAND.fullmatch(line)
    if match is None:
        raise RemoteProtocolError("not a command")
    return Command(match[1].decode("ascii").upper(), match[2] or b"")


def format_plain(credentials: PlainCredentials) -> bytes:
    """Give the base64 response for SASL PLAIN. Raises LocalProtocolError."""
    fields = (credentials.authorization, credentials.user, credentials.password)
    if any("\0" in field for field in fields):
        raise LocalProtocolError("AUTH PLAIN: NUL in user or password")
    return base64.b64encode("\0".join(fields).encode())


def parse_plain(response: bytes) -> PlainCredentials:
    """Read the base64 response of SASL PLAIN. Raises RemoteProtocolError without evidence."""
    try:
        fields = base64.b64decode(response, validate=True).decode().split("\0")
    except (binascii.Error, ValueError):
        raise RemoteProtocolError("AUTH PLAIN: not base64 of UTF-8") from None
    if len(fields) != 3:
        raise RemoteProtocolError("AUTH PLAIN: not three fields")
    authorization, user, password = fields
    return PlainCredentials(user, password, authorization)
