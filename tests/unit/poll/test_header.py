from collections.abc import Iterator

import pytest

from popsync.model import AccountId, Digest, MessageKey, UniqueId
from popsync.poll.header import (
    MAX_HEADER_OCTETS,
    close_header,
    format_redelivery_mark,
    format_trace,
    parcel_name,
    read_header,
)

TRACE = b"Received: from a by b with POP3S\r\n\tid x\r\n"
KEY = MessageKey(AccountId("jane@example.org"), UniqueId(b"u1"), Digest(b"x" * 32))


def pieces(octets: bytes, size: int) -> Iterator[bytes]:
    """Give ``octets`` in pieces of this size."""
    return (octets[i : i + size] for i in range(0, len(octets), size))


# -- the head ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_the_head_reaches_to_the_empty_line(size: int, line_end: bytes) -> None:
    """No more pieces are read than it takes to see the header whole."""
    message = line_end.join([b"Subject: a", b"Message-ID: <1@x>", b"", b"body"]) * 3
    rest = pieces(message, size)

    head = read_header(rest).head

    assert message.startswith(head)
    assert read_header(iter((head,))).message_id == b"<1@x>"
    assert len(head) + sum(map(len, rest)) == len(message)
    assert len(head) <= message.index(line_end * 2) + len(line_end) * 2 + size


def test_the_head_of_an_empty_message_is_empty() -> None:
    """There are such messages."""
    assert read_header(iter(())).head == b""


def test_a_message_without_an_empty_line_is_all_head() -> None:
    """Up to the limit."""
    assert read_header(pieces(b"Subject: a\r\n", 5)).head == b"Subject: a\r\n"
    assert len(read_header(pieces(b"x" * (MAX_HEADER_OCTETS + 9), 1000)).head) == MAX_HEADER_OCTETS


# -- Message-ID --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "message_id"),
    [
        (b"Message-ID: <1@x>\r\n\r\n", b"<1@x>"),
        (b"Subject: a\r\nmessage-id :<1@x> \r\n\r\n", b"<1@x>"),
        (b"Subject: a\nMESSAGE-ID: <1@x>\n\n", b"<1@x>"),
        (b"Message-ID:\r\n\t<folded@x>\r\n\r\n", b"<folded@x>"),
        (b"Message-ID:\n <folded@x>\n\n", b"<folded@x>"),
        (b"Message-ID: <1@x>\r\nMessage-ID: <2@x>\r\n\r\n", b"<1@x>"),
        (b"Message-ID: <1@x>", b"<1@x>"),
        (b"Message-ID:\r\nSubject: a\r\n\r\n", b""),
        (b"In-Reply-To: <1@x>\r\nX-Message-ID: <2@x>\r\n\r\n", b""),
        (b"Subject: a\r\n\r\nMessage-ID: <body@x>\r\n\r\n", b""),
        (b"Subject: a\n\nMessage-ID: <body@x>\n\n", b""),
        (b"\r\nMessage-ID: <body@x>\r\n\r\n", b""),
        (b"\nMessage-ID: <body@x>\n\n", b""),
        (b"", b""),
    ],
)
def test_the_message_id_is_found_in_the_header_only(head: bytes, message_id: bytes) -> None:
    """The first one, folded or not, whatever the case and the line ends."""
    assert read_header(iter((head,))).message_id == message_id


# -- names -------------------------------------------------------------------------------------


def test_a_parcel_name_is_32_hex_digits_and_always_the_same() -> None:
    """A crash must find the file again under the name that it was given."""
    assert parcel_name(KEY) == parcel_name(KEY)
    assert len(bytes.fromhex(parcel_name(KEY))) == 16


def test_parcel_names_differ_where_messages_do() -> None:
    """Also where two parts run together to the same octets."""
    others = [
        KEY._replace(account=AccountId("joe@example.org")),
        KEY._replace(unique_id=UniqueId(b"u2")),
        KEY._replace(digest=Digest(b"y" * 32)),
        KEY._replace(account=AccountId("jane@example.orgu"), unique_id=UniqueId(b"1")),
    ]

    assert len({parcel_name(key) for key in [KEY, *others]}) == 5


# -- what goes in front ------------------------------------------------------------------------


def test_the_trace_is_one_folded_received_header() -> None:
    """Source, host, protocol, the parcel's name and the account (RFC 5321 §4.4)."""
    trace = format_trace(
        server="pop.example.org",
        hostname="here",
        protocol="POP3S",
        account="jane@example.org",
        parcel="abc",
        received_at=0.0,
    )

    first, second, third, end = trace.split(b"\r\n")
    assert first == b"Received: from pop.example.org by here with POP3S (popsync)"
    assert second == b"\tid abc for <jane@example.org>;"
    assert third.startswith(b"\tThu, 01 Jan 1970")
    assert end == b""


def test_the_mark_says_how_often_it_may_have_come() -> None:
    """One header line."""
    assert format_redelivery_mark(2) == b"X-Popsync-Redelivery: 2\r\n"


@pytest.mark.parametrize(
    "head", [b"Subject: a\r\n\r\nbody", b"X: y", b"A : b\n", b"\r\nbody", b"\nbody", b""]
)
def test_a_header_goes_straight_in_front_of_fields_and_of_the_empty_line(head: bytes) -> None:
    """Nothing but our lines is added (P6)."""
    assert close_header(TRACE, head) == TRACE


@pytest.mark.parametrize(
    "head",
    [b"From jane Thu Jan  1 00:00:00 1970\r\nSubject: a\r\n", b" folded\r\n", b"just text", b":x"],
)
def test_what_is_no_header_does_not_become_part_of_ours(head: bytes) -> None:
    """An empty line keeps an mbox line, a continuation or plain text out of our field (P6)."""
    assert close_header(TRACE, head) == TRACE + b"\r\n"


def test_without_a_header_of_ours_nothing_is_put_in_front() -> None:
    """With the trace switched off the message stays as it came, whatever it is."""
    assert close_header(b"", b"From jane\r\n") == b""
