import base64

import pytest

from popsync.errors import (
    AuthRejected,
    AuthUnsupported,
    DeadlineExceeded,
    LoginDelayed,
    MaildropError,
    MaildropLocked,
    PeerClosed,
    PopsyncError,
    RemoteProtocolError,
    SecretUnavailable,
    ServerRefused,
    ServerUnavailable,
)
from popsync.maildrop.opening import connect_maildrop, open_maildrop
from popsync.net.replay import ReplayStream
from tests.doubles.pop3_script import ScriptedServer, Talk
from tests.unit.maildrop.sessions import CAPA, HASTY_S, PASSWORD, hasty, make_settings

PASS = b"PASS " + PASSWORD.encode() + b"\r\n"
RESPONSE = base64.b64encode(b"\0jane\0" + PASSWORD.encode())
NO_CAPA = b"-ERR\r\n"
OK = b"+OK\r\n"


def offers(*rows: bytes) -> bytes:
    """Give the reply to CAPA."""
    return b"+OK\r\n" + b"".join(row + b"\r\n" for row in rows) + b".\r\n"


async def log_in(capabilities: bytes, *steps: bytes, **changes: object) -> list[bytes]:
    """Log in to a server that says this; give what it was told between the two CAPA."""
    stream = ReplayStream([OK, capabilities, *steps, CAPA])
    await open_maildrop(stream, make_settings(None, **changes), lock_step=False)
    assert stream.writes[0] == stream.writes[-1] == b"CAPA\r\n"
    return stream.writes[1:-1]


async def fail_to_log_in(
    capabilities: bytes, *steps: bytes, **changes: object
) -> tuple[PopsyncError, list[bytes]]:
    """Do the same and demand an error that shows no secret; give it and what was said."""
    stream = ReplayStream([OK, capabilities, *steps])
    with pytest.raises(PopsyncError) as caught:
        await open_maildrop(stream, make_settings(None, **changes), lock_step=False)
    assert stream.closed
    shown = repr(caught.value) + str(caught.value) + str(caught.value.__dict__)
    assert PASSWORD not in shown
    assert RESPONSE.decode() not in shown
    return caught.value, stream.writes[1:]


def password(text: str) -> object:
    """Give what asks for this password."""

    async def give() -> str:
        return text

    return give


# -- which way -------------------------------------------------------------------------------


async def test_user_and_pass_wait_for_each_other() -> None:
    """The password follows only once the user's name was taken."""
    assert await log_in(NO_CAPA, OK, OK) == [b"USER jane\r\n", PASS]


async def test_plain_goes_in_one_step_when_it_is_offered() -> None:
    """One round trip instead of two, in any case and spacing."""
    told = await log_in(offers(b"sasl  login  plain", b"USER"), OK)

    assert told == [b"AUTH PLAIN " + RESPONSE + b"\r\n"]


async def test_plain_goes_in_two_steps_when_the_server_wants_to_be_asked() -> None:
    """An empty challenge asks for the response that it was given already."""
    for challenge in (b"+ \r\n", b"+\r\n"):
        told = await log_in(offers(b"SASL PLAIN"), challenge, OK)
        assert told == [b"AUTH PLAIN " + RESPONSE + b"\r\n", RESPONSE + b"\r\n"]


async def test_credentials_too_long_for_a_command_follow_the_challenge() -> None:
    """A command has 255 octets at most; a response may be longer."""
    long = "p" * 300
    told = await log_in(offers(b"SASL PLAIN"), b"+ \r\n", OK, password=password(long))

    response = base64.b64encode(b"\0jane\0" + long.encode())
    assert told == [b"AUTH PLAIN\r\n", response + b"\r\n"]


async def test_the_way_may_be_decided_by_the_configuration() -> None:
    """CAPA need not offer it."""
    assert await log_in(offers(b"SASL PLAIN"), OK, OK, auth="user") == [b"USER jane\r\n", PASS]
    assert len(await log_in(NO_CAPA, OK, auth="plain")) == 1


