"""Stored messages in POP3's multi-line form, as exactly as they were stored."""

from collections.abc import Generator, Iterable
from itertools import chain

from popsync.server.mailstore import StoredMessage
from popsync.wire.pop3.replies import Reply, format_status
from popsync.wire.pop3.server import encode_message

_CRLF = b"\r\n"
_OK = Reply(ok=True, text=b"message follows")


def encode_stored(message: StoredMessage, chunks: Iterable[bytes]) -> Generator[bytes]:
    """Give a whole ``+OK`` reply with a message, or its top, piece by piece.

    What the first chunk raises is raised before a piece is given, so that ``-ERR`` can still be
    said.
    """
    chunks = iter(chunks)
    opened = chain((next(chunks, b""),), chunks)
    yield from _encode_exact(opened) if message.exact else encode_message(_OK, opened)


def _encode_exact(chunks: Iterable[bytes]) -> Generator[bytes]:
    """Stuff dots after CRLF only: bare CR and bare LF stay what they are."""
    yield format_status(_OK)
    tail = _CRLF
    for chunk in chunks:
        known = tail + chunk
        yield known.replace(b"\r\n.", b"\r\n..")[len(tail) :]
        tail = known[-2:]
    yield b".\r\n" if tail == _CRLF else b"\r\n.\r\n"
