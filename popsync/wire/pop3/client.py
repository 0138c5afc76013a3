"""A client's view of the wire: octets in, replies out, in the order they were asked for."""

from collections import deque
from enum import Enum
from typing import NamedTuple

from popsync.errors import RemoteProtocolError
from popsync.wire.dots import DotDecoder
from popsync.wire.pop3.replies import Challenge, Reply, parse_challenge, parse_status

# RFC 2449 §4 allows 512 octets; there are servers that say more.
MAX_LINE_OCTETS = 4096
MAX_CAPABILITIES = 64
MAX_LISTED = 200_000
MAX_LISTING_OCTETS = 64 << 20


class ReplyKind(Enum):
    """The form of a reply when it is not ``-ERR``; that one is always a single line."""

    LINE = "line"
    CHALLENGE = "challenge"
    CAPABILITIES = "capabilities"
    LISTING = "listing"
    BODY = "body"


class Rows(NamedTuple):
    """A whole listing without its status line, rows without CRLF and stuffing."""

    rows: tuple[bytes, ...]


class Body(NamedTuple):
    """The next piece of a message, dots unstuffed; a message that is there whole is one piece."""

    octets: bytes
    ended: bool


Event = Reply | Challenge | Rows | Body
_MULTI_LINE = frozenset({ReplyKind.CAPABILITIES, ReplyKind.LISTING, ReplyKind.BODY})


class Pop3ClientCodec:
    """Splits what a server sends into the replies that were asked for.

    What is held never exceeds one line, or one listing within its limits; a message passes
    through. Every method raises RemoteProtocolError only; the codec is of no use after that.

    A server that ends its first line in a bare LF has to end every line so. Each of its LFs is
    taken for a CRLF then, which can be undone octet by octet, so nothing is lost.
    """

    def __init__(self, *, max_listed: int = MAX_LISTED) -> None:
        self._max_listed = max_listed
        self._buffer = b""
        self._at = 0
        self._bare_lf: bool | None = None
        """Whether lines end in LF alone; None until the first has ended."""
        self._awaited: deque[ReplyKind] = deque()
        self._inside: DotDecoder | None = None
        self._listing = _Listing(0)

    @property
    def buffered(self) -> int:
        """Octets that came and are not yet given out."""
        return len(self._buffer) - self._at

    @property
    def awaited(self) -> int:
        """Replies that are still to come, the one in progress included."""
        return len(self._awaited)

    def expect(self, *kinds: ReplyKind) -> None:
        """Announce the replies to commands that are about to be sent, in their order.

        Octets that came before the first command raise: a reply that nobody asked for, perhaps
        out of an unstuffed message, would be taken for the next one's.
        """
        if self.buffered and not self._awaited:
            raise RemoteProtocolError("octets that no command asked for", self._rest())
        self._awaited.extend(kinds)

    def receive_data(self, octets: bytes) -> None:
        """Take what was read."""
        if self._bare_lf is None:
            self._bare_lf = _ends_in_bare_lf(self._rest() + octets)
        if self._bare_lf:
            octets = octets.replace(b"\n", b"\r\n")
        self._buffer = self._rest() + octets if self.buffered else octets
        self._at = 0

    def next_event(self) -> Event | None:
        """Give the next reply, or piece of a message; None when more must be read first."""
        if not self._awaited:
            return None
        if self._inside is None:
            return self._next_reply(self._awaited[0])
        return self._next_piece(self._inside)

    def _rest(self) -> bytes:
        return self._buffer[self._at :]

    def _next_reply(self, kind: ReplyKind) -> Event | None:
        end = self._line_end()
        if end < 0:
            return None
        line = self._buffer[self._at : end]
        challenge = parse_challenge(line) if kind is ReplyKind.CHALLENGE else None
        reply = challenge or parse_status(line)
        if isinstance(reply, Reply) and reply.ok and kind in _MULTI_LINE:
            self._at = end  # the decoder starts at this line's CRLF
            self._inside = DotDecoder()
            if kind is not ReplyKind.BODY:
                self._listing = self._new_listing(kind)
            return self._next_piece(self._inside)
        self._at = end + 2
        self._awaited.popleft()
        return reply

    def _new_listing(self, kind: ReplyKind) -> "_Listing":
        return _Listing(MAX_CAPABILITIES if kind is ReplyKind.CAPABILITIES else self._max_listed)

    def _line_end(self) -> int:
        newline = self._buffer.find(b"\n", self._at, self._at + MAX_LINE_OCTETS)
        if newline < 0:
            if self.buffered >= MAX_LINE_OCTETS:
                raise RemoteProtocolError("a reply's line is too long", self._rest())
            return -1
        if newline == self._at or self._buffer[newline - 1] != 0x0D:
            raise RemoteProtocolError("a reply's line ends in LF without CR", self._rest())
        if self._bare_lf and self._buffer.endswith(b"\r", self._at, newline - 1):
            raise RemoteProtocolError("a reply's line ends in CRLF, the first in LF", self._rest())
        return newline - 1

    def _next_piece(self, inside: DotDecoder) -> Event | None:
        content, self._at, ended = inside.decode(self._buffer, self._at)
        kind = self._awaited[0]
        if ended:
            self._inside = None
            self._awaited.popleft()
        if kind is ReplyKind.BODY:
            return Body(content, ended) if content or ended else None
        self._listing.add(content)
        return Rows(self._listing.rows()) if ended else None


def _ends_in_bare_lf(octets: bytes) -> bool | None:
    """Tell how the first line ends; None when it has not. A line that is none ends in nothing."""
    newline = octets.find(b"\n")
    return None if newline < 0 else newline > 0 and octets[newline - 1] != 0x0D


class _Listing:
    """Gathers a listing and sees that it stays within its limits.

    The decoder never cuts a CRLF in two, so line ends can be counted piece by piece.
    """

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._pieces: list[bytes] = []
        self._octets = 0
        self._rows = 0
        self._open_row_octets = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece. Raises RemoteProtocolError."""
        self._pieces.append(piece)
        self._octets += len(piece)
        self._rows += piece.count(b"\r\n")
        last_end = piece.rfind(b"\n")
        kept = self._open_row_octets if last_end < 0 else 0
        self._open_row_octets = kept + len(piece) - last_end - 1
        if self._rows > self._max_rows:
            raise RemoteProtocolError(f"a listing has more than {self._max_rows} rows")
        if self._open_row_octets > MAX_LINE_OCTETS:
            raise RemoteProtocolError("a listing's row is too long", piece)
        if self._octets > MAX_LISTING_OCTETS:
            raise RemoteProtocolError(f"a listing has more than {MAX_LISTING_OCTETS} octets")

    def rows(self) -> tuple[bytes, ...]:
        """Give the rows. Raises RemoteProtocolError when one is too long."""
        rows = tuple(b"".join(self._pieces).split(b"\r\n")[:-1])
        if rows and max(map(len, rows)) > MAX_LINE_OCTETS:
            raise RemoteProtocolError("a listing's row is too long", max(rows, key=len))
        return rows
