import pytest

from popsync.errors import LocalProtocolError, RemoteProtocolError
from popsync.model import NAMELESS
from popsync.wire.pop3.capabilities import Capabilities, format_capabilities, parse_capabilities
from popsync.wire.pop3.commands import (
    Command,
    PlainCredentials,
    format_command,
    format_numbered,
    format_plain,
    parse_command,
    parse_plain,
)
from popsync.wire.pop3.replies import (
    MAX_UNIQUE_ID_OCTETS,
    Challenge,
    Reply,
    Totals,
    format_challenge,
    format_status,
    parse_challenge,
    parse_list_row,
    parse_stat,
    parse_status,
    parse_uidl_row,
)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"+OK", Reply(True)),
        (b"+ok  hello ", Reply(True, "", b"hello ")),
        (b"+OK, hello", Reply(True, "", b", hello")),
        (b"-Err", Reply(False)),
        (b"-ERR [in-use] busy", Reply(False, "IN-USE", b"busy")),
        (b"-ERR [SYS/TEMP]", Reply(False, "SYS/TEMP")),
        (b"-ERR [X/Y/Z]text", Reply(False, "X/Y/Z", b"text")),
        (b"-ERR [AUTH password wrong", Reply(False, "", b"[AUTH password wrong")),
        (b"-ERR [A B] x", Reply(False, "", b"[A B] x")),
        (b"-ERR [] x", Reply(False, "", b"[] x")),
        (b"-ERR [\xff] x", Reply(False, "", b"[\xff] x")),
        (b"+OK a\nb\0\x1b[2J\xff", Reply(True, "", b"a\nb\0\x1b[2J\xff")),
    ],
)
def test_a_status_line_is_read_as_servers_write_it(line: bytes, reply: Reply) -> None:
    """Any case, with or without code and text."""
    assert parse_status(line) == reply


@pytest.mark.parametrize(
    "line", [b"", b"OK", b"+", b"+OKAY", b"-ERROR", b" +OK", b"220 x", b"+ OK"]
)
def test_anything_else_is_no_status_line(line: bytes) -> None:
    """A reply is +OK or -ERR."""
    with pytest.raises(RemoteProtocolError, match="neither"):
        parse_status(line)


def test_a_status_line_is_written_with_and_without_its_parts() -> None:
    """No blank is left at the end."""
    assert format_status(Reply(True)) == b"+OK\r\n"
    assert format_status(Reply(False, "IN-USE", b"busy")) == b"-ERR [IN-USE] busy\r\n"


def test_an_empty_challenge_keeps_its_blank() -> None:
    """RFC 5034 §4 has a blank after the plus, readers do without."""
    assert format_challenge(Challenge(b"")) == b"+ \r\n"
    assert parse_challenge(b"+") == Challenge(b"") == parse_challenge(b"+ ")
    assert parse_challenge(b"+OK") is None


@pytest.mark.parametrize(
    ("text", "totals"),
    [
        (b"0 0", Totals(0, 0)),
        (b"3 120", Totals(3, 120)),
        (b"3  120 deleted 1", Totals(3, 120)),
        (b"2 16106127360", Totals(2, 16106127360)),
    ],
)
def test_stat_is_read(text: bytes, totals: Totals) -> None:
    """Words after the numbers do not matter; a maildrop may hold more than 10 GB."""
    assert parse_stat(text) == totals


@pytest.mark.parametrize(
    "text",
    [b"", b"3", b"x 1", b"-1 2", b"1.5 2", b"1 2x", b"1" * 11 + b" 2", "٣ ٣".encode(), b"1_0 2"],
)
def test_what_is_no_number_never_becomes_one(text: bytes) -> None:
    """Signs, fractions, other scripts' digits and endless digits are refused."""
    with pytest.raises(RemoteProtocolError):
        parse_stat(text)
    with pytest.raises(RemoteProtocolError):
        parse_list_row(text)


@pytest.mark.parametrize(
    ("row", "number", "unique_id"),
    [
        (b"1 abc", 1, b"abc"),
        (b"007 \t  abc", 7, b"abc"),
        (b"1 a b ", 1, b"a b "),
        (b"1 \xff\x01\x7f", 1, b"\xff\x01\x7f"),
        (b"1 a/b\"'", 1, b"a/b\"'"),
        (b"1 " + b"u" * MAX_UNIQUE_ID_OCTETS, 1, b"u" * MAX_UNIQUE_ID_OCTETS),
    ],
)
def test_a_unique_id_is_all_octets_after_the_first_blanks(
    row: bytes, number: int, unique_id: bytes
) -> None:
    """What servers send is kept as it is."""
    assert parse_uidl_row(row) == (number, unique_id)


@pytest.mark.parametrize(
    "row",
    [
        b"1",
        b"1 ",
        b"1 \t ",
        b"1 a\0b",
        b"1 a\rb",
        b"1 a\nb",
        b"1 " + b"u" * (MAX_UNIQUE_ID_OCTETS + 1),
    ],
)
def test_a_unique_id_that_cannot_be_used_is_none(row: bytes) -> None:
    """Blank ones, long ones, and those that hold a line end or NUL, name nothing."""
    assert parse_uidl_row(row) == (1, NAMELESS)


