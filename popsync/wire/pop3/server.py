"""A server's view of the wire: commands in, replies and stored messages out."""

from collections.abc import Iterable, Iterator

from popsync.errors import RemoteProtocolError
from popsync.wire.dots import DotEncoder
from popsync.wire.pop3.commands import MAX_COMMAND_OCTETS
from popsync.wire.pop3.replies import Reply, format_status


class CommandReader:
    """Gives a client's lines one by one, however they were cut up or sent ahead.

    A line ends in CRLF; LF alone is taken, too. What is held never exceeds one read and one line.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._draining = False

    @property
    def buffered(self) -> int:
        """Octets that came and are not yet given out; STLS must find none (RFC 2595 §4)."""
        return len(self._buffer) - self._at

    def receive_data(self, octets: bytes) -> None:
        """Take what was read."""
        self._buffer = self._buffer[self._at :] + octets
        self._at = 0

    def next_line(self, *, max_octets: int = MAX_COMMAND_OCTETS) -> bytes | None:
        """Give the next line without its end; None when more must be read first.

        max_octets: with CRLF. A longer line raises RemoteProtocolError, without evidence, as soon
        as that shows; its rest is passed over and the lines after it are as good as any.
        """
        if self._draining and not self._drained():
            return None
        newline = self._buffer.find(b"\n", self._at, self._at + max_octets)
        if newline >= 0:
            line = self._buffer[self._at : newline]
            self._at = newline + 1
            return line.removesuffix(b"\r")
        if self.buffered < max_octets:
            return None
        self._draining = True
        raise RemoteProtocolError(f"a line is longer than {max_octets} octets")

    def _drained(self) -> bool:
        newline = self._buffer.find(b"\n", self._at)
        self._at = newline + 1 if newline >= 0 else len(self._buffer)
        self._draining = newline < 0
        return not self._draining


def encode_rows(reply: Reply, rows: Iterable[bytes]) -> bytes:
    """Give a whole multi-line reply: status line, rows, terminator."""
    encoder = DotEncoder()
    listing = b"".join([row + b"\r\n" for row in rows])
    return format_status(reply) + encoder.encode(listing) + encoder.finish()


def encode_message(reply: Reply, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Give a whole multi-line reply, piece by piece, with a stored message in it."""
    encoder = DotEncoder()
    yield format_status(reply)
    for chunk in chunks:
        yield encoder.encode(chunk)
    yield encoder.finish()


def listed_octets(chunks: Iterable[bytes]) -> int:
    """Give the size that LIST must tell of a stored message: as RETR's receiver will count."""
    encoder = DotEncoder()
    for chunk in chunks:
        encoder.encode(chunk)
    encoder.finish()
    return encoder.octets


def cut_top(chunks: Iterable[bytes], body_lines: int) -> Iterator[bytes]:
    """Give a stored message's header, the blank line and the first ``body_lines`` lines after it.

    Stops reading as soon as it has them (RFC 1939 §7, TOP).
    """
    left, blank = -1, True  # -1: still in the header
    for chunk in chunks:
        at = 0
        while (newline := chunk.find(b"\n", at)) >= 0:
            blank = blank and chunk[at:newline] in (b"", b"\r")
            if left > 0:
                left -= 1
            elif blank:
                left = body_lines
            at, blank = newline + 1, True
            if left == 0:
                yield chunk[:at]
                return
        blank = blank and chunk[at:] in (b"", b"\r")
        yield chunk
