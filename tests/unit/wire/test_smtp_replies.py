import pytest

from popsync.errors import RemoteProtocolError
from popsync.wire.smtp.extensions import Extensions, parse_extensions
from popsync.wire.smtp.replies import MAX_LINE_OCTETS, MAX_LINES, Reply, ReplyReader


def read_replies(*pieces: bytes) -> list[Reply]:
    """Feed ``pieces`` and give all replies."""
    reader = ReplyReader()
    replies = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"220 ready\r\n", Reply(220, None, (b"ready",))),
        (b"250\r\n", Reply(250, None, (b"",))),
        (b"250 \r\n", Reply(250, None, (b"",))),
        (b"250-a\r\n250-\r\n250 b\r\n", Reply(250, None, (b"a", b"", b"b"))),
        (b"250-a\r\n250\r\n", Reply(250, None, (b"a", b""))),
        (b"250 2.1.5 ok\r\n", Reply(250, "2.1.5", (b"2.1.5 ok",))),
        (b"550 5.1.1\r\n", Reply(550, "5.1.1", (b"5.1.1",))),
        (b"550 4.1.1 odd\r\n", Reply(550, None, (b"4.1.1 odd",))),
        (b"250 2.1.5.9 ok\r\n", Reply(250, None, (b"2.1.5.9 ok",))),
        (b"334 VXNlcg==\r\n", Reply(334, None, (b"VXNlcg==",))),
        (b"250 \xff\x00\r\n", Reply(250, None, (b"\xff\x00",))),
    ],
)
def test_a_whole_reply_is_read(octets: bytes, reply: Reply) -> None:
    """Code, enhanced code and texts come out; an enhanced code of another class does not."""
    assert read_replies(octets) == [reply]


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b"25\r\n",
        b"2500 ok\r\n",
        b"099 ok\r\n",
        b"199 ok\r\n",
        b"600 ok\r\n",
        b"abc ok\r\n",
        b"25x ok\r\n",
        b" 250 ok\r\n",
        b"250_ok\r\n",
        b"250\tok\r\n",
        b"\xb2\xb5\xb0 ok\r\n",
        b"250 ok\n",
        b"250 a\rb\r\n",
        b"250 ok\r\r\n",
        b"250-a\r\n550 b\r\n",
        b"250-" + b"x" * MAX_LINE_OCTETS,
        b"250-more\r\n" * (MAX_LINES + 1),
        b"220 " + b"x" * 3_000_000 + b"\r\n",
    ],
)
def test_what_is_no_reply_breaks_the_protocol(octets: bytes) -> None:
    """No guess is made, and evidence is kept within its bounds."""
    with pytest.raises(RemoteProtocolError) as caught:
        read_replies(octets)

    assert len(caught.value.evidence) <= 80


def test_a_reply_may_be_as_long_as_the_limits_allow() -> None:
    """The limits are inclusive."""
    line = b"250-" + b"x" * (MAX_LINE_OCTETS - 6) + b"\r\n"

    (reply,) = read_replies(line * (MAX_LINES - 1) + b"250 end\r\n")

    assert len(reply.lines) == MAX_LINES


def test_replies_that_arrive_together_come_out_one_by_one() -> None:
    """What follows a reply stays for the next, and counts as buffered until then."""
    reader = ReplyReader()
    reader.feed(b"250 a\r\n354 b\r\n2")

    assert [reader.next_reply(), reader.next_reply(), reader.next_reply()] == [
        Reply(250, None, (b"a",)),
        Reply(354, None, (b"b",)),
        None,
    ]
    assert reader.buffered


def test_half_a_reply_counts_as_buffered() -> None:
    """Also when its first lines are taken already."""
    reader = ReplyReader()
    assert not reader.buffered

    reader.feed(b"250-a\r\n")

    assert reader.next_reply() is None
    assert reader.buffered


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        (250, (True, False, False)),
        (354, (False, False, False)),
        (421, (False, True, False)),
        (550, (False, False, True)),
    ],
)
def test_a_code_is_of_one_kind(code: int, kinds: tuple[bool, bool, bool]) -> None:
    """2yz, 4yz and 5yz exclude each other; 3yz is none of them."""
    reply = Reply(code, None, (b"",))

    assert (reply.accepted, reply.deferred, reply.rejected) == kinds


def test_words_are_one_safe_line() -> None:
    """A server cannot forge a log line or steer a terminal."""
    reply = Reply(550, None, (b"go \x1b[31maway", b"now"))

    assert reply.words == r"550 go \x1b[31maway / now"


@pytest.mark.parametrize(
    ("lines", "offered"),
    [
        ((b"mx",), Extensions()),
        (
            (b"mx", b"PIPELINING", b"8bitmime", b"SMTPUTF8", b"STARTTLS", b"DSN"),
            Extensions(True, None, True, True, True, True),
        ),
        ((b"mx", b"SIZE 1000"), Extensions(size=1000)),
        ((b"mx", b"SIZE"), Extensions(size=0)),
        ((b"mx", b"SIZE 0"), Extensions(size=0)),
        ((b"mx", b"SIZE many"), Extensions(size=0)),
        ((b"mx", b"SIZE -5"), Extensions(size=0)),
        ((b"mx", b"SIZE 1 2"), Extensions(size=0)),
        ((b"mx", b"SIZE " + b"9" * 21), Extensions(size=0)),
        ((b"mx", b"AUTH PLAIN login"), Extensions(auth=frozenset({"PLAIN", "LOGIN"}))),
        ((b"mx", b"AUTH=PLAIN", b"AUTH LOGIN"), Extensions(auth=frozenset({"PLAIN", "LOGIN"}))),
        ((b"mx", b"", b"  ", b"\xff\xfe", b"X-OWN 1"), Extensions()),
        ((b"PIPELINING",), Extensions()),
    ],
)
def test_extensions_are_read_from_the_lines_after_the_first(
    lines: tuple[bytes, ...], offered: Extensions
) -> None:
    """What is unknown or malformed counts as not offered; a bad SIZE as no limit."""
    assert parse_extensions(Reply(250, None, lines)) == offered
