"""The bundled SMTP server, fed by programs that share no code with it."""

import asyncio
import smtplib
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from popsync.server.smtp import SmtpService
from tests.doubles.bundled_server import Bench, trusting
from tests.servers.certificates import Certificate, issue_certificate
from tests.servers.programs import require_program

HEADER = b"From: a@example.com\r\nTo: jane@example.org\r\nSubject: x\r\n"
MESSAGES = {
    "plain": HEADER + b"\r\nhello\r\n",
    "8-bit": HEADER + b"\r\n\xff\xfe gr\xc3\xbc\xc3\x9fe\r\n",
    "dots": HEADER + b"\r\n.\r\n..\r\n...\r\n.a\r\n",
    "no body": HEADER,
    "empty body": HEADER + b"\r\n",
    "a line of a megabyte": HEADER + b"\r\n" + b"x" * 1_000_000 + b"\r\n",
    "three megabytes": HEADER + b"\r\n" + (b".%b\r\n" % (b"y" * 76)) * 40_000,
    "NUL": HEADER + b"\r\na\0b\r\n",
    "bare CR": HEADER + b"\r\na\rb\r\r\n",
    "bare LF": HEADER + b"\r\na\nb\r\n",
}
SENDER, RECIPIENT = "a@example.com", "jane@example.org"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make a mailstore."""
    return Bench(tmp_path)


@asynccontextmanager
async def served(bench: Bench, certificate: Certificate | None = None) -> AsyncIterator[str]:
    """Serve a bench's mailboxes; give the port as text. With a certificate it is a must."""
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate.chain_file, certificate.key_file)
    service = SmtpService(
        sleep=bench.sleep,
        hostname="mail.example",
        mailboxes=bench.mailboxes,
        mailstore=bench.mailstore,
        tls=tls,
        secure_only=tls is not None,
    )
    async with bench.serving(service.make_protocol):
        yield str(bench.address[1])


def bodies(bench: Bench) -> list[bytes]:
    """Give what jane holds behind the two lines of trace, which must be there."""
    found = []
    for message in bench.contents():
        return_path, received, body = message.split(b"\r\n", 2)
        assert return_path == b"Return-Path: <a@example.com>"
        assert received.startswith(b"Received: from ")
        found.append(body)
    return found


async def test_smtplib_delivers_every_octet(bench: Bench) -> None:
    """Many messages on one connection."""

    def deliver(port: str) -> None:
        with smtplib.SMTP("127.0.0.1", int(port)) as client:
            for message in MESSAGES.values():
                client.sendmail(SENDER, RECIPIENT, message)

    async with served(bench) as port:
        await asyncio.to_thread(deliver, port)

    assert bodies(bench) == list(MESSAGES.values())


async def test_smtplib_delivers_behind_starttls(bench: Bench, tmp_path: Path) -> None:
    """With certificate and login, as a server outside loopback demands."""
    certificate = issue_certificate(tmp_path)

    def deliver(port: str) -> None:
        with smtplib.SMTP("localhost", int(port)) as client:
            client.starttls(context=trusting(certificate.ca_file))
            client.login("jane", "secret word")
            client.sendmail(SENDER, RECIPIENT, MESSAGES["dots"])

    async with served(bench, certificate) as port:
        await asyncio.to_thread(deliver, port)

    assert bodies(bench) == [MESSAGES["dots"]]


async def run_swaks(*options: str) -> subprocess.CompletedProcess[bytes]:
    """Run swaks once."""
    command = [require_program("swaks"), "--from", SENDER, "--to", RECIPIENT, *options]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("pipeline", [(), ("--pipeline",)])
async def test_swaks_delivers_every_octet(
    bench: Bench, tmp_path: Path, pipeline: tuple[str, ...]
) -> None:
    """Its own fixing of data is off; it pipelines only when the server says so."""
    data = tmp_path / "data"
    async with served(bench) as port:
        for message in MESSAGES.values():
            stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
            data.write_bytes(stuffed + b".")
            done = await run_swaks(
                *("--server", "127.0.0.1", "--port", port, "--data", f"@{data}"),
                *("--no-data-fixup", *pipeline),
            )
            assert done.returncode == 0, done.stdout[-2000:]

    assert bodies(bench) == list(MESSAGES.values())


async def test_swaks_is_refused_what_is_not_ours(bench: Bench) -> None:
    """Its exit code for "no recipient was taken" is 24."""
    async with served(bench) as port:
        done = await run_swaks("--server", "127.0.0.1", "--port", port, "--to", "x@example.com")

    assert done.returncode == 24
    assert b"550 5.1.1" in done.stdout
    assert bench.contents() == []


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_swaks_logs_in(bench: Bench, mechanism: str) -> None:
    """Its exit code for a refused login is 28."""
    login = ("--auth", mechanism, "--auth-user", "jane", "--auth-password")
    async with served(bench) as port:
        to = ("--server", "127.0.0.1", "--port", port)
        right = await run_swaks(*to, *login, "secret word")
        wrong = await run_swaks(*to, *login, "wrong")

    assert (right.returncode, wrong.returncode) == (0, 28)
    assert b"with ESMTPA;" in bench.contents()[0]