@pytest.mark.parametrize(
    ("auth", "words"),
    [("auto", "no usable way to log in"), ("plain", "AUTH PLAIN is not offered")],
)
async def test_mechanisms_that_nobody_here_knows_are_no_way_in(auth: str, words: str) -> None:
    """No weaker way is tried in their place."""
    error, told = await fail_to_log_in(offers(b"SASL XOAUTH2 GSSAPI"), auth=auth)

    assert isinstance(error, AuthUnsupported)
    assert words in str(error)
    assert "XOAUTH2 GSSAPI" in str(error)
    assert told == []


async def test_user_is_a_way_in_beside_unknown_mechanisms() -> None:
    """The server offers it."""
    assert await log_in(offers(b"SASL XOAUTH2", b"USER"), OK, OK) == [b"USER jane\r\n", PASS]


# -- whom a secret may be told ---------------------------------------------------------------


@pytest.mark.parametrize("auth", ["auto", "plain", "user"])
async def test_without_tls_another_machine_is_told_nothing(auth: str) -> None:
    """The password is not even asked for (P7)."""

    async def give() -> str:
        raise AssertionError

    stream = ReplayStream([OK, offers(b"SASL PLAIN", b"USER")], secured=False, loopback=False)
    with pytest.raises(AuthUnsupported, match="no login without TLS"):
        await open_maildrop(stream, make_settings(password=give, auth=auth), lock_step=False)

    assert stream.written == b"CAPA\r\n"
    assert stream.closed


@pytest.mark.parametrize(
    ("secured", "loopback", "allow_plaintext"),
    [(True, False, False), (False, True, False), (False, False, True)],
)
async def test_tls_or_this_machine_or_permission_is_enough(
    *, secured: bool, loopback: bool, allow_plaintext: bool
) -> None:
    """Each for itself."""
    steps = [OK, NO_CAPA, OK, OK, NO_CAPA]
    stream = ReplayStream(steps, secured=secured, loopback=loopback)
    settings = make_settings(allow_plaintext=allow_plaintext)
    await open_maildrop(stream, settings, lock_step=False)

    assert PASS in stream.writes


async def test_a_password_that_cannot_be_had_ends_the_session() -> None:
    """With the words of whoever keeps it."""

    async def give() -> str:
        raise SecretUnavailable("pass: no such entry")

    error, told = await fail_to_log_in(NO_CAPA, password=give)

    assert isinstance(error, SecretUnavailable)
    assert told == []


@pytest.mark.parametrize(
    ("auth", "changes"),
    [
        ("user", {"user": "jane\r\nDELE 1"}),
        ("user", {"password": password("a\r\nDELE 1")}),
        ("user", {"password": password("a\nb")}),
        ("user", {"password": password("a\0b")}),
        ("user", {"password": password("p" * 249)}),
        ("user", {"user": "j" * 249}),
        ("plain", {"password": password("a\0b")}),
        ("plain", {"user": "jane\0joe"}),
        ("plain", {"password": password("a\udcffb")}),
        ("user", {"password": password("a\udcffb")}),
    ],
)
async def test_values_that_no_command_can_carry_are_never_sent(
    auth: str, changes: dict[str, object]
) -> None:
    """Not even the half of them that could be; the account is at fault."""
    error, told = await fail_to_log_in(NO_CAPA, OK, OK, auth=auth, **changes)

    assert isinstance(error, AuthUnsupported)
    assert told == []


# -- what the server makes of it -------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"-ERR [AUTH] try again later\r\n", AuthRejected),
        (b"-ERR [IN-USE] x\r\n", MaildropLocked),
        (b"-ERR [in-use] x\r\n", MaildropLocked),
        (b"-ERR [LOGIN-DELAY] x\r\n", LoginDelayed),
        (b"-ERR [SYS/TEMP] x\r\n", ServerUnavailable),
        (b"-ERR [SYS/PERM] x\r\n", ServerRefused),
        (b"-ERR [X-NEW] x\r\n", AuthRejected),
        (b"-ERR no\r\n", AuthRejected),
        (b"-ERR\r\n", AuthRejected),
    ],
)
async def test_a_refusal_is_what_its_code_says_at_every_step(
    reply: bytes, kind: type[MaildropError]
) -> None:
    """USER, PASS and AUTH are refused alike."""
    plain = offers(b"SASL PLAIN")
    for capabilities, steps in (
        (NO_CAPA, [reply]),
        (NO_CAPA, [OK, reply]),
        (plain, [reply]),
        (plain, [b"+ \r\n", reply]),
    ):
        error, _ = await fail_to_log_in(capabilities, *steps)
        assert type(error) is kind
        assert "the login was refused" in str(error)


