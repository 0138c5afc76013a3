r"""The mail data as it travels after DATA (RFC 5321 §4.5.2): line ends mended, dots doubled.

SMTP: every bare CR and bare LF becomes CRLF, nothing else changes (P6). So no reading of line
ends, however loose, can find an end of data in the middle of a message (SMTP smuggling).

LMTP: bare CR and bare LF stay as they are but in two places. A bare one with a dot behind it
becomes CRLF, because servers that also take ``LF . LF`` for the end (older Dovecots) would stop
there and read the rest as commands; and one at the very end, as data must end in CRLF. What holds
for both: each dot that follows a line end of any kind is doubled.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_BLOCK_OCTETS = 64 * 1024
_INPUT_OCTETS = MAX_BLOCK_OCTETS // 2 - 1  # a bare LF becomes two octets, and one may be held
_BARE_BEFORE_DOT = re.compile(rb"(?:\r(?!\n)|(?<!\r)\n)(?=\.)")


class Survey(NamedTuple):
    """What must be known of a message before MAIL."""

    octets: int
    """Its size as SMTP counts it: line ends mended, dots not doubled (RFC 1870 §3)."""
    eightbit: bool


def survey(chunks: Iterable[bytes]) -> Survey:
    """Look through a message once."""
    octets, eightbit = 0, False
    last = b"\n"  # what is empty needs no line end
    for chunk in chunks:
        octets += len(chunk) + _count_bare(chunk)
        if last == b"\r" and chunk[:1] == b"\n":
            octets -= 2  # that CRLF was cut in two, and both halves counted as bare
        eightbit = eightbit or not chunk.isascii()
        last = chunk[-1:] or last
    return Survey(octets + (0 if last in b"\r\n" else 2), eightbit)


def encode_blocks(chunks: Iterable[bytes], *, normalise: bool) -> Iterator[bytes]:
    """Give the data in blocks of at most 64 KiB, ending in CRLF, without the final dot.

    normalise: mend every bare CR and LF, as SMTP needs it; LMTP keeps them.
    """
    encoder = BodyEncoder(normalise=normalise)
    for chunk in chunks:
        for start in range(0, len(chunk), _INPUT_OCTETS):
            if block := encoder.encode(chunk[start : start + _INPUT_OCTETS]):
                yield block
    if rest := encoder.finish():
        yield rest


def encode_whole(content: bytes, *, normalise: bool) -> tuple[Survey, bytes]:
    """Survey and encode a content that is at hand as a whole, looking through it once.

    The data ends in CRLF, without the final dot.
    """
    ends_well = content.endswith(b"\r\n") or not content
    if not ends_well or _count_bare(content):
        return survey([content]), b"".join(encode_blocks([content], normalise=normalise))
    data = content.replace(b"\r\n.", b"\r\n..")
    return (
        Survey(len(content), not content.isascii()),
        b"." + data if data.startswith(b".") else data,
    )


class BodyEncoder:
    """Encodes one message piece by piece; where it is cut makes no difference."""

    def __init__(self, *, normalise: bool) -> None:
        self._normalise = normalise
        self._held = b""
        self._line_begins = True

    def encode(self, chunk: bytes) -> bytes:
        """Encode the next piece; its last octet may come out with the one after."""
        octets = self._held + chunk
        self._held = b""
        if octets.endswith(b"\r") or (octets.endswith(b"\n") and not octets.endswith(b"\r\n")):
            octets, self._held = octets[:-1], octets[-1:]
        if not octets:
            return b""
        if _count_bare(octets):
            octets = self._mend(octets)
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        if self._line_begins and octets.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_begins = octets.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """Give what is needed for the data to end in CRLF."""
        return b"\r\n" if self._held or not self._line_begins else b""

    def _mend(self, octets: bytes) -> bytes:
        if self._normalise:
            lines = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            return lines.replace(b"\n", b"\r\n")
        return _BARE_BEFORE_DOT.sub(b"\r\n", octets)


def _count_bare(octets: bytes) -> int:
    ends = len(octets) - len(octets.translate(None, b"\r\n"))  # half the time of two counts
    return ends - 2 * octets.count(b"\r\n")
