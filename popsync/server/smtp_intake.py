"""What comes between DATA and the final dot: taken off the wire, kept until it can be stored."""

import asyncio
import re

from popsync.model import Content
from popsync.storage import Scratch

_LINE_DOT = b"\r\n."
_END = b"\r\n.\r\n"
# What may be the beginning of a final dot, at the end of what has come so far.
_BEGINNING = re.compile(rb"\r(?:\n(?:\.\r?)?)?\Z")

# Below this a write to memory or to the page cache is faster than a change of threads.
_THREAD_OCTETS = 64 * 1024


class DottedText:
    """Finds the final dot and takes off the stuffed ones (RFC 5321 §4.5.2), chunk by chunk.

    Only CRLF.CRLF ends the text. Bare CR and bare LF are content like any other octet, so none
    of the forms by which a second message is smuggled in ends the first.
    """

    def __init__(self) -> None:
        # The line of DATA itself ended in CRLF: a dot right after it is the first of its line.
        self._held = b"\r\n"
        self._skip = len(self._held)

    def feed(self, octets: bytes) -> tuple[bytes, bytes | None]:
        """Give the text in ``octets`` and, once the final dot was found, what follows it."""
        octets = self._held + octets
        end = octets.find(_END)
        if end >= 0:
            return self._unstuff(octets[: end + 2]), octets[end + len(_END) :]
        beginning = _BEGINNING.search(octets, max(0, len(octets) - len(_END)))
        cut = beginning.start() if beginning else len(octets)
        self._held = octets[cut:]
        return self._unstuff(octets[:cut]), None

    def _unstuff(self, octets: bytes) -> bytes:
        text = octets.replace(_LINE_DOT, b"\r\n")
        if self._skip and text:
            text, self._skip = text[self._skip :], 0
        return text


class Intake:
    """Keeps one incoming message: small ones in memory, large ones in an unnamed file.

    What is too large, or cannot be kept, is still read to its end, as SMTP wants it; it just
    leaves no trace, and the flags tell.
    """

    def __init__(self, scratch: Scratch, *, max_octets: int) -> None:
        self._writer = scratch.new_content()
        self._left = max_octets
        self.too_large = False
        self.error: OSError | None = None

    async def write(self, text: bytes) -> None:
        """Take the next piece."""
        self._left -= len(text)
        self.too_large = self.too_large or self._left < 0
        if self.too_large or self.error is not None:
            self._writer.discard()
            return
        try:
            if len(text) < _THREAD_OCTETS:
                self._writer.write(text)
            else:
                await asyncio.to_thread(self._writer.write, text)
        except OSError as error:
            self.error = error

    def finish(self) -> Content:
        """Give the whole; only when neither flag is up."""
        return self._writer.finish()

    def discard(self) -> None:
        """Give back what it occupies. Harmless after ``finish``."""
        self._writer.discard()
