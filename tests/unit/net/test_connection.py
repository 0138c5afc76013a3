import asyncio
import gc
import hashlib
import socket
import ssl
import weakref
from asyncio import sslproto
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from popsync.errors import (
    ConnectFailed,
    DeadlineExceeded,
    PeerClosed,
    StreamError,
    TlsRefused,
)
from popsync.net.connect import connect_tcp, connect_unix
from popsync.net.connection import MAX_UNREAD_OCTETS, Connection
from popsync.net.failures import connect_failure, tls_failure
from popsync.net.stream import Stream
from popsync.net.tls import Handshake, TlsOptions, client_context
from tests.doubles.pop3_script import Script, ScriptedServer, Talk

PLAIN = TlsOptions(mode="none")
SOON_S = 0.05
TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Give an authority of our own."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """Give the authority as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Give a server's context with a certificate for ``names``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
    return context


async def connect(server: ScriptedServer, tls: TlsOptions = PLAIN) -> Stream:
    """Connect to a scripted server."""
    return await connect_tcp("127.0.0.1", server.port, tls=tls, timeout_s=TIMEOUT_S)


async def hold(talk: Talk) -> None:
    """Say nothing until the client parts."""
    await talk.wait_closed()


async def test_octets_go_both_ways_and_the_end_is_empty() -> None:
    """What one side writes the other reads; a closed peer reads as nothing."""

    async def script(talk: Talk) -> None:
        await talk.exchange((b"hello", b"good day"))
        await talk.close()

    async with ScriptedServer(script) as server:
        stream = await connect(server)
        await stream.write(b"hello\r\n", timeout_s=TIMEOUT_S)
        answer = await stream.read(timeout_s=TIMEOUT_S)
        end = await stream.read(timeout_s=TIMEOUT_S)
        await stream.close()

    assert (answer, end) == (b"good day", b"")
    assert stream.peer == f"127.0.0.1:{server.port}"
    assert (stream.secured, stream.loopback) == (False, True)


async def test_octets_before_a_reset_are_given_and_then_the_loss() -> None:
    """A reset raises PeerClosed, again at every read."""

    async def script(talk: Talk) -> None:
        await talk.expect(b"go")
        talk.reset()

    async with ScriptedServer(script) as server:
        stream = await connect(server)
        await stream.write(b"go\r\n", timeout_s=TIMEOUT_S)
        for _ in range(2):
            with pytest.raises(PeerClosed, match="connection reset by peer"):
                await stream.read(timeout_s=TIMEOUT_S)
        with pytest.raises(PeerClosed):
            await stream.write(b"more", timeout_s=TIMEOUT_S)
        await stream.close()


async def test_silence_exceeds_the_deadline_and_a_later_octet_is_still_read() -> None:
    """A read that waits in vain loses nothing."""

    async def script(talk: Talk) -> None:
        await talk.expect(b"go")
        await talk.send(b"late")
        await talk.wait_closed()

    async with ScriptedServer(script) as server:
        stream = await connect(server)
        with pytest.raises(DeadlineExceeded, match=r"silent for 0\.05 s"):
            await stream.read(timeout_s=SOON_S)
        await stream.write(b"go\r\n", timeout_s=TIMEOUT_S)
        assert await stream.read(timeout_s=TIMEOUT_S) == b"late"
        await stream.close()


