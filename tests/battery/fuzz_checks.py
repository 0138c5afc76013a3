"""What must hold of each parser, for one random input; a check that fails raises."""

import email
import io
import poplib
import tomllib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from popsync.config.locate import TomlPath, locate
from popsync.config.syntax import syntax_problem
from popsync.errors import RemoteProtocolError
from popsync.poll.header import close_header, read_header
from popsync.wire.dots import TERMINATOR, DotDecoder, DotEncoder
from popsync.wire.pop3 import replies
from popsync.wire.pop3.capabilities import format_capabilities, parse_capabilities
from popsync.wire.pop3.client import Body, Pop3ClientCodec, ReplyKind, Rows
from popsync.wire.pop3.commands import parse_command, parse_plain
from popsync.wire.pop3.server import CommandReader, encode_message, encode_rows
from popsync.wire.smtp.body import encode_blocks, survey
from popsync.wire.smtp.extensions import parse_extensions
from popsync.wire.smtp.replies import ReplyReader
from popsync.wire.smtp.reverse_path import find_reverse_path
from tests.battery.scrawl import COMMANDS, HEADERS, POP3, SMTP, cut, scrawl
from tests.battery.toml_scrawl import toml_scrawl

Pieces = Sequence[bytes]
_REFUSED = "refused"
T = TypeVar("T")


def _same_however_cut(read: Callable[[Pieces], object], octets: bytes, rng: Random) -> None:
    whole, pieces = read([octets]), cut(octets, rng)
    if (found := read(pieces)) != whole:
        raise AssertionError(f"{pieces} is read as {found}, uncut as {whole}")


def _agree(found: object, expected: object, what: object) -> None:
    if found != expected:
        raise AssertionError(f"{what!r}: {found!r} is not {expected!r}")


# -- POP3 --------------------------------------------------------------------------------------


def reads_any_pop3_reply(rng: Random) -> None:
    """The client's codec gives the same replies however the octets came, or refuses."""
    kinds = deque(ReplyKind)
    kinds.rotate(rng.randrange(len(kinds)))

    def read(pieces: Pieces) -> object:
        codec = Pop3ClientCodec(max_listed=10)
        codec.expect(*[*kinds] * 8)
        events: list[object] = []
        try:
            for piece in pieces:
                codec.receive_data(piece)
                while (event := codec.next_event()) is not None:
                    _add(events, event)
        except RemoteProtocolError:
            return [*events, _REFUSED]
        return [*events, codec.awaited, codec.buffered]

    # A listing is given whole, so until it ends it may be refused sooner or later.
    _same_however_cut(read, scrawl(rng, POP3, opening=b"+OK\r\n") + TERMINATOR, rng)


def _add(events: list[object], event: object) -> None:
    """Add an event; pieces of one message are put together."""
    last = events[-1] if events else None
    if isinstance(event, Body) and isinstance(last, Body) and not last.ended:
        events[-1] = Body(last.octets + event.octets, event.ended)
    else:
        events.append(event)


def reads_any_pop3_line(rng: Random) -> None:
    """What a parser of one line takes comes out of its formatter and is read as the same."""
    for line in scrawl(rng, POP3).split(b"\r\n"):
        if (status := _or_none(replies.parse_status, line)) is not None:
            _agree(replies.parse_status(replies.format_status(status)[:-2]), status, line)
        if (challenge := replies.parse_challenge(line)) is not None:
            form = replies.format_challenge(challenge)[:-2]
            _agree(replies.parse_challenge(form), challenge, line)
        if (totals := _or_none(replies.parse_stat, line)) is not None:
            _agree(replies.parse_stat(replies.format_stat(totals)), totals, line)
        if (listed := _or_none(replies.parse_list_row, line)) is not None:
            _agree(replies.parse_list_row(replies.format_list_row(listed)), listed, line)
        if (named := _or_none(replies.parse_uidl_row, line)) is not None:
            _agree(replies.parse_uidl_row(replies.format_uidl_row(named)), named, line)
        told = parse_capabilities([line])
        if (
            told.implementation.isascii()
            and told.expire.isascii()
            and "".join(told.sasl).isascii()
        ):
            _agree(parse_capabilities(format_capabilities(told)), told, line)


def _or_none(parse: Callable[[bytes], T], line: bytes) -> T | None:
    try:
        return parse(line)
    except RemoteProtocolError:
        return None


def reads_any_command(rng: Random) -> None:
    """The server's reader gives the same lines however they came, each a command or refused."""

    def read(pieces: Pieces) -> object:
        reader, lines = CommandReader(), list[object]()
        for piece in pieces:
            reader.receive_data(piece)
            lines += _lines(reader)
        return lines

    _same_however_cut(read, scrawl(rng, COMMANDS), rng)


def _lines(reader: CommandReader) -> Iterator[object]:
    while True:
        try:
            if (line := reader.next_line()) is None:
                return
        except RemoteProtocolError:
            yield _REFUSED
            continue
        yield line, _or_none(parse_command, line), _or_none(parse_plain, line)


