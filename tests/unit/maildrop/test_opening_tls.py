import hashlib
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import trustme

from popsync.errors import PeerClosed, RemoteProtocolError, StreamError, TlsRefused
from popsync.maildrop.opening import connect_maildrop, open_maildrop
from popsync.net.replay import ReplayStream
from popsync.net.tls import TlsMode, TlsOptions
from tests.doubles.pop3_script import Script, ScriptedServer, Talk
from tests.unit.maildrop.sessions import CAPA, hasty, make_settings, serve_login

OFFERS_STLS = b"+OK\r\nSTLS\r\nUSER\r\n.\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Give an authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give that authority as a file."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def context_for(issued: trustme.LeafCert) -> ssl.SSLContext:
    """Give a server's context with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


def self_signed(directory: Path) -> ssl.SSLContext:
    """Give a server's context with a certificate that vouches for itself."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.private_key_pem.write_to_path(str(directory / "key.pem"))
    authority.cert_pem.write_to_path(str(directory / "certificate.pem"))
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context


def fingerprint_of(issued: trustme.LeafCert) -> str:
    """Give the SHA-256 of a certificate."""
    pem = issued.cert_chain_pems[0].bytes().decode()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


async def fail_to_secure(script: Script, tls: TlsOptions, **changes: object) -> StreamError:
    """Connect; demand that it fails and that nothing was said of user or password."""
    async with ScriptedServer(script) as server:
        settings = make_settings(server, tls=tls, **changes)
        with pytest.raises(StreamError) as caught:
            await connect_maildrop(settings, lock_step=False)
    assert len(server.talks) == 1
    for word in (b"USER", b"PASS", b"AUTH"):
        assert word not in server.talks[0].received
    return caught.value


# -- STLS that does not come about -----------------------------------------------------------


@pytest.mark.parametrize("capabilities", [b"-ERR\r\n", CAPA], ids=["no CAPA", "no STLS"])
async def test_a_server_that_offers_no_stls_is_told_no_secret(capabilities: bytes) -> None:
    """Somebody on the way may have taken the offer out."""
    stream = ReplayStream([b"+OK\r\n", capabilities], secured=False, loopback=True)
    settings = make_settings(tls=TlsOptions(mode="starttls"))
    with pytest.raises(TlsRefused, match="offers no STLS"):
        await open_maildrop(stream, settings, lock_step=False)

    assert stream.written == b"CAPA\r\n"
    assert stream.closed


async def test_a_refused_stls_ends_the_session() -> None:
    """There is no going on in the clear."""
    stream = ReplayStream([b"+OK\r\n", OFFERS_STLS, b"-ERR not today\r\n"], secured=False)
    settings = make_settings(tls=TlsOptions(mode="starttls"))
    with pytest.raises(TlsRefused, match="STLS was refused: not today"):
        await open_maildrop(stream, settings, lock_step=False)

    assert stream.written == b"CAPA\r\nSTLS\r\n"


@pytest.mark.parametrize("injected", [b"+OK\r\n", b"x", b"\x16\x03\x01"])
async def test_plaintext_in_the_segment_of_the_stls_reply_is_refused(
    injected: bytes, ca_file: str
) -> None:
    """It would pass for what TLS brought."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        await talk.exchange((b"CAPA", OFFERS_STLS), (b"STLS", b"+OK\r\n" + injected))
        await talk.expect_close()

    error = await fail_to_secure(script, TlsOptions(mode="starttls", ca_file=ca_file))
    assert isinstance(error, TlsRefused)
    assert "plaintext behind the reply to STLS" in str(error)


async def test_plaintext_in_the_handshakes_place_is_refused(ca_file: str) -> None:
    """A server that says +OK and goes on in the clear."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        await talk.exchange((b"CAPA", OFFERS_STLS), (b"STLS", b"+OK\r\n"))
        await talk.octets(1)  # the handshake has begun
        await talk.send(b"+OK logged in\r\n")
        await talk.wait_closed()

    error = await fail_to_secure(script, TlsOptions(mode="starttls", ca_file=ca_file))
    assert isinstance(error, TlsRefused)


async def test_a_server_that_closes_after_agreeing_to_stls_is_a_passing_failure(
    ca_file: str,
) -> None:
    """It may be overloaded."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        await talk.exchange((b"CAPA", OFFERS_STLS), (b"STLS", b"+OK\r\n"))
        await talk.close()

    error = await fail_to_secure(script, TlsOptions(mode="starttls", ca_file=ca_file))
    assert isinstance(error, PeerClosed)
    assert error.temporary


async def test_a_handshake_that_hangs_exceeds_its_deadline(ca_file: str) -> None:
    """A server that says +OK to STLS and nothing more does not hold us."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        await talk.exchange((b"CAPA", OFFERS_STLS), (b"STLS", b"+OK\r\n"))
        await talk.wait_closed()

    tls = TlsOptions(mode="starttls", ca_file=ca_file)
    error = await fail_to_secure(script, tls, deadlines=hasty(tls_s=0.05))
    assert "no TLS handshake within" in str(error)


