"""Replies of an SMTP or LMTP server (RFC 5321 §4.2)."""

import re
from typing import NamedTuple

from popsync.errors import RemoteProtocolError, escape

MAX_LINE_OCTETS = 4096
"""RFC 5321 §4.5.3.1.5 allows 512, CRLF included; servers in the field send longer ones."""
MAX_LINES = 128

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?\r\n")
_ENHANCED = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![^ ])")


class Reply(NamedTuple):
    """One whole reply."""

    code: int
    enhanced: str | None
    """The enhanced status code (RFC 3463) that the first line begins with, when it agrees."""
    lines: tuple[bytes, ...]
    """The text of each line, without reply code and CRLF."""

    @property
    def accepted(self) -> bool:
        """Whether it is a 2yz."""
        return self.code < 300

    @property
    def deferred(self) -> bool:
        """Whether it is a 4yz."""
        return 400 <= self.code < 500

    @property
    def rejected(self) -> bool:
        """Whether it is a 5yz."""
        return self.code >= 500

    @property
    def words(self) -> str:
        """The reply as the server put it, on one line that is safe to show."""
        return escape(b"%d %s" % (self.code, b" / ".join(self.lines))).rstrip()


class ReplyReader:
    """Cuts octets into replies, however they arrive. Holds at most one reply and what follows."""

    def __init__(self) -> None:
        self._octets = b""
        self._code = b""
        self._lines: list[bytes] = []

    @property
    def buffered(self) -> bool:
        """Whether octets are waiting that no reply has been made of."""
        return bool(self._octets or self._lines)

    def feed(self, octets: bytes) -> None:
        """Take what has arrived."""
        self._octets += octets

    def next_reply(self) -> Reply | None:
        """Give the next reply once it is whole, None before.

        Raises RemoteProtocolError for anything that is no reply; the reader is of no use then.
        """
        while (end := self._octets.find(b"\n", 0, MAX_LINE_OCTETS)) >= 0:
            line, self._octets = self._octets[: end + 1], self._octets[end + 1 :]
            if self._take_line(line):
                return self._finish()
        if len(self._octets) >= MAX_LINE_OCTETS:
            raise RemoteProtocolError("reply line is too long", self._octets)
        return None

    def _take_line(self, line: bytes) -> bool:
        found = _LINE.fullmatch(line)
        if found is None:
            raise RemoteProtocolError("not an SMTP reply", line)
        code, separator, text = found.groups(b"")
        if self._lines and code != self._code:
            raise RemoteProtocolError("reply code changes from line to line", line)
        if len(self._lines) == MAX_LINES:
            raise RemoteProtocolError("reply has too many lines", line)
        self._code = code
        self._lines.append(text)
        return separator != b"-"

    def _finish(self) -> Reply:
        lines, self._lines = tuple(self._lines), []
        return Reply(int(self._code), _find_enhanced(self._code, lines[0]), lines)


def _find_enhanced(code: bytes, text: bytes) -> str | None:
    found = _ENHANCED.match(text)
    if found is None or text[0] != code[0]:
        return None
    return found[0].decode("ascii")