@pytest.mark.parametrize("row", [b"", b"1a b", b"x a", b"-ERR gone"])
def test_a_row_without_a_number_is_refused(row: bytes) -> None:
    """Nobody knows which message it is about."""
    with pytest.raises(RemoteProtocolError):
        parse_uidl_row(row)


def test_capabilities_are_read_in_any_case_and_spacing() -> None:
    """The first of two rows with one tag counts, odd ones are passed over."""
    rows = [
        b"top",
        b"  Pipelining  ",
        b"SASL PLAIN  login PLAIN",
        b"SASL CRAM-MD5",
        b"LOGIN-DELAY 900",
        b"EXPIRE never USER",
        b"",
        b"X-\xff\0 y",
        b"IMPLEMENTATION Some Server 1.0",
    ]
    assert parse_capabilities(rows) == Capabilities(
        pipelining=True,
        top=True,
        sasl=("PLAIN", "LOGIN"),
        login_delay_s=900,
        expire="NEVER",
        implementation="Some Server 1.0",
    )


@pytest.mark.parametrize(
    "row", [b"LOGIN-DELAY", b"LOGIN-DELAY x", b"LOGIN-DELAY -1", b"LOGIN-DELAY 1.5"]
)
def test_a_login_delay_that_is_no_number_is_none(row: bytes) -> None:
    """A capability is a hint, never a reason to fail."""
    assert parse_capabilities([row]) == Capabilities()


def test_capabilities_are_written_one_a_row() -> None:
    """In the order of the RFCs' tags."""
    told = Capabilities(uidl=True, stls=True, sasl=("PLAIN",), login_delay_s=1, expire="0")
    assert format_capabilities(told) == (
        b"STLS",
        b"UIDL",
        b"SASL PLAIN",
        b"LOGIN-DELAY 1",
        b"EXPIRE 0",
    )


def test_a_password_is_sent_verbatim() -> None:
    """Blanks belong to it, and so does none at all."""
    assert format_command(Command("PASS", b" a b ")) == b"PASS  a b \r\n"
    assert parse_command(b"PASS  a b ") == Command("PASS", b" a b ")
    assert format_command(Command("PASS")) == b"PASS \r\n"
    assert format_command(Command("CAPA")) == b"CAPA\r\n"


@pytest.mark.parametrize(
    "secret", [b"hunter2\r\nDELE 1", b"hunter2\n", b"hunter2\0", b"hunter2" * 40]
)
def test_an_argument_that_cannot_travel_is_refused_and_not_quoted(secret: bytes) -> None:
    """Nothing may smuggle a command, and no error shows a password (P7)."""
    with pytest.raises(LocalProtocolError) as caught:
        format_command(Command("PASS", secret))

    assert "hunter2" not in str(caught.value)


def test_a_command_of_255_octets_is_allowed_and_one_more_is_not() -> None:
    """The limit counts CRLF (RFC 2449 §4)."""
    assert len(format_command(Command("PASS", b"x" * 248))) == 255
    with pytest.raises(LocalProtocolError, match="longer"):
        format_command(Command("PASS", b"x" * 249))


def test_numbered_commands_come_in_one_piece() -> None:
    """One write for many."""
    assert format_numbered("RETR", [1, 20]) == b"RETR 1\r\nRETR 20\r\n"


@pytest.mark.parametrize(
    "line", [b"", b"A", b" CAPA", b"RETR\t1", b"TOOLONGWORD", b"USER a\0", b"12 3"]
)
def test_what_is_no_command_is_refused_without_evidence(line: bytes) -> None:
    """It may be a mistyped password."""
    with pytest.raises(RemoteProtocolError) as caught:
        parse_command(line)

    assert caught.value.evidence == b""


def test_plain_credentials_are_read_back() -> None:
    """User and password may hold any text but NUL."""
    credentials = PlainCredentials("jané", "pä ss", "boss")
    assert parse_plain(format_plain(credentials)) == credentials
    assert format_plain(PlainCredentials("tim", "tanstaaftanstaaf")) == (
        b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"
    )


@pytest.mark.parametrize("response", [b"*", b"!!!!", b"YQ==", b"YQBi", b"/////w==", b"AGEAYgBj"])
def test_what_is_not_plain_is_refused_without_evidence(response: bytes) -> None:
    """Not base64, not UTF-8, or not three fields."""
    with pytest.raises(RemoteProtocolError, match="AUTH PLAIN") as caught:
        parse_plain(response)

    assert caught.value.evidence == b""


def test_nul_cannot_travel_in_plain() -> None:
    """It separates the fields."""
    with pytest.raises(LocalProtocolError, match="NUL"):
        format_plain(PlainCredentials("a", "b\0c"))