async def test_a_peer_that_takes_nothing_exceeds_the_write_deadline() -> None:
    """A write does not wait for ever on a closed window."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stream = await connect_tcp("127.0.0.1", port, tls=PLAIN, timeout_s=TIMEOUT_S)
        with pytest.raises(DeadlineExceeded, match="took nothing"):
            await stream.write(bytes(32 << 20), timeout_s=SOON_S)
        await stream.close()


async def test_a_large_write_waits_until_the_peer_has_taken_it() -> None:
    """Back-pressure holds a writer and lets it go."""
    octets = 16 << 20

    async def script(talk: Talk) -> None:
        await talk.expect(b"x" * 10)
        await talk.wait_closed()

    async with ScriptedServer(script) as server:
        stream = await connect(server)
        await stream.write(b"x" * 10 + b"\r\n" + bytes(octets), timeout_s=TIMEOUT_S)
        await stream.close()


async def arrival(stream: Stream, octets: int) -> None:
    """Return once so many octets wait to be read."""
    while stream.unread < octets:  # noqa: ASYNC110 - a stream tells nobody, it is asked
        await asyncio.sleep(0)


async def test_unread_octets_are_bounded_and_none_is_lost() -> None:
    """A flood waits at the sender, not in our memory."""
    flood = bytes(8 * MAX_UNREAD_OCTETS)

    async def script(talk: Talk) -> None:
        await talk.send(flood)
        await talk.close()
        await talk.wait_closed()

    received, largest = 0, 0
    async with ScriptedServer(script) as server:
        stream = await connect(server)
        while octets := await stream.read(timeout_s=TIMEOUT_S):
            received += len(octets)
            largest = max(largest, len(octets))
            await arrival(stream, min(MAX_UNREAD_OCTETS, len(flood) - received))
        await stream.close()

    assert received == len(flood)
    assert largest <= MAX_UNREAD_OCTETS + (64 << 10)


async def test_closing_is_idempotent_and_ends_a_connection_that_never_was() -> None:
    """Close never raises."""
    async with ScriptedServer(hold) as server:
        stream = await connect(server)
        await stream.close()
        await stream.close()
        with pytest.raises(PeerClosed):
            await stream.write(b"x", timeout_s=TIMEOUT_S)
    await Connection("nobody").close()


async def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that never tells of its end is left alone."""

    class Stuck(asyncio.Transport):
        def abort(self) -> None:
            aborted.append(self)

    aborted: list[asyncio.Transport] = []
    monkeypatch.setattr("popsync.net.connection._MAX_CLOSING_S", SOON_S)
    connection = Connection("stuck")
    connection.connection_made(Stuck({"peername": ("127.0.0.1", 110)}))
    await connection.close()

    assert len(aborted) == 1


async def test_what_came_before_the_loss_is_read_though_reading_had_paused() -> None:
    """Nothing is resumed that is gone."""

    class Gone(asyncio.Transport):
        def pause_reading(self) -> None:
            paused.append(True)

        def is_closing(self) -> bool:
            return False

    paused: list[bool] = []
    connection = Connection("gone")
    connection.connection_made(Gone({"peername": ("127.0.0.1", 110)}))
    received = 0
    while received <= MAX_UNREAD_OCTETS:
        connection.get_buffer(-1)
        connection.buffer_updated(1000)
        received += 1000
    connection.connection_lost(None)

    assert paused == [True]
    assert len(await connection.read(timeout_s=TIMEOUT_S)) == received
    assert await connection.read(timeout_s=TIMEOUT_S) == b""


def test_the_failures_of_several_addresses_are_told_by_the_first() -> None:
    """The loop folds them into one text."""
    folded = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), "
        "[Errno 113] Connect call failed ('127.0.0.1', 1)"
    )
    assert str(connect_failure("pop:1", folded)) == "pop:1: connection refused"
    assert str(connect_failure("pop:1", OSError("odd\n"))) == "pop:1: odd\\n"


async def test_a_refused_connection_says_so_with_host_and_port() -> None:
    """The words are a person's, the server is named."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(ConnectFailed, match=f"localhost:{port}: connection refused"):
            await connect_tcp("localhost", port, tls=PLAIN, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize(
    ("host", "words"),
    [("no-such-host.invalid", "name not found"), ("a..b", "not a valid host name")],
)
async def test_a_name_that_leads_nowhere_says_so(host: str, words: str) -> None:
    """A name that cannot be resolved is no traceback."""
    with pytest.raises(ConnectFailed, match=words):
        await connect_tcp(host, 110, tls=PLAIN, timeout_s=TIMEOUT_S)


async def test_a_connection_that_takes_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name and connection have one deadline."""

    async def never(*args: object, **kwargs: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    with pytest.raises(ConnectFailed, match="no connection within"):
        await connect_tcp("127.0.0.1", 1, tls=PLAIN, timeout_s=SOON_S)


async def test_a_unix_socket_is_loopback_and_works(tmp_path: Path) -> None:
    """LMTP's usual socket."""
    path = str(tmp_path / "s")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, path)
    stream = await connect_unix(path, timeout_s=TIMEOUT_S)
    assert await stream.read(timeout_s=TIMEOUT_S) == b"220 hello\r\n"
    assert (stream.loopback, stream.peer) == (True, path)
    await stream.close()
    server.close()
    await server.wait_closed()


