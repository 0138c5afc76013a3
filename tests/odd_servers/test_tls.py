"""Servers whose TLS is odd: no secret is said before it is sound, and no mail is lost by it."""

import asyncio
import datetime
import hashlib
import socket
import ssl
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from popsync.errors import PeerClosed, PopsyncError, StreamError, TlsRefused
from popsync.net.tls import TlsOptions, client_context
from tests.doubles.pop3_script import Talk
from tests.odd_servers.form import MAIL, answer_verb, make_mail
from tests.odd_servers.harness import open_bench
from tests.odd_servers.server import Answer, Mail, OddServer, Turn

DOTS = make_mail("dots", b".\r\n..\r\n.x\r\n\r\n.\r\n+OK\r\n")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Give an authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> TlsOptions:
    """Give what trusts it, and it only."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return TlsOptions(mode="implicit", ca_file=str(path))


def _context(issued: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """Give a server's context with a sound certificate."""
    return _context(authority.issue_cert("127.0.0.1"))


def _once(*mail: Mail) -> dict[bytes, int]:
    return dict.fromkeys((one.octets.replace(b"\r\n", b"\n") for one in mail), 1)


async def _refusal(context: ssl.SSLContext, tls: TlsOptions, directory: Path) -> PopsyncError:
    """Give what a poll fails with; the server has heard nothing secret and lost nothing."""
    server = OddServer(list(MAIL))
    async with open_bench(server, directory, tls=tls, context=context) as bench:
        report = await bench.poll()
    assert report.error is not None
    assert server.commands == []
    return report.error


# -- inside TLS ------------------------------------------------------------------------------


async def test_a_message_in_records_of_one_octet_is_the_same(
    context: ssl.SSLContext, trusting: TlsOptions, tmp_path: Path
) -> None:
    """Wherever TLS cuts what POP3 says."""

    def drips(turn: Turn) -> Answer | None:
        async def drip(talk: Talk) -> None:
            await talk.drip(turn.usual)

        return Answer(b"", then=drip) if turn.verb == b"RETR" else None

    server = OddServer([*MAIL, DOTS], drips)
    async with open_bench(server, tmp_path, tls=trusting, context=context) as bench:
        await bench.poll()
        assert bench.arrived == _once(*MAIL, DOTS)
    assert server.mail == []


async def _cut(talk: Talk) -> None:
    talk.cut()


async def _garbage(talk: Talk) -> None:
    talk.send_past_tls(b"\x17\x03\x03\x00\x40" + b"garbage!" * 8)
    await talk.wait_closed()


async def _close(talk: Talk) -> None:
    await talk.close()


