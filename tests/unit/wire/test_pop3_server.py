import pytest

from popsync.errors import RemoteProtocolError
from popsync.wire.dots import DotEncoder
from popsync.wire.pop3.replies import Reply
from popsync.wire.pop3.server import (
    CommandReader,
    cut_top,
    encode_message,
    encode_rows,
    listed_octets,
)


def read_all(octets: bytes, *, step: int = 0) -> list[bytes | str]:
    """Give every line, or ``too long`` in the place of one."""
    reader = CommandReader()
    lines: list[bytes | str] = []
    step = step or len(octets)
    for at in range(0, len(octets), step):
        reader.receive_data(octets[at : at + step])
        while True:
            try:
                line = reader.next_line()
            except RemoteProtocolError:
                lines.append("too long")
                continue
            if line is None:
                break
            lines.append(line)
    assert reader.buffered == 0
    return lines


@pytest.mark.parametrize("step", [0, 1, 2, 100])
def test_lines_sent_ahead_come_one_by_one(step: int) -> None:
    """CRLF ends a line, and LF alone."""
    assert read_all(b"USER a\r\nPASS b\nQUIT\r\n\r\n", step=step) == [
        b"USER a",
        b"PASS b",
        b"QUIT",
        b"",
    ]


@pytest.mark.parametrize("step", [0, 1, 255, 256, 1000])
def test_a_line_too_long_is_passed_over_and_the_session_goes_on(step: int) -> None:
    """The tail of it is never taken for a command."""
    long = b"x" * 1000 + b"\r\n"
    fits = b"y" * 253 + b"\r\n"
    wire = fits + long + b"NOOP\r\n" + b"z" * 254 + b"\r\n" + b"QUIT\r\n"
    assert read_all(wire, step=step) == [b"y" * 253, "too long", b"NOOP", "too long", b"QUIT"]


def test_an_endless_line_is_not_kept() -> None:
    """Its octets are let go as they come."""
    reader = CommandReader()
    reader.receive_data(b"x" * 255)
    with pytest.raises(RemoteProtocolError, match="longer than 255") as caught:
        reader.next_line()
    for _ in range(100):
        reader.receive_data(b"x" * 1000)
        assert reader.next_line() is None
        assert reader.buffered == 0

    assert caught.value.evidence == b""


def test_a_response_may_have_a_limit_of_its_own() -> None:
    """A SASL response is longer than a command (RFC 5034 §4)."""
    reader = CommandReader()
    reader.receive_data(b"x" * 1000 + b"\r\nNOOP\r\n")

    assert reader.next_line(max_octets=12288) == b"x" * 1000
    assert reader.buffered == 6


STORED = [
    (b"", b".\r\n"),
    (b"a\n", b"a\r\n.\r\n"),
    (b"a\r\n", b"a\r\n.\r\n"),
    (b"a", b"a\r\n.\r\n"),
    (b"a\r", b"a\r\r\n.\r\n"),
    (b".", b"..\r\n.\r\n"),
    (b".\n..\nx.\r\n.", b"..\r\n...\r\nx.\r\n..\r\n.\r\n"),
    (b"\r\r\n.\n", b"\r\r\n..\r\n.\r\n"),
    (b"a\r.b\n", b"a\r.b\r\n.\r\n"),
    (b"\n\n", b"\r\n\r\n.\r\n"),
]


@pytest.mark.parametrize("step", [1, 2, 3, 100])
@pytest.mark.parametrize(("stored", "wire"), STORED)
def test_a_stored_message_goes_out_stuffed_with_crlf(
    stored: bytes, wire: bytes, step: int
) -> None:
    """LF and CRLF files come out alike, however they were cut."""
    chunks = [stored[at : at + step] for at in range(0, len(stored), step)]

    assert b"".join(encode_message(Reply(True), chunks)) == b"+OK\r\n" + wire


@pytest.mark.parametrize(("stored", "wire"), STORED)
def test_the_listed_size_is_what_a_receiver_counts(stored: bytes, wire: bytes) -> None:
    """Without stuffing and terminator (RFC 1939 §11)."""
    content = wire.removesuffix(b".\r\n").replace(b"\r\n.", b"\r\n").removeprefix(b".")

    assert listed_octets([stored]) == len(content)


def test_rows_go_out_as_a_whole_listing() -> None:
    """Stuffed like anything else."""
    assert encode_rows(Reply(True, "", b"2"), [b"1 a", b".x"]) == b"+OK 2\r\n1 a\r\n..x\r\n.\r\n"
    assert encode_rows(Reply(True), []) == b"+OK\r\n.\r\n"


@pytest.mark.parametrize("step", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("stored", "lines", "top"),
    [
        (b"a: 1\nb: 2\n\nx\ny\n", 0, b"a: 1\nb: 2\n\n"),
        (b"a: 1\nb: 2\n\nx\ny\n", 1, b"a: 1\nb: 2\n\nx\n"),
        (b"a: 1\r\n\r\n\r\nx\r\ny", 2, b"a: 1\r\n\r\n\r\nx\r\n"),
        (b"a: 1\n\nx\ny", 9, b"a: 1\n\nx\ny"),
        (b"a: 1\nb: 2", 0, b"a: 1\nb: 2"),
        (b"\nx\n", 0, b"\n"),
        (b"", 3, b""),
    ],
)
def test_top_is_the_header_and_so_many_lines(
    stored: bytes, lines: int, top: bytes, step: int
) -> None:
    """The blank line between them counts as neither."""
    chunks = [stored[at : at + step] for at in range(0, len(stored), step)]

    assert b"".join(cut_top(chunks, lines)) == top


def test_an_empty_piece_changes_nothing() -> None:
    """Files are read until they give none."""
    encoder = DotEncoder()
    assert encoder.encode(b"") == b""
    assert encoder.finish() == b".\r\n"
    assert encoder.octets == 0
