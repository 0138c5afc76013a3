import pytest

from popsync.errors import (
    ConnectFailed,
    DeadlineExceeded,
    LoginDelayed,
    MaildropError,
    MaildropLocked,
    PeerClosed,
    PipeliningWithdrawn,
    PopsyncError,
    RemoteProtocolError,
    ServerRefused,
    ServerUnavailable,
    StreamError,
)
from popsync.maildrop.opening import connect_maildrop, open_maildrop
from popsync.maildrop.session import Pop3Maildrop
from popsync.net.replay import ReplayStream
from popsync.net.tls import TlsOptions
from tests.doubles.pop3_script import ScriptedServer, Talk
from tests.unit.maildrop.sessions import (
    CAPA,
    HASTY_S,
    PASSWORD,
    PIPELINING,
    hasty,
    make_settings,
    serve_login,
)


async def fail_to_open(*steps: bytes | Exception, **changes: object) -> PopsyncError:
    """Play ``steps``; demand an error, a closed connection and no word about the login."""
    stream = ReplayStream(steps)
    with pytest.raises(PopsyncError) as caught:
        await open_maildrop(stream, make_settings(None, **changes), lock_step=False)
    assert stream.closed
    assert b"USER" not in stream.written
    assert b"AUTH" not in stream.written
    return caught.value


async def open_with(*steps: bytes, lock_step: bool = False, **changes: object) -> Pop3Maildrop:
    """Play ``steps`` and log in."""
    return await open_maildrop(
        ReplayStream(steps), make_settings(None, **changes), lock_step=lock_step
    )


# -- greeting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting",
    [
        b"+OK\r\n",
        b"+ok ready\r\n",
        b"+OK POP3 <1896.697170952@dbc.mtview.ca.us>\r\n",
        b"+OK \xff\x00\x1b[2J\r\n",
        b"+OK " + b"<" * 4000 + b"\r\n",
    ],
)
async def test_any_greeting_that_begins_with_ok_is_taken(greeting: bytes) -> None:
    """What follows the indicator is for people."""
    await open_with(greeting, CAPA, b"+OK\r\n", b"+OK\r\n", CAPA)


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"-ERR [IN-USE] another session\r\n", MaildropLocked),
        (b"-ERR [LOGIN-DELAY] 900 s\r\n", LoginDelayed),
        (b"-ERR [SYS/TEMP] try later\r\n", ServerUnavailable),
        (b"-ERR [sys/perm] call us\r\n", ServerRefused),
        (b"-ERR [SYS/PERM/DISK] call us\r\n", ServerRefused),
        (b"-ERR [AUTH] what\r\n", ServerUnavailable),
        (b"-ERR [X/Y] what\r\n", ServerUnavailable),
        (b"-ERR [unclosed\r\n", ServerUnavailable),
        (b"-ERR busy\r\n", ServerUnavailable),
        (b"-ERR\r\n", ServerUnavailable),
    ],
)
async def test_a_greeting_that_refuses_is_never_about_the_password(
    greeting: bytes, kind: type[MaildropError]
) -> None:
    """Nothing was said about a login yet, so none was rejected."""
    error = await fail_to_open(greeting)

    assert type(error) is kind
    assert "the connection was refused" in str(error)