@pytest.mark.parametrize("ending", [_cut, _garbage, _close], ids=["cut", "garbage", "alert"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["before", "inside", "behind"])
async def test_a_session_that_breaks_under_tls_gives_only_whole_messages(
    ending: object,
    share: float,
    context: ssl.SSLContext,
    trusting: TlsOptions,
    tmp_path: Path,
) -> None:
    """The final dot tells that a message is whole, not the end of TLS; it may be tried again."""

    def breaks(turn: Turn) -> Answer | None:
        if turn.line.upper() != b"RETR 2" or turn.session > 1:
            return None
        return Answer(turn.usual[: int(share * len(turn.usual))], then=ending)  # type: ignore[arg-type]

    server = OddServer(list(MAIL), breaks)
    async with open_bench(server, tmp_path, deletes=False, tls=trusting, context=context) as bench:
        report = await bench.poll()
        assert isinstance(report.error, StreamError)
        assert report.error.temporary
        arrived = bench.arrived
        assert arrived in (_once(MAIL[0]), _once(*MAIL[: 2 if share == 1.0 else 1]))
        await bench.poll()
        assert bench.arrived == _once(*MAIL)


async def test_an_alert_in_place_of_the_login_is_temporary(
    context: ssl.SSLContext, trusting: TlsOptions, tmp_path: Path
) -> None:
    """The certificate was sound, so nothing is to be put right here."""
    server = OddServer(list(MAIL), answer_verb(b"PASS", Answer(b"", then=_close)))
    async with open_bench(server, tmp_path, tls=trusting, context=context) as bench:
        report = await bench.poll()
    assert isinstance(report.error, PeerClosed)


# -- certificates ----------------------------------------------------------------------------


def _weak(directory: Path) -> tuple[ssl.SSLContext, TlsOptions]:
    """Give a certificate with a key of 1024 bits, and what trusts just that."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is the point
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    (directory / "key.pem").write_bytes(key_pem)
    (directory / "weak.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(directory / "weak.pem", directory / "key.pem")
    return context, TlsOptions(mode="implicit", ca_file=str(directory / "weak.pem"))


async def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    """Though its certificate is trusted."""
    context, tls = _weak(tmp_path)
    error = await _refusal(context, tls, tmp_path)

    assert isinstance(error, TlsRefused)
    assert "key too weak" in str(error)


async def test_a_revoked_certificate_is_not_found_out(
    context: ssl.SSLContext, trusting: TlsOptions, tmp_path: Path
) -> None:
    """Nobody asks for revocations: no list came with it, so it counts as sound.

    Neither lists nor responders are asked by any fetcher of mail; whoever must be sure pins the
    certificate.
    """
    assert not client_context(trusting).verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    server = OddServer(list(MAIL))
    async with open_bench(server, tmp_path, tls=trusting, context=context) as bench:
        assert (await bench.poll()).error is None


@pytest.mark.parametrize("pinned", [False, True], ids=["authority", "pin"])
async def test_another_certificate_at_the_next_session(
    authority: trustme.CA,
    trusting: TlsOptions,
    tmp_path: Path,
    *,
    pinned: bool,
) -> None:
    """By its authority it is as good as the one before; a pin refuses it until told otherwise."""
    old, new = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    der = ssl.PEM_cert_to_DER_cert(old.cert_chain_pems[0].bytes().decode())
    pin = TlsOptions(mode="implicit", fingerprint=hashlib.sha256(der).hexdigest())
    context = _context(old)
    server = OddServer(list(MAIL))
    async with open_bench(
        server, tmp_path, deletes=False, tls=pin if pinned else trusting, context=context
    ) as bench:
        assert (await bench.poll()).error is None
        new.configure_cert(context)
        server.commands.clear()
        report = await bench.poll()

    if pinned:
        assert isinstance(report.error, TlsRefused)
        assert server.commands == []
    else:
        assert report.error is None


# -- versions, ciphers, names ----------------------------------------------------------------


def _of_version(
    authority: trustme.CA, lowest: ssl.TLSVersion, highest: ssl.TLSVersion, ciphers: str
) -> ssl.SSLContext:
    context = _context(authority.issue_cert("127.0.0.1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest
    context.set_ciphers(ciphers)
    return context


def _shake_hands(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Try with one client; unlike asyncio's servers this one tells why it gives up."""
    accepted, _ = listening.accept()
    with accepted, suppress(ssl.SSLError):
        context.wrap_socket(accepted, server_side=True).close()


OLD = {
    "TLS 1.0": (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
    "TLS 1.1": (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
    "no authentication": (
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.TLSv1_2,
        "ADH:AECDH:@SECLEVEL=0",
    ),
    "no encryption": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "eNULL:@SECLEVEL=0"),
}


@pytest.mark.parametrize("name", OLD)
async def test_old_versions_and_weak_ciphers_are_refused(
    name: str, authority: trustme.CA, trusting: TlsOptions, tmp_path: Path
) -> None:
    """Time alone will not mend that, and the words say what is wrong."""
    context = _of_version(authority, *OLD[name])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(asyncio.to_thread(_shake_hands, listening, context))
        port = listening.getsockname()[1]
        async with open_bench(OddServer([]), tmp_path, tls=trusting, port=port) as bench:
            report = await bench.poll()
        await serving

    assert isinstance(report.error, TlsRefused)
    assert "no common version or cipher" in str(report.error)


def test_neither_compression_nor_old_versions_are_offered(trusting: TlsOptions) -> None:
    """Compression tells secrets by sizes; renegotiation ends with TLS 1.2's last version."""
    context = client_context(trusting)

    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


NAMES: dict[str, tuple[str, str, str | None]] = {
    "a name": ("pop.example.org", "pop.example.org", "pop.example.org"),
    "a trailing dot": ("pop.example.org.", "pop.example.org", "pop.example.org"),
    "not ascii": ("bücher.example.org", "xn--bcher-kva.example.org", "xn--bcher-kva.example.org"),
    "an address": ("127.0.0.1", "127.0.0.1", None),
}


@pytest.fixture
def _every_name_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all names lead to this machine."""
    usual = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, *more, **kinds: usual("127.0.0.1", *more, **kinds)
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("_every_name_is_here")
async def test_the_server_is_told_the_name_that_its_certificate_must_bear(
    name: str, authority: trustme.CA, trusting: TlsOptions, tmp_path: Path
) -> None:
    """Many mailboxes share one address; an address is no name and is not told."""
    host, certified, told = NAMES[name]
    context, asked = _context(authority.issue_cert(certified)), []
    context.sni_callback = lambda _object, wanted, _context: asked.append(wanted)
    server = OddServer(list(MAIL))
    async with open_bench(server, tmp_path, tls=trusting, context=context, host=host) as bench:
        assert (await bench.poll()).error is None
        assert bench.arrived == _once(*MAIL)
    assert asked == [told]
