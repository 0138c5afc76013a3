import pytest

from popsync.errors import MAX_EVIDENCE_OCTETS, RemoteProtocolError
from popsync.wire.pop3.client import (
    MAX_CAPABILITIES,
    MAX_LINE_OCTETS,
    Body,
    Event,
    Pop3ClientCodec,
    ReplyKind,
    Rows,
)
from popsync.wire.pop3.replies import Challenge, Reply

LINE, BODY, LISTING = ReplyKind.LINE, ReplyKind.BODY, ReplyKind.LISTING


def decode(octets: bytes, *kinds: ReplyKind, step: int = 0, max_listed: int = 10) -> list[Event]:
    """Give all events of ``octets``, fed ``step`` octets at a time (0: at once)."""
    codec = Pop3ClientCodec(max_listed=max_listed)
    codec.expect(*kinds)
    events = []
    step = step or len(octets)
    for at in range(0, len(octets), step):
        codec.receive_data(octets[at : at + step])
        while (event := codec.next_event()) is not None:
            events.append(event)
    return events


def body(*events: Event) -> bytes:
    """Give the message that pieces make up; the last one must end it."""
    pieces = [event for event in events if isinstance(event, Body)]
    assert len(pieces) == len(events)
    assert [piece.ended for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    return b"".join(piece.octets for piece in pieces)


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7])
@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n..\r\n...\r\n.\r\n", b".a\r\n.\r\n..\r\n"),
        (b"\r\n..\r\n.\r\n", b"\r\n.\r\n"),
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
        (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n"),
        (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n"),
        (b"a\r\r\n.\r\n", b"a\r\r\n"),
        (b"a\r\n\r\r\n.\r\n", b"a\r\n\r\r\n"),
        (b"a\n\r\n.\r\n", b"a\n\r\n"),
        (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n"),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n"),
        (b"\0\xff\r\n.\r\n", b"\0\xff\r\n"),
        (b"+OK\r\n-ERR\r\n.\r\n", b"+OK\r\n-ERR\r\n"),
    ],
)
def test_only_crlf_dot_crlf_ends_a_message(wire: bytes, content: bytes, step: int) -> None:
    """Line ends stay as they came, one stuffed dot goes, whatever the cuts."""
    assert body(*decode(b"+OK\r\n" + wire, BODY, step=step)) == content


def test_a_message_in_hand_is_one_piece() -> None:
    """Nothing is copied together afterwards."""
    assert decode(b"+OK 3 octets\r\na\r\n.\r\n", BODY) == [Body(b"a\r\n", True)]


def test_a_message_without_end_passes_through_and_is_not_kept() -> None:
    """What is held back is less than a terminator."""
    codec = Pop3ClientCodec()
    codec.expect(BODY)
    codec.receive_data(b"+OK\r\n")
    for _ in range(100):
        codec.receive_data(b"x" * 10_000)
        assert codec.next_event() == Body(b"x" * 10_000, False)
        assert codec.next_event() is None
        assert codec.buffered < 5


def test_replies_come_in_the_order_they_were_asked_for() -> None:
    """A window of commands is answered by a run of replies."""
    wire = b"+OK\r\na\r\n.\r\n-ERR [SYS/TEMP] later\r\n+OK\r\n1 2\r\n.\r\n+OK bye\r\n"

    assert decode(wire, BODY, BODY, LISTING, LINE) == [
        Body(b"a\r\n", True),
        Reply(False, "SYS/TEMP", b"later"),
        Rows((b"1 2",)),
        Reply(True, "", b"bye"),
    ]


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("wire", "rows"),
    [
        (b".\r\n", ()),
        (b"1 a\r\n2 b\r\n.\r\n", (b"1 a", b"2 b")),
        (b"..1\r\n\r\n1 \n\r\n.\r\n", (b".1", b"", b"1 \n")),
    ],
)
def test_a_listing_comes_whole(wire: bytes, rows: tuple[bytes, ...], step: int) -> None:
    """Rows are unstuffed and without their ends."""
    assert decode(b"+OK\r\n" + wire, LISTING, step=step) == [Rows(rows)]


def test_a_refused_listing_or_message_is_one_line() -> None:
    """After -ERR nothing more belongs to it."""
    assert decode(b"-ERR no\r\n-err\r\n", LISTING, BODY) == [
        Reply(False, "", b"no"),
        Reply(False),
    ]


def test_a_challenge_is_told_apart_from_a_verdict() -> None:
    """AUTH is answered by either."""
    wire = b"+ \r\n+\r\n+ Zm9v\r\n+OK in\r\n-ERR [AUTH] no\r\n"
    assert decode(wire, *[ReplyKind.CHALLENGE] * 5) == [
        Challenge(b""),
        Challenge(b""),
        Challenge(b"Zm9v"),
        Reply(True, "", b"in"),
        Reply(False, "AUTH", b"no"),
    ]