@pytest.mark.parametrize("late", [b"+OK\r\n", b"+ok injected\r\n"])
async def test_a_reply_that_waits_inside_tls_is_not_taken_for_the_one_to_capa(
    late: bytes, authority: trustme.CA, ca_file: str
) -> None:
    """Somebody put a command before the handshake, and the server answers it now."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        await talk.exchange((b"CAPA", OFFERS_STLS), (b"STLS", b"+OK\r\n"))
        await talk.start_tls(context_for(authority.issue_cert("127.0.0.1")))
        await talk.expect(b"CAPA")
        await talk.send(late + CAPA)
        await talk.expect_close()

    settings_tls = TlsOptions(mode="starttls", ca_file=ca_file)
    async with ScriptedServer(script) as server:
        settings = make_settings(server, tls=settings_tls)
        with pytest.raises(RemoteProtocolError, match="a reply came before the one to CAPA"):
            await connect_maildrop(settings, lock_step=False)
    assert b"USER" not in server.talks[0].received


# -- certificates ----------------------------------------------------------------------------


@pytest.fixture(params=["implicit", "starttls"])
def mode(request: pytest.FixtureRequest) -> TlsMode:
    """Try both ways into TLS."""
    return cast("TlsMode", request.param)


async def meet(
    mode: TlsMode, context: ssl.SSLContext, options: TlsOptions
) -> tuple[bytes, TlsRefused | None]:
    """Open a session with a server of this certificate; give what it heard and our error."""

    async def script(talk: Talk) -> None:
        if mode == "starttls":
            await talk.send(b"+OK\r\n")
            await talk.exchange((b"CAPA", OFFERS_STLS), (b"STLS", b"+OK\r\n"))
            try:
                await talk.start_tls(context)
            except OSError:
                return
        with suppress(AssertionError, OSError):  # that the client parts is for the test to judge
            await serve_login(talk, greeting=b"" if mode == "starttls" else b"+OK\r\n")
        await talk.wait_closed()

    async with ScriptedServer(script, tls=context if mode == "implicit" else None) as server:
        error = None
        try:
            maildrop = await connect_maildrop(make_settings(server, tls=options), lock_step=False)
            await maildrop.drop()
        except TlsRefused as caught:
            error = caught
    return b"".join(talk.received for talk in server.talks), error


async def test_a_certificate_that_is_as_it_should_be_lets_us_in(
    mode: TlsMode, authority: trustme.CA, ca_file: str
) -> None:
    """Capabilities are asked for again inside TLS, and only then come the credentials."""
    context = context_for(authority.issue_cert("127.0.0.1"))
    heard, error = await meet(mode, context, TlsOptions(mode=mode, ca_file=ca_file))

    assert error is None
    inside = heard.partition(b"STLS\r\n")[2] or heard
    assert [line.split()[0] for line in inside.splitlines()] == [
        b"CAPA",
        b"USER",
        b"PASS",
        b"CAPA",
    ]


_PAST, _FUTURE = datetime(2001, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_FLAWS_IN_TIME = {
    "expired": (_PAST, "expired"),
    "not yet valid": (_FUTURE, "not yet"),
}


def _valid_for_a_day(authority: trustme.CA, since: datetime) -> trustme.LeafCert:
    until = since + timedelta(days=1)
    return authority.issue_cert("127.0.0.1", not_before=since, not_after=until)


@pytest.mark.parametrize(
    "flaw", [*_FLAWS_IN_TIME, "other host", "unknown authority", "self-signed", "other pin"]
)
async def test_a_certificate_with_a_flaw_is_told_no_secret(
    mode: TlsMode, flaw: str, authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    """The session ends before USER, in words that name the flaw."""
    good = authority.issue_cert("127.0.0.1")
    context, pin, words = {
        "other host": (context_for(authority.issue_cert("pop.example.org")), "", "mismatch"),
        "unknown authority": (context_for(trustme.CA().issue_cert("127.0.0.1")), "", "issuer"),
        "self-signed": (self_signed(tmp_path), "", "self-signed"),
        **{
            name: (context_for(_valid_for_a_day(authority, since)), "", told)
            for name, (since, told) in _FLAWS_IN_TIME.items()
        },
        "other pin": (context_for(good), fingerprint_of(authority.issue_cert("x")), "pinned"),
    }[flaw]
    options = TlsOptions(mode=mode, ca_file=ca_file, fingerprint=pin)
    heard, error = await meet(mode, context, options)

    assert error is not None
    assert words in str(error)
    assert not error.temporary
    for word in (b"USER", b"PASS", b"AUTH"):
        assert word not in heard


async def test_the_pinned_certificate_needs_no_authority_and_no_name(
    mode: TlsMode, authority: trustme.CA
) -> None:
    """The pin says more than both."""
    issued = authority.issue_cert("pop.example.org")
    options = TlsOptions(mode=mode, fingerprint=fingerprint_of(issued))
    heard, error = await meet(mode, context_for(issued), options)

    assert error is None
    assert b"PASS" in heard
