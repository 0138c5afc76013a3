"""The bundled POP3 server, read by programs that share no code with it."""

import asyncio
import poplib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from popsync.server.pop3 import Pop3Service
from tests.doubles.bundled_server import Bench, trusting
from tests.servers.certificates import Certificate, issue_certificate
from tests.servers.fetchers import Fetcher, Fetchmail, Getmail, Mpop
from tests.servers.programs import short_directory

HEADER = (
    b"Return-Path: <a@example.com>\r\nFrom: a@example.com\r\nTo: jane@example.org\r\n"
    b"Subject: gr\xc3\xbc\xc3\x9fe\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@example.com>\r\n"
)
MESSAGES = {
    "plain": HEADER + b"\r\nhello\r\n",
    "8-bit": HEADER + b"\r\n\xff\xfe gr\xc3\xbc\xc3\x9fe\r\n",
    "dots": HEADER + b"\r\n.\r\n..\r\n...\r\n.a\r\n",
    "no body": HEADER,
    "empty body": HEADER + b"\r\n",
    "blank lines": HEADER + b"\r\n\r\n\r\n\r\n",
    "NUL": HEADER + b"\r\na\0b\r\n",
    "bare CR": HEADER + b"\r\na\rb\r\r\n",
    "bare LF": HEADER + b"\r\na\nb\r\n",
    "From": HEADER + b"\r\nFrom here\r\n>From there\r\n",
    "forged reply": HEADER + b"\r\n+OK 5 octets\r\n-ERR\r\n.\r\n+OK\r\n",
}
LONG_LINE = HEADER + b"\r\n" + b"x" * 1_000_000 + b"\r\n"


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give a directory that other users may enter."""
    with short_directory() as path:
        yield path


@pytest.fixture
async def bench(directory: Path) -> AsyncIterator[Bench]:
    """Serve jane's mailbox with all messages."""
    bench = Bench(directory)
    bench.put(*MESSAGES.values())
    async with served(bench):
        yield bench


@asynccontextmanager
async def served(bench: Bench, certificate: Certificate | None = None) -> AsyncIterator[None]:
    """Serve a bench's mailboxes."""
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate.chain_file, certificate.key_file)
    service = Pop3Service(mailboxes=bench.mailboxes, mailstore=bench.mailstore, tls=tls)
    async with bench.serving(service.make_protocol):
        yield


@pytest.mark.parametrize("fetcher", [Mpop, Fetchmail, Getmail])
async def test_a_fetcher_gets_every_octet(
    bench: Bench, directory: Path, fetcher: type[Mpop] | type[Fetchmail] | type[Getmail]
) -> None:
    """What it writes is what was stored, but for what it does to every message."""
    fetched = await fetcher(directory, bench.address[1]).fetch()

    assert fetched == [fetcher.written(message) for message in MESSAGES.values()]
    assert bench.contents() == list(MESSAGES.values())


@pytest.mark.parametrize("fetcher", [Mpop, Getmail])
async def test_a_line_of_a_megabyte_arrives(
    directory: Path, fetcher: type[Mpop] | type[Getmail]
) -> None:
    """No line is too long for us; fetchmail is not asked, it puts stray octets into such lines."""
    bench = Bench(directory)
    bench.put(LONG_LINE)
    async with served(bench):
        fetched = await fetcher(directory, bench.address[1]).fetch()

    assert fetched == [fetcher.written(LONG_LINE)]


@pytest.mark.parametrize("fetcher", [Mpop, Fetchmail, Getmail])
async def test_a_fetcher_that_deletes_leaves_an_empty_maildrop(
    bench: Bench, directory: Path, fetcher: type[Fetcher]
) -> None:
    """DELE and QUIT as they all understand them."""
    fetched = await fetcher(directory, bench.address[1], keep=False).fetch()

    assert len(fetched) == len(MESSAGES)
    assert bench.contents() == []


async def test_unique_ids_last_for_a_client_that_keeps_them(bench: Bench, directory: Path) -> None:
    """A second mpop brings only what is new, after a restart and moves to ``cur`` too."""
    fetcher = Mpop(directory, bench.address[1])
    first = await fetcher.fetch()
    for message in bench.mailstore.scan("jane")[::2]:
        message.path.rename(message.path.parent.parent / "cur" / f"{message.path.name}:2,S")
    bench.put(b"A: new\r\n\r\n")
    async with served(bench):
        fetcher.port = bench.address[1]
        second = await fetcher.fetch()

    assert len(first) == len(MESSAGES)
    assert sorted(second) == sorted([*first, b"A: new\n\n"])


async def test_mpop_reads_behind_stls(directory: Path) -> None:
    """GnuTLS on the other side, verifying."""
    bench = Bench(directory)
    bench.put(*MESSAGES.values())
    certificate = issue_certificate(directory)
    fetcher = Mpop(directory, 0)
    fetcher.tls = (
        *("--host=localhost", "--tls=on", "--tls-starttls=on"),
        f"--tls-trust-file={certificate.ca_file}",
    )
    async with served(bench, certificate):
        fetcher.port = bench.address[1]
        fetched = await fetcher.fetch()

    assert fetched == [Mpop.written(message) for message in MESSAGES.values()]


async def test_poplib_reads_every_line(bench: Bench) -> None:
    """The standard library ends lines at LF, so bare ones look like any other to it."""

    def read() -> tuple[list[bytes], list[bytes], list[bytes]]:
        client = poplib.POP3(*bench.address)
        client.user("jane")
        client.pass_("secret word")
        numbers = range(1, client.stat()[0] + 1)
        retrieved = [b"".join(line + b"\r\n" for line in client.retr(n)[1]) for n in numbers]
        tops = [b"".join(line + b"\r\n" for line in client.top(n, 0)[1]) for n in numbers]
        unique_ids = list(client.uidl()[1])
        client.quit()
        return retrieved, tops, unique_ids

    retrieved, tops, unique_ids = await asyncio.to_thread(read)
    lines = {"bare LF": HEADER + b"\r\na\r\nb\r\n"}
    assert retrieved == [lines.get(name, message) for name, message in MESSAGES.items()]
    assert tops == [HEADER if name == "no body" else HEADER + b"\r\n" for name in MESSAGES]
    assert len(set(unique_ids)) == len(MESSAGES)


async def test_poplib_logs_in_behind_stls(directory: Path) -> None:
    """OpenSSL on the other side, verifying."""
    bench = Bench(directory)
    bench.put(*MESSAGES.values())
    certificate = issue_certificate(directory)

    def read(port: int) -> bytes:
        client = poplib.POP3("localhost", port)
        client.stls(trusting(certificate.ca_file))
        client.user("jane")
        client.pass_("secret word")
        lines = client.retr(1)[1]
        client.quit()
        return b"".join(line + b"\r\n" for line in lines)

    async with served(bench, certificate):
        assert await asyncio.to_thread(read, bench.address[1]) == MESSAGES["plain"]
