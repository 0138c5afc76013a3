"""How the time of each parser grows with its input: twice the octets, about twice the time."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from popsync.config.locate import locate
from popsync.errors import RemoteProtocolError
from popsync.poll.header import read_header
from popsync.wire.dots import DotEncoder
from popsync.wire.pop3.client import Pop3ClientCodec, ReplyKind
from popsync.wire.pop3.server import CommandReader
from popsync.wire.smtp.body import encode_blocks
from popsync.wire.smtp.replies import ReplyReader
from popsync.wire.smtp.reverse_path import find_reverse_path

READ_OCTETS = 64 * 1024
MAX_GROWTH = 2.5


class Growth(NamedTuple):
    """How many times as long an input of twice the size took."""

    reading: str
    factor: float

    def __str__(self) -> str:
        """One line of the table."""
        return f"{self.reading:42} twice the input takes {self.factor:.2f} times as long"


class Reading(NamedTuple):
    """A parser, and an input that is repeated until it is long enough to be timed."""

    name: str
    read: Callable[[bytes], None]
    word: bytes
    octets: int = 1 << 18


def measure_growth(*, tries: int) -> Iterator[Growth]:
    """Time every reading at one size and at twice that; the shortest CPU time of all tries."""
    for reading in READINGS:
        once, twice = (_shortest(reading, size, tries) for size in (1, 2))
        yield Growth(reading.name, twice / once)


def _shortest(reading: Reading, size: int, tries: int) -> float:
    octets = reading.word * (size * reading.octets // len(reading.word))
    return min(_time(reading, octets) for _ in range(tries))


def _time(reading: Reading, octets: bytes) -> float:
    began = time.process_time()
    reading.read(octets)
    return time.process_time() - began


def _in_reads(octets: bytes) -> Iterator[bytes]:
    """Cut octets as a socket would give them."""
    return (octets[at : at + READ_OCTETS] for at in range(0, len(octets), READ_OCTETS))


def _read_body(octets: bytes) -> None:
    codec = Pop3ClientCodec()
    codec.expect(ReplyKind.BODY)
    _drain(codec, [b"+OK\r\n", *_in_reads(octets)])


def _read_listing(octets: bytes) -> None:
    codec = Pop3ClientCodec(max_listed=len(octets))
    codec.expect(ReplyKind.LISTING)
    _drain(codec, [b"+OK\r\n", *_in_reads(octets), b".\r\n"])


def _read_statuses(octets: bytes) -> None:
    codec = Pop3ClientCodec()
    codec.expect(*repeat(ReplyKind.LINE, octets.count(b"\n")))
    _drain(codec, [*_in_reads(octets)])


def _drain(codec: Pop3ClientCodec, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        codec.receive_data(piece)
        while codec.next_event() is not None:
            pass


def _read_commands(octets: bytes) -> None:
    reader = CommandReader()
    for piece in _in_reads(octets):
        reader.receive_data(piece)
        more = True
        while more:
            try:
                more = reader.next_line() is not None
            except RemoteProtocolError:
                continue


def _read_smtp_replies(octets: bytes) -> None:
    reader = ReplyReader()
    for piece in _in_reads(octets):
        reader.feed(piece)
        while reader.next_reply() is not None:
            pass


def _write_dots(octets: bytes) -> None:
    encoder = DotEncoder()
    for piece in _in_reads(octets):
        encoder.encode(piece)


def _write_data(octets: bytes) -> None:
    for _ in encode_blocks(_in_reads(octets), normalise=True):
        pass


def _scan_header(octets: bytes) -> None:
    find_reverse_path(read_header(iter([octets])).head)


def _locate(octets: bytes) -> None:
    locate(octets.decode("ascii"))


_HEAD = 120 * 1024  # twice that is still within what is looked at of a header

READINGS: Sequence[Reading] = (
    Reading("pop3 client, a body of dots", _read_body, b"\r\n.."),
    Reading("pop3 client, a body that almost ends", _read_body, b"\r\n.\r"),
    Reading("pop3 client, a listing", _read_listing, b"1 2\r\n"),
    Reading("pop3 client, status lines", _read_statuses, b"+OK [X] y\r\n"),
    Reading("pop3 server, short lines", _read_commands, b"\n"),
    Reading("pop3 server, a line without end", _read_commands, b"x"),
    Reading("smtp client, short replies", _read_smtp_replies, b"250 ok\r\n"),
    Reading("pop3 server, stuffing", _write_dots, b"\n."),
    Reading("smtp client, mending", _write_data, b"\r.\n"),
    Reading("header, no field", _scan_header, b"a", _HEAD),
    Reading("header, blanks", _scan_header, b"a ", _HEAD),
    Reading("header, almost Message-ID", _scan_header, b"message-id \n", _HEAD),
    Reading("header, folds", _scan_header, b"a:\n \n", _HEAD),
    Reading("config, keys", _locate, b"a = 1\n"),
    Reading("config, tables of arrays", _locate, b"[[t.u]]\nk = [1, {b = ''}]\n"),
    Reading("config, comments", _locate, b"# [\n", 1 << 20),
    Reading("config, quotes", _locate, b'a = "\\"\\\\\'"\n'),
)