@pytest.mark.parametrize(
    ("wire", "kind", "rule"),
    [
        (b"* OK IMAP\r\n", LINE, "neither"),
        (b"\r\n", LINE, "neither"),
        (b"+OKAY\r\n", LINE, "neither"),
        (b"+ \r\n", LINE, "neither"),
        (b"\n", LINE, "LF without CR"),
        (b"+OK" + b"x" * MAX_LINE_OCTETS, LINE, "line is too long"),
        (b"+OK\r\n" + b"1 2\r\n" * 12, LISTING, "more than 10 rows"),
        (b"+OK\r\n" + b"x" * (MAX_LINE_OCTETS + 1), LISTING, "row is too long"),
        (b"+OK\r\n" + b"x" * (MAX_LINE_OCTETS + 1) + b"\r\n.\r\n", LISTING, "row is too long"),
    ],
)
@pytest.mark.parametrize("step", [0, 1000])
def test_what_breaks_a_rule_or_a_limit_raises_with_little_evidence(
    wire: bytes, kind: ReplyKind, rule: str, step: int
) -> None:
    """The limits hold before anything large is kept."""
    with pytest.raises(RemoteProtocolError, match=rule) as caught:
        decode(wire, kind, step=step)

    assert len(caught.value.evidence) <= MAX_EVIDENCE_OCTETS


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7])
def test_a_server_of_bare_line_feeds_is_read_as_one_of_crlf(step: int) -> None:
    """Every LF stands for a CRLF, and nothing else changes; only LF.LF ends a message."""
    wire = b"+OK hi\n+OK\n1 a\n2 b\n.\n+OK\n..x\r\n\r\n.\r\n..\n\n.\n-ERR no\n"
    events = decode(wire, LINE, LISTING, BODY, LINE, step=step)

    assert events[0] == Reply(True, "", b"hi")
    assert events[1] == Rows((b"1 a", b"2 b"))
    assert body(*events[2:-1]) == b".x\r\r\n\r\r\n\r\r\n.\r\n\r\n"
    assert events[-1] == Reply(False, "", b"no")


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize(
    ("wire", "rule"),
    [
        (b"+OK hi\r\n+OK\n", "ends in LF without CR"),
        (b"+OK hi\n+OK\r\n", "ends in CRLF, the first in LF"),
    ],
)
def test_a_server_may_not_change_its_line_ends(wire: bytes, rule: str, step: int) -> None:
    """Else what ends a message could be either, and who wrote the message would choose."""
    with pytest.raises(RemoteProtocolError, match=rule):
        decode(wire, LINE, LINE, step=step)


def test_capabilities_have_a_limit_of_their_own() -> None:
    """Whatever listings may be like."""
    rows = b"X\r\n" * MAX_CAPABILITIES
    wire = b"+OK\r\n%b.\r\n"
    kind = ReplyKind.CAPABILITIES

    assert decode(wire % rows, kind, max_listed=1000) == [Rows((b"X",) * MAX_CAPABILITIES)]
    with pytest.raises(RemoteProtocolError, match="more than 64 rows"):
        decode(wire % (rows + b"X\r\n"), kind, max_listed=1000)


def test_a_listing_has_a_limit_in_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many long rows cannot fill the memory."""
    monkeypatch.setattr("popsync.wire.pop3.client.MAX_LISTING_OCTETS", 20)
    with pytest.raises(RemoteProtocolError, match="more than 20 octets"):
        decode(b"+OK\r\n" + b"1 2345678\r\n" * 3, LISTING)


def test_octets_that_no_command_asked_for_stop_the_next_command() -> None:
    """A reply hidden in an unstuffed message never answers another command."""
    codec = Pop3ClientCodec()
    codec.expect(BODY)
    codec.receive_data(b"+OK\r\na\r\n.\r\n+OK forged\r\n")
    assert codec.next_event() == Body(b"a\r\n", True)
    assert codec.next_event() is None

    assert (codec.buffered, codec.awaited) == (12, 0)
    with pytest.raises(RemoteProtocolError, match="no command asked for: \\+OK forged"):
        codec.expect(BODY)


def test_while_replies_are_due_more_may_be_announced() -> None:
    """A window is refilled before its replies are all in."""
    codec = Pop3ClientCodec()
    codec.expect(LINE)
    codec.receive_data(b"+OK 1\r\n+OK 2\r\n")
    codec.expect(LINE)

    assert codec.awaited == 2
    assert [codec.next_event(), codec.next_event()] == [
        Reply(True, "", b"1"),
        Reply(True, "", b"2"),
    ]
