"""What holds for POP3's codec whatever comes in."""

import io
import poplib
import socket
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from popsync.errors import ProtocolError, RemoteProtocolError
from popsync.model import MessageNumber, UniqueId
from popsync.wire.dots import DotEncoder
from popsync.wire.pop3.capabilities import Capabilities, format_capabilities, parse_capabilities
from popsync.wire.pop3.client import Body, Event, Pop3ClientCodec, ReplyKind, Rows
from popsync.wire.pop3.commands import (
    Command,
    PlainCredentials,
    format_command,
    format_plain,
    parse_command,
    parse_plain,
)
from popsync.wire.pop3.replies import (
    Challenge,
    ListRow,
    Reply,
    Totals,
    UidlRow,
    format_challenge,
    format_list_row,
    format_stat,
    format_status,
    format_uidl_row,
    parse_challenge,
    parse_list_row,
    parse_stat,
    parse_status,
    parse_uidl_row,
)
from popsync.wire.pop3.server import CommandReader, encode_message, encode_rows, listed_octets

numbers = st.integers(1, 10**10 - 1).map(MessageNumber)
octet_counts = st.integers(0, 10**18 - 1)
codes = st.from_regex(r"[A-Z][A-Z/-]{0,20}", fullmatch=True)
texts = st.binary(max_size=60).filter(
    lambda text: not {10, 13} & {*text} and text[:1] not in (b" ", b"\t", b"[")
)
unique_ids = st.binary(min_size=1, max_size=80).filter(
    lambda name: not {0, 10, 13} & {*name} and name[:1] not in (b" ", b"\t")
)
awkward = st.lists(
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"+OK", b"-ERR ", b" 1", b"\0\xff"]
    ),
    max_size=40,
).map(b"".join)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
cuts = st.lists(st.integers(1, 9), min_size=1, max_size=20)