@pytest.mark.parametrize(
    ("opening", "words"),
    [
        (b"220 mx.example.org ESMTP\r\n", "an SMTP or FTP server"),
        (b"* OK IMAP4rev1 ready\r\n", "an IMAP server"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a web server"),
        (b"<html>\r\n", "a web server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server"),
        (b"SSH-2.0-OpenSSH_9.2\n", "an SSH server"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "should tls be 'implicit'"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "should tls be 'implicit'"),
        (b"\x16\x03\x01\x00\x05hello\r\n", "should tls be 'implicit'"),
    ],
)
async def test_another_protocol_is_called_by_its_name(opening: bytes, words: str) -> None:
    """Whoever took the wrong port learns what answers there."""
    error = await fail_to_open(opening)

    assert isinstance(error, RemoteProtocolError)
    assert words in str(error)


async def test_another_protocol_that_waits_without_ending_its_line_is_named_too() -> None:
    """It does not have to close before it is recognised."""
    error = await fail_to_open(b"* OK IMAP4", DeadlineExceeded("replay:110: silent for 30 s"))

    assert "an IMAP server" in str(error)


async def test_octets_one_by_one_still_tell_the_protocol() -> None:
    """The opening is what came first, however it was cut up."""
    error = await fail_to_open(*(bytes([octet]) for octet in b"SSH-2.0-x\r\n"))

    assert "an SSH server" in str(error)


@pytest.mark.parametrize(
    "garbage", [b"\x00\xff\x07\r\n", b"hello\r\n", b"\r\n", b"+OKAY\r\n", b"A" * 5000]
)
async def test_garbage_is_a_broken_rule_with_harmless_evidence(garbage: bytes) -> None:
    """What is shown of it is short and printable."""
    error = await fail_to_open(garbage)

    assert isinstance(error, RemoteProtocolError)
    assert str(error).isprintable()
    assert len(str(error)) < 300


async def test_an_endless_greeting_ends_at_the_longest_line() -> None:
    """A megabyte without a line end is not kept."""
    stream = ReplayStream([b"+OK" + b"x" * 1000] * 1000)
    with pytest.raises(RemoteProtocolError, match="line is too long"):
        await open_maildrop(stream, make_settings(), lock_step=False)
    assert await stream.read(timeout_s=1)  # most of it was never read


async def test_a_second_greeting_is_nothing_that_a_command_asked_for() -> None:
    """A banner behind the greeting would pass for the reply to CAPA."""
    error = await fail_to_open(b"+OK\r\n+OK once more\r\n")

    assert "no command asked for" in str(error)


async def test_a_server_that_closes_at_once_has_closed() -> None:
    """It says nothing about what it is."""
    assert isinstance(await fail_to_open(), PeerClosed)


async def test_silence_in_place_of_a_greeting_suggests_implicit_tls() -> None:
    """That is what a TLS port does when nothing is said to it."""

    async def script(talk: Talk) -> None:
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        settings = make_settings(server, deadlines=hasty(greeting_s=HASTY_S))
        with pytest.raises(DeadlineExceeded, match="tls 'implicit'"):
            await connect_maildrop(settings, lock_step=False)


async def test_a_greeting_that_drips_exceeds_its_deadline() -> None:
    """The deadline is for the whole line, not for each octet."""

    async def script(talk: Talk) -> None:
        await talk.drip_until_closed(b" ")

    async with ScriptedServer(script) as server:
        settings = make_settings(server, deadlines=hasty(greeting_s=HASTY_S))
        with pytest.raises(DeadlineExceeded, match=r"no whole reply within 0\.05 s"):
            await connect_maildrop(settings, lock_step=False)


async def test_silence_under_tls_suggests_nothing() -> None:
    """TLS is there already."""
    tls = TlsOptions(mode="implicit")
    error = await fail_to_open(DeadlineExceeded("replay:110: silent for 30 s"), tls=tls)

    assert str(error) == "replay:110: no whole reply within 10 s"


async def test_a_port_that_nobody_serves_fails_to_connect() -> None:
    """The address is in the text."""
    async with ScriptedServer(serve_login) as server:
        settings = make_settings(server)
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{settings.port}"):
        await connect_maildrop(settings, lock_step=False)


def test_settings_show_no_password() -> None:
    """Not even how it is come by."""
    assert "password" not in repr(make_settings())


# -- CAPA ------------------------------------------------------------------------------------


async def test_a_server_without_capa_is_logged_in_to_all_the_same() -> None:
    """It is from before RFC 2449, and knows USER and PASS."""
    stream = ReplayStream([b"+OK\r\n", b"-ERR what?\r\n", b"+OK\r\n", b"+OK\r\n", b"-ERR\r\n"])
    await open_maildrop(stream, make_settings(), lock_step=False)

    assert stream.writes == [
        b"CAPA\r\n",
        b"USER jane\r\n",
        b"PASS " + PASSWORD.encode() + b"\r\n",
        b"CAPA\r\n",
    ]


async def test_an_endless_capa_is_cut_off() -> None:
    """No server can do more than 64 things."""
    error = await fail_to_open(b"+OK\r\n", b"+OK\r\n" + b"X-TAG\r\n" * 70)

    assert "more than 64 rows" in str(error)


async def test_a_capa_that_hangs_is_left_out_at_a_second_connection() -> None:
    """The deadline of a reply decides: it is no listing of a thousand messages."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        if len(server.talks) == 1:
            await talk.exchange((b"CAPA", b"+OK\r\nUSER\r\n"))
            await talk.expect_close()
            return
        await talk.exchange((b"USER jane", b"+OK\r\n"), (b"PASS " + PASSWORD.encode(), b"+OK\r\n"))
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        settings = make_settings(server, deadlines=hasty(reply_s=HASTY_S))
        maildrop = await connect_maildrop(settings, lock_step=False)
        await maildrop.drop()


async def test_with_stls_a_capa_is_never_left_out() -> None:
    """Whoever can cut the connection must not get rid of the check that CAPA is (P7)."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        await talk.expect(b"CAPA")

    async with ScriptedServer(script) as server:
        settings = make_settings(server, tls=TlsOptions(mode="starttls"))
        with pytest.raises(PeerClosed):
            await connect_maildrop(settings, lock_step=False)
    assert len(server.talks) == 1


async def test_a_server_that_closes_at_capa_is_gone() -> None:
    """That is temporary, and nothing secret was said."""
    assert isinstance(await fail_to_open(b"+OK\r\n"), StreamError)


@pytest.mark.parametrize(
    ("offer", "pipelining", "lock_step", "in_one_flight"),
    [
        (b"pipelining", "auto", False, True),
        (b"  Pipelining  odd ", "auto", False, True),
        (b"USER", "auto", False, False),
        (b"PIPELINING", "off", False, False),
        (b"USER", "on", False, True),
        (b"PIPELINING", "on", True, False),
        (b"PIPELINING", "auto", True, False),
    ],
)
async def test_pipelining_is_what_the_server_offers_unless_somebody_decided(
    offer: bytes, pipelining: str, *, lock_step: bool, in_one_flight: bool
) -> None:
    """CAPA counts in any case and spacing; an account known to be unfit stays in lock step."""
    capabilities = b"+OK\r\n" + offer + b"\r\n.\r\n"
    login = [b"+OK\r\n", b"+OK\r\n.\r\n", b"+OK\r\n", b"+OK\r\n", capabilities]
    stream = ReplayStream([*login, b"+OK 0 0\r\n", b"+OK\r\n.\r\n", b"+OK\r\n.\r\n"])
    settings = make_settings(pipelining=pipelining)
    maildrop = await open_maildrop(stream, settings, lock_step=lock_step)
    stream.writes.clear()
    await maildrop.list()

    early = b"CAPA\r\n" if pipelining == "on" else b""  # the server need not be asked first
    together = [early + b"STAT\r\nLIST\r\nUIDL\r\n"]
    assert stream.writes == (
        together if in_one_flight else [b"STAT\r\n", b"LIST\r\n", b"UIDL\r\n"]
    )


EARLY = (b"+OK\r\n", PIPELINING, b"+OK\r\n", b"+OK\r\n")
"""A server that tells of pipelining before the login."""
ONE_ROW = b"+OK 1 10\r\n" + b"+OK\r\n1 10\r\n.\r\n" + b"+OK\r\n1 u1\r\n.\r\n"


async def begin_early(*steps: bytes | Exception) -> tuple[Pop3Maildrop, ReplayStream]:
    """Log in to it; ``writes`` begins after the login."""
    stream = ReplayStream([*EARLY, *steps])
    maildrop = await open_maildrop(stream, make_settings(), lock_step=False)
    stream.writes.clear()
    return maildrop, stream


async def test_capa_rides_with_the_listing_where_pipelining_was_offered_early() -> None:
    """It costs no round trip of its own; a second listing asks for no more than the listing."""
    maildrop, stream = await begin_early(PIPELINING + ONE_ROW, ONE_ROW)
    first = await maildrop.list()
    second = await maildrop.list()

    assert first == second
    assert len(first.messages) == 1
    assert stream.writes == [b"CAPA\r\nSTAT\r\nLIST\r\nUIDL\r\n", b"STAT\r\nLIST\r\nUIDL\r\n"]


async def test_what_was_offered_before_the_login_and_not_after_it_is_forgotten() -> None:
    """Only the last CAPA is about the session that we work in; a proxy gave the first."""
    maildrop, stream = await begin_early(CAPA + ONE_ROW, b"+OK\r\n", b"+OK\r\n")
    listing = await maildrop.list()
    stream.writes.clear()
    await maildrop.delete([*listing.messages] * 2)

    assert stream.writes == [b"DELE 1\r\n", b"DELE 1\r\n"]


@pytest.mark.parametrize("rest", [b"", ONE_ROW[:12], b"+HM\r\n"], ids=["end", "cut", "garbage"])
async def test_a_listing_that_fails_after_pipelining_was_taken_back_says_so(rest: bytes) -> None:
    """The server may have thrown away what came with CAPA; poll then asks one by one."""
    maildrop, _ = await begin_early(CAPA + rest)
    with pytest.raises(PipeliningWithdrawn, match="before the login and not after it"):
        await maildrop.list()


async def test_a_listing_that_fails_on_a_server_that_pipelines_is_a_broken_line() -> None:
    """It says nothing about pipelining."""
    maildrop, _ = await begin_early(PIPELINING + ONE_ROW[:12])
    with pytest.raises(PeerClosed):
        await maildrop.list()


async def test_an_account_in_lock_step_gets_a_capa_of_its_own() -> None:
    """Whatever was offered."""
    stream = ReplayStream([*EARLY, PIPELINING])
    await open_maildrop(stream, make_settings(), lock_step=True)

    assert stream.writes[-1] == b"CAPA\r\n"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"LOGIN-DELAY 900 USER", b"LOGIN-DELAY 60", 60),
        (b"LOGIN-DELAY 900 USER", b"UIDL", 900),
        (b"UIDL", b"LOGIN-DELAY 60", 60),
        (b"UIDL", b"UIDL", 0),
        (b"LOGIN-DELAY 999999", b"UIDL", 86400),
    ],
)
@pytest.mark.parametrize("pipelining", [False, True])
async def test_a_login_delay_is_that_of_this_user(
    before: bytes, after: bytes, expected: int, *, pipelining: bool
) -> None:
    """RFC 2449 §6.4: what is said before the login may be the longest of any user."""
    tag = b"PIPELINING\r\n" if pipelining else b""
    first, second = (b"+OK\r\nUSER\r\n" + tag + said + b"\r\n.\r\n" for said in (before, after))
    empty = b"+OK 0 0\r\n", b"+OK\r\n.\r\n", b"+OK\r\n.\r\n"
    maildrop = await open_with(b"+OK\r\n", first, b"+OK\r\n", b"+OK\r\n", second, *empty)
    await maildrop.list()

    assert maildrop.login_delay_s == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"EXPIRE 7 USER", b"EXPIRE 30", 30),
        (b"EXPIRE 0", b"UIDL", 0),
        (b"EXPIRE 0", b"EXPIRE NEVER", None),
        (b"UIDL", b"EXPIRE soon", None),
        (b"UIDL", b"expire 999999999999999", 36_500),
    ],
)
@pytest.mark.parametrize("pipelining", [False, True])
async def test_how_long_mail_is_kept_is_said_for_this_user(
    before: bytes, after: bytes, expected: int | None, *, pipelining: bool
) -> None:
    """RFC 2449 §6.7: what is said before the login may be the shortest of any user."""
    tag = b"PIPELINING\r\n" if pipelining else b""
    first, second = (b"+OK\r\nUSER\r\n" + tag + said + b"\r\n.\r\n" for said in (before, after))
    empty = b"+OK 0 0\r\n", b"+OK\r\n.\r\n", b"+OK\r\n.\r\n"
    maildrop = await open_with(b"+OK\r\n", first, b"+OK\r\n", b"+OK\r\n", second, *empty)
    await maildrop.list()

    assert maildrop.kept_days == expected
