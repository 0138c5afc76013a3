"""What comes between DATA and the final dot, kept until it can be stored."""

import asyncio

from popsync.model import Content
from popsync.storage import Scratch

# Below this a write to memory or to the page cache is faster than a change of threads.
_THREAD_OCTETS = 64 * 1024


class Intake:
    """Keeps one incoming message: small ones in memory, large ones in an unnamed file.

    What is too large, or cannot be kept, is still read to its end, as SMTP wants it; it just
    leaves no trace, and the flags tell.
    """

    def __init__(self, scratch: Scratch, *, max_octets: int) -> None:
        self._writer = scratch.new_content()
        self._left = max_octets
        self._tail = b""
        self.too_large = False
        self.ambiguous = False
        """A line after a bare LF begins with a dot.

        A strict POP3 client takes it as it is; one that ends lines at LF would take a dot off, or
        even end the message there and what follows for replies. No way of sending it suits both.
        """
        self.error: OSError | None = None

    async def write(self, text: bytes) -> None:
        """Take the next piece."""
        self._left -= len(text)
        self.too_large = self.too_large or self._left < 0
        known = self._tail + text
        # What a line end may begin; a dot behind one has been counted.
        self._tail = b"" if known.endswith(b".") else known[-2:]
        self.ambiguous = self.ambiguous or known.count(b"\n.") != known.count(b"\r\n.")
        if self.too_large or self.ambiguous or self.error is not None:
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
        """Give the whole; only when no flag is up."""
        return self._writer.finish()

    def discard(self) -> None:
        """Give back what it occupies. Harmless after ``finish``."""
        self._writer.discard()
