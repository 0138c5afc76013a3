"""The dot-stuffed multi-line form, taken apart and put together (RFC 1939 §3).

Only CRLF "." CRLF ends it. Every step is one search or replacement over all octets in hand, so
the cost does not depend on how many lines there are, nor on how the octets were cut up.
"""

TERMINATOR = b"\r\n.\r\n"
_DOT_LINE = b"\r\n."
_OPENINGS = tuple(TERMINATOR[:octets] for octets in range(len(TERMINATOR) - 1, 0, -1))


class DotDecoder:
    """Takes one multi-line body out of a buffer, in as many pieces as the buffer is filled.

    It starts at the CRLF of the line before the body, so that a body's first line is no special
    case.
    """

    def __init__(self) -> None:
        self._ahead = 2

    def decode(self, buffer: bytes, at: int) -> tuple[bytes, int, bool]:
        """Give the content from ``at`` on, where to go on, and whether the body ended there.

        What may be part of a terminator, or of a stuffed dot, stays in the buffer.
        """
        dot = _find_dot_line(buffer, at)
        stuffed = dot >= 0 and not buffer.startswith(TERMINATOR, dot)
        end = buffer.find(TERMINATOR, dot) if stuffed else dot
        if end >= 0:
            content = self._content(buffer, at, end + 2, stuffed=stuffed)
            return content, end + len(TERMINATOR), True
        stop = len(buffer) - _undecided_octets(buffer, at)
        if stop <= at:
            return b"", at, False
        return self._content(buffer, at, stop, stuffed=stuffed), stop, False

    def _content(self, buffer: bytes, at: int, stop: int, *, stuffed: bool) -> bytes:
        is_first = self._ahead > 0
        content = buffer[at + self._ahead : stop]
        self._ahead = 0
        if not stuffed:  # most messages
            return content
        whole_lines = content.removeprefix(b".") if is_first else content
        return whole_lines.replace(_DOT_LINE, b"\r\n")


def _find_dot_line(buffer: bytes, at: int) -> int:
    """Give where a line ends whose successor begins with a dot, or -1.

    Attachments have no dot at all, and one octet is found twenty times as fast as three.
    """
    dot = buffer.find(b".", at)
    return dot if dot < 0 else buffer.find(_DOT_LINE, max(at, dot - 2))


def _undecided_octets(buffer: bytes, at: int) -> int:
    for opening in _OPENINGS:
        if buffer.endswith(opening, at):
            return len(opening)
    return 0


class DotEncoder:
    """Puts a stored message into the multi-line form: CRLF line ends, dots stuffed, terminated.

    Line ends may be LF or CRLF, mixed as well; a bare CR is left alone. A last line without an
    end gets one.
    """

    def __init__(self) -> None:
        self._held = b""
        self._at_line_start = True
        self.octets = 0
        """Size so far as LIST must tell it: with CRLF, without stuffing and terminator."""

    def encode(self, chunk: bytes) -> bytes:
        """Give the wire form of the next piece."""
        chunk = self._held + chunk
        self._held = b"\r" if chunk.endswith(b"\r") else b""
        return self._stuffed(chunk[: len(chunk) - len(self._held)])

    def finish(self) -> bytes:
        """Give what is still to be sent, terminator included."""
        rest = self._stuffed(self._held)
        self._held = b""
        if not self._at_line_start:
            self.octets += 2
            rest += b"\r\n"
        return rest + b".\r\n"

    def _stuffed(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        lines = chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self.octets += len(lines)
        stuffed = lines.replace(b"\r\n.", b"\r\n..")
        if self._at_line_start and stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self._at_line_start = lines.endswith(b"\n")
        return stuffed