def pieces(octets: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut ``octets`` into pieces of these sizes, over and over."""
    result, at, turn = [], 0, 0
    while at < len(octets):
        size = sizes[turn % len(sizes)]
        result.append(octets[at : at + size])
        at, turn = at + size, turn + 1
    return result


def outcome(chunks: Sequence[bytes], kinds: Sequence[ReplyKind]) -> list[Event | str]:
    """Give all events, pieces of one message joined, and the rule that was broken at last."""
    codec = Pop3ClientCodec(max_listed=20)
    codec.expect(*kinds)
    events: list[Event | str] = []
    for chunk in chunks:
        codec.receive_data(chunk)
        try:
            while (event := codec.next_event()) is not None:
                append(events, event)
        except RemoteProtocolError as error:
            return [*events, error.rule]
    return events


def append(events: list[Event | str], event: Event) -> None:
    """Add ``event``, joining it to a message that is not ended."""
    last = events[-1] if events else None
    if isinstance(event, Body) and isinstance(last, Body) and not last.ended:
        events[-1] = Body(last.octets + event.octets, event.ended)
    else:
        events.append(event)


@given(st.booleans(), st.just("") | codes, texts)
def test_status_lines_come_back(ok: bool, code: str, text: bytes) -> None:
    """Formatting, then parsing, is the identity."""
    reply = Reply(ok, code, text)
    assert parse_status(format_status(reply)[:-2]) == reply


@given(numbers, octet_counts, unique_ids)
def test_rows_and_totals_come_back(number: MessageNumber, octets: int, name: bytes) -> None:
    """Formatting, then parsing, is the identity."""
    uidl_row = UidlRow(number, UniqueId(name))
    list_row = ListRow(number, octets)
    totals = Totals(number, octets)

    assert parse_uidl_row(format_uidl_row(uidl_row)) == uidl_row
    assert parse_list_row(format_list_row(list_row)) == list_row
    assert parse_stat(format_stat(totals)) == totals


@given(st.from_regex(rb"[A-Za-z0-9+/=]{0,40}", fullmatch=True))
def test_challenges_come_back(octets: bytes) -> None:
    """Formatting, then parsing, is the identity."""
    challenge = Challenge(octets)
    assert parse_challenge(format_challenge(challenge)[:-2]) == challenge


@given(
    st.from_regex(r"[A-Z]{3,8}", fullmatch=True),
    st.binary(max_size=240).filter(lambda argument: not {0, 10, 13} & {*argument}),
)
def test_commands_come_back(keyword: str, argument: bytes) -> None:
    """Formatting, then reading and parsing, is the identity."""
    command = Command(keyword, argument)
    reader = CommandReader()
    reader.receive_data(format_command(command))
    line = reader.next_line()

    assert line is not None
    assert parse_command(line) == command


@given(words, words, words)
def test_credentials_come_back(user: str, password: str, authorization: str) -> None:
    """Formatting, then parsing, is the identity."""
    credentials = PlainCredentials(user, password, authorization)
    assert parse_plain(format_plain(credentials)) == credentials


@given(
    st.builds(
        Capabilities,
        pipelining=st.booleans(),
        stls=st.booleans(),
        uidl=st.booleans(),
        user=st.booleans(),
        sasl=st.lists(st.sampled_from(["PLAIN", "LOGIN", "XOAUTH2"]), unique=True).map(tuple),
        login_delay_s=st.integers(0, 10**9 - 1),
        expire=st.sampled_from(["", "NEVER", "0", "30"]),
        implementation=st.sampled_from(["", "a", "a b"]),
    )
)
def test_capabilities_come_back(told: Capabilities) -> None:
    """Formatting, then parsing, is the identity."""
    assert parse_capabilities(format_capabilities(told)) == told


@given(awkward | st.binary(max_size=200), cuts, st.lists(st.sampled_from(ReplyKind), max_size=5))
def test_any_octets_cut_anyhow_give_the_same_events_and_nothing_but_protocol_errors(
    octets: bytes, sizes: list[int], kinds: list[ReplyKind]
) -> None:
    """How reads fall never changes what was read, and no input breaks the codec."""
    for wire in (octets, b"+OK\r\n" + octets):
        assert outcome(pieces(wire, sizes), kinds) == outcome([wire] if wire else [], kinds)


@given(st.lists(awkward, max_size=5), cuts)
def test_what_the_server_half_sends_the_client_half_reads(
    stored: list[bytes], sizes: list[int]
) -> None:
    """A message comes out with CRLF ends, as long as LIST says."""
    wire = b"".join(b"".join(encode_message(Reply(True), [message])) for message in stored)
    events = outcome(pieces(wire, sizes), [ReplyKind.BODY] * len(stored))

    assert [len(e.octets) for e in events if isinstance(e, Body)] == [
        listed_octets([message]) for message in stored
    ]
    for event, message in zip(events, stored, strict=True):
        lines = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        end = b"" if not lines or lines.endswith(b"\n") else b"\r\n"
        assert event == Body(lines + end, True)


@given(awkward, cuts)
def test_stuffing_does_not_depend_on_the_cuts(stored: bytes, sizes: list[int]) -> None:
    """A file may be read in pieces of any size."""
    whole, cut = DotEncoder(), DotEncoder()
    expected = whole.encode(stored) + whole.finish()
    given_out = b"".join([cut.encode(piece) for piece in pieces(stored, sizes)]) + cut.finish()

    assert given_out == expected
    assert cut.octets == whole.octets


@given(st.lists(texts, max_size=10), cuts)
def test_listings_come_back(rows: list[bytes], sizes: list[int]) -> None:
    """What one half lists the other reads."""
    wire = encode_rows(Reply(True), rows)
    assert outcome(pieces(wire, sizes), [ReplyKind.LISTING]) == [Rows(tuple(rows))]


@given(st.binary(max_size=600), cuts)
def test_no_client_breaks_the_command_reader(octets: bytes, sizes: list[int]) -> None:
    """Garbage is refused, line by line."""
    reader = CommandReader()
    for piece in pieces(octets, sizes):
        reader.receive_data(piece)
        line: bytes | None = b""
        while line is not None:
            try:
                line = reader.next_line(max_octets=20)
                parse_command(line or b"NOOP")
            except ProtocolError:
                continue
        assert reader.buffered < 20


class Replayed(poplib.POP3):
    """The standard library's client on canned octets."""

    canned = b""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return _Canned(self.canned)  # type: ignore[return-value]


class _Canned:
    """Just enough of a socket for poplib."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, mode: str) -> io.BytesIO:
        """Give the octets as a file."""
        return io.BytesIO(self._octets)

    def sendall(self, octets: bytes) -> None:
        """Let a command go nowhere."""

    def shutdown(self, how: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@given(st.lists(texts, max_size=20))
def test_well_formed_messages_are_read_as_poplib_reads_them(lines: list[bytes]) -> None:
    """Client and server share this code; a stranger must agree with it."""
    message = b"".join(line + b"\r\n" for line in lines)
    wire = b"".join(encode_message(Reply(True, "", b"message"), [message]))
    Replayed.canned = b"+OK hello\r\n" + wire

    _, theirs, octets = Replayed("nowhere").retr(1)
    assert b"".join(line + b"\r\n" for line in theirs) == message
    assert octets == listed_octets([message])
    assert outcome([wire], [ReplyKind.BODY]) == [Body(message, True)]