async def test_a_missing_unix_socket_says_so(tmp_path: Path) -> None:
    """The path and the reason are in the text."""
    with pytest.raises(ConnectFailed, match="/s: no such file or directory"):
        await connect_unix(str(tmp_path / "s"), timeout_s=TIMEOUT_S)


# -- TLS -------------------------------------------------------------------------------------


async def test_implicit_tls_is_verified_and_used(authority: trustme.CA, ca_file: str) -> None:
    """A certificate of the named authority for the named host is accepted."""

    async def script(talk: Talk) -> None:
        await talk.send(b"+OK\r\n")
        await talk.wait_closed()

    async with ScriptedServer(script, tls=server_context(authority)) as server:
        stream = await connect(server, TlsOptions(ca_file=ca_file))
        assert await stream.read(timeout_s=TIMEOUT_S) == b"+OK\r\n"
        assert stream.secured
        await stream.close()


async def test_nothing_of_tls_outlives_its_connection(
    authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its buffers, a quarter of a megabyte, are given back without the collector's help."""
    layers: list[weakref.ref[sslproto.SSLProtocol]] = []
    begin = sslproto.SSLProtocol.connection_made

    def note(layer: sslproto.SSLProtocol, transport: asyncio.BaseTransport) -> None:
        layers.append(weakref.ref(layer))
        begin(layer, transport)

    async with ScriptedServer(hold, tls=server_context(authority)) as server:
        gc.collect()
        gc.disable()
        monkeypatch.setattr(sslproto.SSLProtocol, "connection_made", note)
        try:
            await (await connect(server, TlsOptions(ca_file=ca_file))).close()
            left = [layer for ref in layers if (layer := ref()) and not layer._server_side]
        finally:
            gc.enable()

    assert (len(layers), left) == (2, [])  # the server's and ours


async def test_a_cut_under_tls_reads_as_the_end(authority: trustme.CA, ca_file: str) -> None:
    """Without close_notify it is the same end: framing tells what is missing."""

    async def script(talk: Talk) -> None:
        await talk.send(b"half")
        talk.cut()

    async with ScriptedServer(script, tls=server_context(authority)) as server:
        stream = await connect(server, TlsOptions(ca_file=ca_file))
        assert await stream.read(timeout_s=TIMEOUT_S) == b"half"
        assert await stream.read(timeout_s=TIMEOUT_S) == b""
        await stream.close()


async def refuse(script: Script, tls: ssl.SSLContext | None, options: TlsOptions) -> str:
    """Connect, demand TlsRefused, give its text."""
    async with ScriptedServer(script, tls=tls) as server:
        with pytest.raises(TlsRefused) as caught:
            await connect(server, options)
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    return str(caught.value)


async def test_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    """The reason is OpenSSL's own."""
    text = await refuse(hold, server_context(authority), TlsOptions())
    assert "unable to get local issuer certificate" in text


async def test_another_hosts_certificate_is_refused(authority: trustme.CA, ca_file: str) -> None:
    """The name is checked, too."""
    tls = server_context(authority, "other.example.org")
    assert "IP address mismatch" in await refuse(hold, tls, TlsOptions(ca_file=ca_file))


async def test_the_name_to_verify_may_be_another_than_the_host(
    authority: trustme.CA, ca_file: str
) -> None:
    """A tunnel's certificate is its server's."""
    tls = server_context(authority, "pop.example.org")
    async with ScriptedServer(hold, tls=tls) as server:
        options = TlsOptions(ca_file=ca_file, server_hostname="pop.example.org")
        stream = await connect(server, options)
        assert stream.secured
        await stream.close()


async def test_a_server_that_speaks_plaintext_is_recognised() -> None:
    """A wrong mode is told apart from a bad certificate."""

    async def greet(talk: Talk) -> None:
        await talk.send(b"+OK POP3 ready\r\n")
        await talk.wait_closed()

    assert "should tls be 'starttls' or 'none'" in await refuse(greet, None, TlsOptions())


async def test_a_server_that_closes_in_the_handshake_is_a_temporary_failure() -> None:
    """Not TlsRefused: an overloaded server does that."""

    async def script(talk: Talk) -> None:
        await talk.close()

    async with ScriptedServer(script) as server:
        with pytest.raises(PeerClosed):
            await connect(server, TlsOptions())


async def test_a_silent_handshake_exceeds_the_deadline() -> None:
    """The text names the limit for name, connection and handshake, not what was left of it."""
    async with ScriptedServer(hold) as server:
        with pytest.raises(DeadlineExceeded, match=r"no TLS handshake within 0\.05 s$"):
            await connect_tcp("127.0.0.1", server.port, tls=TlsOptions(), timeout_s=SOON_S)


async def test_a_connection_that_ends_as_its_handshake_does_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop then gives no transport at all."""

    async def nothing(*args: object, **kwargs: object) -> None:
        return None

    async with ScriptedServer(hold) as server:
        stream = await connect(server, TlsOptions(mode="starttls"))
        monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", nothing)
        with pytest.raises(PeerClosed):
            await stream.start_tls(timeout_s=TIMEOUT_S)
        await stream.close()


async def test_cancelling_a_handshake_leaves_nothing_open() -> None:
    """A stop in the middle closes the socket."""
    accepted = asyncio.Event()

    async def script(talk: Talk) -> None:
        accepted.set()
        await talk.wait_closed()

    async with ScriptedServer(script) as server:
        task = asyncio.create_task(connect(server, TlsOptions()))
        await accepted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_pin_replaces_authorities_and_name(authority: trustme.CA) -> None:
    """The right pin is enough, in any spelling."""
    issued = authority.issue_cert("other.example.org")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(tls)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    pin = hashlib.sha256(der).digest().hex(":").upper()
    async with ScriptedServer(hold, tls=tls) as server:
        stream = await connect(server, TlsOptions(fingerprint=pin))
        assert stream.secured
        await stream.close()


async def test_another_certificate_than_the_pinned_is_refused(authority: trustme.CA) -> None:
    """Nothing was sent to it, and its fingerprint is shown."""
    text = await refuse(hold, server_context(authority), TlsOptions(fingerprint="00" * 32))
    assert "not the pinned one" in text


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        ("TLSV1_ALERT_PROTOCOL_VERSION", TlsRefused, "no common version"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", TlsRefused, "no common version"),
        ("TLSV1_ALERT_INTERNAL_ERROR", PeerClosed, "tlsv1 alert internal error"),
    ],
)
def test_a_failed_handshake_is_lasting_only_when_time_will_not_mend_it(
    reason: str, kind: type[StreamError], words: str
) -> None:
    """An old server stays old; an internal error passes."""
    error = ssl.SSLError(1, "text")
    error.reason = reason
    failure = tls_failure("pop.example.org:995", error)

    assert type(failure) is kind
    assert words in str(failure)


async def test_a_ca_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    """The account's file is at fault, and said to be."""
    broken = tmp_path / "broken.pem"
    broken.write_text("not PEM")
    for path in (broken, tmp_path / "missing.pem"):
        with pytest.raises(TlsRefused, match="ca_file"):
            client_context(TlsOptions(ca_file=str(path)))


def test_one_context_serves_all_connections_with_the_same_demands(ca_file: str) -> None:
    """Building one costs many times a poll."""
    options = TlsOptions(ca_file=ca_file)
    other_host = TlsOptions(ca_file=ca_file, mode="starttls", server_hostname="x")
    assert client_context(options) is client_context(other_host)
    assert client_context(options) is not client_context(TlsOptions())


async def test_starttls_upgrades_a_plain_connection(authority: trustme.CA, ca_file: str) -> None:
    """The same stream goes on under TLS."""
    tls = server_context(authority)

    async def script(talk: Talk) -> None:
        await talk.exchange((b"STLS", b"+OK\r\n"))
        await talk.start_tls(tls)
        await talk.exchange((b"CAPA", b"-ERR\r\n"))
        await talk.wait_closed()

    async with ScriptedServer(script) as server:
        stream = await connect(server, TlsOptions(mode="starttls", ca_file=ca_file))
        await stream.write(b"STLS\r\n", timeout_s=TIMEOUT_S)
        assert await stream.read(timeout_s=TIMEOUT_S) == b"+OK\r\n"
        await stream.start_tls(timeout_s=TIMEOUT_S)
        await stream.write(b"CAPA\r\n", timeout_s=TIMEOUT_S)
        assert await stream.read(timeout_s=TIMEOUT_S) == b"-ERR\r\n"
        assert stream.secured
        with pytest.raises(TlsRefused, match="on already"):
            await stream.start_tls(timeout_s=TIMEOUT_S)
        await stream.close()


async def test_plaintext_unread_at_the_upgrade_is_refused(ca_file: str) -> None:
    """Injected octets never pass for what TLS brought."""
    sent = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.exchange((b"STLS", b"+OK\r\n"))
        await talk.expect(b"again")
        await talk.send(b"+OK injected\r\n")
        sent.set()
        await talk.expect_close()

    async with ScriptedServer(script) as server:
        stream = await connect(server, TlsOptions(mode="starttls", ca_file=ca_file))
        await stream.write(b"STLS\r\n", timeout_s=TIMEOUT_S)
        await stream.read(timeout_s=TIMEOUT_S)
        await stream.write(b"again\r\n", timeout_s=TIMEOUT_S)
        await sent.wait()
        await arrival(stream, 1)
        with pytest.raises(TlsRefused, match="plaintext"):
            await stream.start_tls(timeout_s=TIMEOUT_S)
        await stream.close()


async def test_plaintext_after_the_upgrade_began_is_refused(ca_file: str) -> None:
    """What arrives in the handshake's place fails it."""

    async def script(talk: Talk) -> None:
        await talk.exchange((b"STLS", b"+OK\r\n"))
        await talk.line()
        await talk.send(b"+OK injected\r\n")
        await talk.wait_closed()

    async with ScriptedServer(script) as server:
        stream = await connect(server, TlsOptions(mode="starttls", ca_file=ca_file))
        await stream.write(b"STLS\r\n", timeout_s=TIMEOUT_S)
        await stream.read(timeout_s=TIMEOUT_S)
        with pytest.raises(TlsRefused, match="no TLS came back"):
            await stream.start_tls(timeout_s=TIMEOUT_S)
        await stream.close()
        assert not stream.secured


# -- the server's side -----------------------------------------------------------------------


@pytest.fixture
async def accepted(authority: trustme.CA) -> AsyncIterator[tuple[int, asyncio.Queue[Connection]]]:
    """Listen; give the port and where accepted connections come out."""
    queue: asyncio.Queue[Connection] = asyncio.Queue()
    handshake = Handshake(server_context(authority), server_side=True)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection("", handshake, queue.put_nowait), "127.0.0.1", 0
    )
    yield server.sockets[0].getsockname()[1], queue
    server.close()
    await server.wait_closed()