def agrees_with_poplib(rng: Random) -> None:
    """A well-formed session of the bundled server's codec means the same to poplib and to us."""
    words = (b"a", b".", b"..", b"\r\n", b"\r\n.", b"\xff", b"+OK", b"-ERR", b" ", b"\0")
    message = b"".join(rng.choices(words, k=rng.randrange(30))) + b"\r\n"
    rows = [b"%d %s" % (n, rng.choice(words[:3])) for n in range(1, rng.randrange(2, 9))]
    ok = replies.Reply(True, "", b"fine")
    wire = b"".join(encode_message(ok, cut(message, rng))) + encode_rows(ok, rows)
    theirs = _Poplib(wire)
    _agree(b"".join(line + b"\r\n" for line in theirs.retr(1)[1]), message, wire)
    _agree(theirs.list()[1], rows, wire)
    codec = Pop3ClientCodec()
    codec.expect(ReplyKind.BODY, ReplyKind.LISTING)
    codec.receive_data(wire)
    _agree([codec.next_event(), codec.next_event()], [Body(message, True), Rows((*rows,))], wire)


class _Poplib(poplib.POP3):
    """Python's client, with a whole session in its hands instead of a socket."""

    def __init__(self, wire: bytes) -> None:
        self.file = io.BytesIO(wire)
        self._debugging = 0

    def _putcmd(self, line: str) -> None:
        """Send nothing: the replies are all there."""


# -- dots --------------------------------------------------------------------------------------


def stuffs_any_dots(rng: Random) -> None:
    """A stored message goes through POP3's dots and comes out with CRLF, ended once."""
    message = scrawl(rng, POP3)

    def encode(pieces: Pieces) -> bytes:
        encoder = DotEncoder()
        return b"".join([*map(encoder.encode, pieces), encoder.finish()])

    _same_however_cut(encode, message, rng)
    lines = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    stored = lines if not lines or lines.endswith(b"\r\n") else lines + b"\r\n"
    wire = b"\r\n" + encode([message])
    _agree(DotDecoder().decode(wire, 0), (stored, len(wire), True), message)


def writes_any_mail_data(rng: Random) -> None:
    """No mail data ends early, by any reading of line ends; its size is what SIZE was told."""
    message = scrawl(rng, POP3)

    def encode(pieces: Pieces, *, normalise: bool = True) -> bytes:
        return b"".join(encode_blocks(pieces, normalise=normalise))

    _same_however_cut(encode, message, rng)
    _same_however_cut(partial(encode, normalise=False), message, rng)
    _same_however_cut(survey, message, rng)
    data = b"\r\n" + encode([message])
    _agree(TERMINATOR in data, False, message)
    _agree(data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n"), True, message)
    unstuffed = data.replace(b"\r\n.", b"\r\n")
    _agree(survey([message]).octets, len(unstuffed) - 2, message)


# -- SMTP --------------------------------------------------------------------------------------


def reads_any_smtp_reply(rng: Random) -> None:
    """The client's reader gives the same replies however the octets came, or refuses."""

    def read(pieces: Pieces) -> object:
        reader, found = ReplyReader(), list[object]()
        try:
            for piece in pieces:
                reader.feed(piece)
                while (reply := reader.next_reply()) is not None:
                    found.append((reply, reply.words, parse_extensions(reply)))
        except RemoteProtocolError:
            return [*found, _REFUSED]
        return [*found, reader.buffered]

    _same_however_cut(read, scrawl(rng, SMTP, opening=b"250-SIZE 1\r\n"), rng)


# -- header ------------------------------------------------------------------------------------


def reads_any_header(rng: Random) -> None:
    """The scan of a header finds the same however the message came."""

    def read(pieces: Pieces) -> object:
        header = read_header(iter(pieces))
        head = header.head
        return header[1:], find_reverse_path(head), close_header(b"A: b\r\n", head)

    _same_however_cut(read, scrawl(rng, HEADERS, opening=b"To: a\r\n"), rng)


def agrees_with_email(rng: Random) -> None:
    """A well-formed header's Message-ID is what Python's own parser finds."""
    fields = [
        *(b"Subject: message-id: <no@x>", b"X-Message-ID: <no@x>", b"To: a,\r\n b@x"),
        *(b"Message-ID: <1@x>", b"MESSAGE-ID:\t<2@x>", b"message-id:<3@x>", b"Message-Id: "),
    ]
    rng.shuffle(fields)
    line_end = rng.choice((b"\r\n", b"\n"))
    chosen = fields[: rng.randrange(1, len(fields))]
    message = b"\r\n".join([*chosen, b"", b"Message-ID: <body@x>"]).replace(b"\r\n", line_end)
    theirs = email.message_from_bytes(message).get("Message-ID", "")
    ours = read_header(iter(cut(message, rng))).message_id
    _agree(ours, theirs.encode().strip(), message)


# -- configuration -----------------------------------------------------------------------------


def locates_what_tomllib_reads(rng: Random) -> None:
    """Each table, key and item of a TOML text has a place, and there its value stands."""
    text = toml_scrawl(rng)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        syntax_problem(Path("popsync.toml"), text, str(error))
        return
    places, values = locate(text), dict(_walk((), table))
    _agree(set(places), set(values), text)
    for path, place in places.items():
        if place.value_start < place.value_end:
            again = tomllib.loads(f"x = {text[place.value_start : place.value_end]}")["x"]
            _agree(repr(again), repr(values[path]), (text, path))


def _walk(path: TomlPath, value: object) -> Iterator[tuple[TomlPath, object]]:
    """Give every path below, with its value."""
    below: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, Mapping):
        below = iter(value.items())
    elif isinstance(value, list):
        below = iter(enumerate(value))
    for step, inner in below:
        yield (*path, step), inner
        yield from _walk((*path, step), inner)