async def test_a_refused_user_never_hears_the_password() -> None:
    """It would be told for nothing."""
    _, told = await fail_to_log_in(NO_CAPA, b"-ERR who?\r\n")
    assert told == [b"USER jane\r\n"]


@pytest.mark.parametrize(
    "steps",
    [
        (b"+ \r\n", b"+ \r\n"),
        (b"+ YWdhaW4=\r\n",),
        (b"+ not base64 at all \xff\r\n",),
        (b"+ " + b"A" * 4000 + b"\r\n",),
    ],
)
async def test_a_challenge_that_plain_knows_not_is_cancelled(steps: tuple[bytes, ...]) -> None:
    """With ``*``, as RFC 5034 §4 demands; the secret is not repeated."""
    error, told = await fail_to_log_in(offers(b"SASL PLAIN"), *steps, b"-ERR cancelled\r\n")

    assert isinstance(error, RemoteProtocolError)
    assert "challenge" in str(error)
    assert told[-1] == b"*\r\n"


@pytest.mark.parametrize("garbage", [b"+garbage\r\n", b"334 \r\n", b"\r\n", b"+" * 5000])
async def test_garbage_in_place_of_a_challenge_is_a_broken_rule(garbage: bytes) -> None:
    """Nothing more is said."""
    error, told = await fail_to_log_in(offers(b"SASL PLAIN"), garbage)

    assert isinstance(error, RemoteProtocolError)
    assert len(told) == 1


async def test_a_server_that_closes_after_the_password_may_be_tried_again() -> None:
    """Throttled servers do that; the password was not refused."""
    error, _ = await fail_to_log_in(NO_CAPA, OK)

    assert isinstance(error, PeerClosed)
    assert error.temporary


async def test_a_login_has_a_deadline_of_its_own() -> None:
    """Servers are slow to refuse a password, not for ever."""

    async def script(talk: Talk) -> None:
        await talk.send(OK)
        await talk.exchange((b"CAPA", NO_CAPA))
        await talk.line()
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        settings = make_settings(server, deadlines=hasty(login_s=HASTY_S))
        with pytest.raises(DeadlineExceeded):
            await connect_maildrop(settings, lock_step=False)


# -- what a server may repeat ----------------------------------------------------------------


@pytest.mark.parametrize(
    "echo",
    [
        b"-ERR bad password '%s'\r\n",
        b"-ERR [%s] bad\r\n",
        b"-ERR [AUTH] %s\r\n",
        b"%s\r\n",
        b"+%s\r\n",
        b"x" * 70 + b"%s\r\n",
        b"-ERR " + b"x" * 190 + b"%s\r\n",
    ],
)
@pytest.mark.parametrize("auth", ["user", "plain"])
async def test_a_secret_that_the_server_repeats_is_masked(echo: bytes, auth: str) -> None:
    """Wherever it stands, in capitals, or cut off where evidence ends."""
    secret = "12345-Hunter"
    response = base64.b64encode(b"\0jane\0" + secret.encode())
    alone = base64.b64encode(secret.encode())
    user = base64.b64encode(b"jane")
    for told in (secret.encode(), secret.swapcase().encode(), response, alone, user):
        stream = ReplayStream([OK, NO_CAPA, *([OK] * (auth == "user")), echo % told])
        settings = make_settings(password=password(secret), auth=auth)
        with pytest.raises(PopsyncError) as caught:
            await open_maildrop(stream, settings, lock_step=False)
        shown = f"{caught.value} {caught.value!r} {caught.value.__dict__}".lower()
        assert "12345" not in shown
        assert told.decode().lower()[:8] not in shown