async def test_a_server_side_upgrades_and_names_its_peer(
    accepted: tuple[int, asyncio.Queue[Connection]], ca_file: str
) -> None:
    """Both ends of TLS may be ours."""
    port, queue = accepted
    options = TlsOptions(mode="starttls", ca_file=ca_file)
    client = await connect_tcp("127.0.0.1", port, tls=options, timeout_s=TIMEOUT_S)
    server = await queue.get()
    await asyncio.gather(
        client.start_tls(timeout_s=TIMEOUT_S), server.start_tls(timeout_s=TIMEOUT_S)
    )
    await server.write(b"hello", timeout_s=TIMEOUT_S)
    assert await client.read(timeout_s=TIMEOUT_S) == b"hello"
    assert server.peer.startswith("127.0.0.1:")
    await client.close()
    assert await server.read(timeout_s=TIMEOUT_S) == b""
    await server.close()


async def test_a_server_refuses_commands_injected_before_tls(
    accepted: tuple[int, asyncio.Queue[Connection]],
) -> None:
    """A command sent in the clear behind STLS never runs under TLS."""
    port, queue = accepted
    client = await connect_tcp("127.0.0.1", port, tls=PLAIN, timeout_s=TIMEOUT_S)
    server = await queue.get()
    await client.write(b"STLS\r\n", timeout_s=TIMEOUT_S)
    assert await server.read(timeout_s=TIMEOUT_S) == b"STLS\r\n"
    await client.write(b"USER mallory\r\n", timeout_s=TIMEOUT_S)
    await arrival(server, 1)
    with pytest.raises(TlsRefused, match="plaintext"):
        await server.start_tls(timeout_s=TIMEOUT_S)
    await server.close()
    await client.close()


async def test_without_tls_options_there_is_no_upgrade() -> None:
    """A connection that was told of no TLS refuses to guess."""
    async with ScriptedServer(hold) as server:
        stream = await connect(server)
        with pytest.raises(TlsRefused, match="not prepared"):
            await stream.start_tls(timeout_s=TIMEOUT_S)
        await stream.close()
