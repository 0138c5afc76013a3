"""The bundled SMTP server, spoken to octet by octet."""

import asyncio
import errno
import re
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from popsync.server.smtp import SmtpService
from popsync.storage import DurableSteps
from tests.doubles.bundled_server import Bench, trusting
from tests.doubles.line_client import LineClient, line_client
from tests.servers.certificates import issue_certificate

SMALL = b"Subject: small\r\n\r\none\r\n"
TRACE = re.compile(
    rb"Return-Path: <([^>\r\n]*)>\r\n"
    rb"Received: from (\S+) \(\[127\.0\.0\.1\]\) by mail\.example with (E?SMTPS?A?); [^\r\n]+\r\n"
)
GREETING = b"220 "


class FullDisk(DurableSteps):
    """A disk on which no more file can be written."""

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Refuse, naming a path that is nobody's business."""
        raise OSError(errno.ENOSPC, "No space left on device", "/var/secret/path")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make a mailstore."""
    return Bench(tmp_path)


def service(bench: Bench, *, tls: ssl.SSLContext | None = None) -> SmtpService:
    """Give a service for the bench's mailboxes; it insists on TLS and login when it has TLS."""
    return SmtpService(
        hostname="mail.example",
        mailboxes=bench.mailboxes,
        mailstore=bench.mailstore,
        tls=tls,
        secure_only=tls is not None,
        sleep=bench.sleep,
    )


@pytest.fixture
async def smtp(bench: Bench) -> AsyncIterator[Bench]:
    """Serve the bench's mailboxes by SMTP, in the clear."""
    async with bench.serving(service(bench).make_protocol):
        yield bench


async def deliver(
    client: LineClient, dotted: bytes, *recipients: bytes, sender: bytes = b"a@example.com"
) -> bytes:
    """Send one message, its octets exactly as given with the final dot; give the last reply."""
    await client.smtp(b"EHLO client.example")
    assert (await client.smtp(b"MAIL FROM:<" + sender + b">")).startswith(b"250")
    for recipient in recipients or (b"jane@example.org",):
        assert (await client.smtp(b"RCPT TO:<" + recipient + b">")).startswith(b"250")
    assert (await client.smtp(b"DATA")).startswith(b"354")
    await client.send(dotted)
    return await client.reply()


def bodies(bench: Bench, mailbox: str = "jane") -> list[bytes]:
    """Give what a mailbox holds behind the two lines of trace, which must be there."""
    found = bench.contents(mailbox)
    assert all(TRACE.match(message) for message in found)
    return [TRACE.sub(b"", message, count=1) for message in found]


# -- content ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dotted", "stored"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n..a\r\n...\r\n.\r\n", b".\r\n.a\r\n..\r\n"),
        (b"no stuffing:\r\n.a\r\n.\r\n", b"no stuffing:\r\na\r\n"),
        (b"bare\nLF bare\rCR\r\r\n\0 NUL \xff\xfe\r\n.\r\n",) * 2,
        (b"x" * 1_500_000 + b"\r\n.\r\n", b"x" * 1_500_000 + b"\r\n"),
        ((b"..%b\r\n" % (b"y" * 997)) * 3000 + b".\r\n", (b".%b\r\n" % (b"y" * 997)) * 3000),
    ],
)
async def test_a_message_is_stored_exactly_behind_two_lines_of_trace(
    smtp: Bench, dotted: bytes, stored: bytes
) -> None:
    """Only stuffed dots are taken off: no line is too long, no octet is special."""
    stored = stored.removesuffix(b".\r\n") if dotted == stored else stored
    async with line_client(smtp.address, GREETING) as client:
        assert await deliver(client, dotted) == b"250 2.0.0 stored"
        assert await client.smtp(b"QUIT") == b"221 Bye"

    assert bodies(smtp) == [stored]


async def test_a_message_that_comes_octet_by_octet_is_the_same(smtp: Bench) -> None:
    """How it was cut up does not matter, nor what is sent behind it."""
    octets = (
        b"MAIL FROM:<a@b>\r\nRCPT TO:<jane@example.org>\r\nDATA\r\n..x\r\n.\r\nNOOP\r\nQUIT\r\n"
    )
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"EHLO client.example")
        for octet in octets:
            await client.send(bytes([octet]))
        rest = await client.rest()

    assert [line[:3] for line in rest.splitlines()] == [
        *(b"250", b"250", b"354", b"250", b"250", b"221")
    ]
    assert bodies(smtp) == [b".x\r\n"]


async def test_pipelined_messages_are_all_stored_in_order(smtp: Bench) -> None:
    """RFC 2920: the next MAIL may ride with the final dot."""
    envelope = b"MAIL FROM:<>\r\nRCPT TO:<jane@example.org>\r\nDATA\r\n"
    async with line_client(smtp.address, GREETING) as client:
        await client.send(b"EHLO client.example\r\n")
        await client.send(b"".join(envelope + b"%d\r\n.\r\n" % n for n in range(50)) + b"QUIT\r\n")
        rest = await client.rest()

    assert b"250-PIPELINING\r\n" in rest
    assert rest.count(b"250 2.0.0 stored") == 50
    assert bodies(smtp) == [b"%d\r\n" % n for n in range(50)]


@pytest.mark.parametrize(
    "lure",
    [
        *(b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n", b"\r.\r\n", b"\r\n.\n"),
        *(b"\n\r.\r\n", b"\n\n\r\n", b"\r\n\r.\r\n"),
    ],
)
async def test_no_second_message_is_smuggled_in(smtp: Bench, lure: bytes) -> None:
    """Only CRLF.CRLF ends a message, so what follows another ending is still the first one."""
    second = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<joe@example.org>\r\nDATA\r\nevil\r\n"
    async with line_client(smtp.address, GREETING) as client:
        assert await deliver(client, b"one" + lure + second + b".\r\n") == b"250 2.0.0 stored"

    (body,) = bodies(smtp)
    assert second in body
    assert bodies(smtp, "joe") == []


@pytest.mark.parametrize("lure", [b"\n.\n", b"\n.\r\n", b"\n..x\r\n", b"\r\n\n.\r\n"])
async def test_a_bare_lf_before_a_dot_is_refused(smtp: Bench, lure: bytes) -> None:
    """No POP3 reply carries it so that strict and lenient clients read the same."""
    async with line_client(smtp.address, GREETING) as client:
        assert (await deliver(client, b"one" + lure + b"two\r\n.\r\n")).startswith(b"550 5.6.0 ")
        assert await client.smtp(b"NOOP") == b"250 OK"

    assert bodies(smtp) == []


# -- envelope --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sender", [b"", b"a@example.com", b'"a b"@example.com', "ü@ü.de".encode()]
)
async def test_the_return_path_is_what_mail_said(smtp: Bench, sender: bytes) -> None:
    """RFC 5321 §4.4, the null reverse-path too."""
    async with line_client(smtp.address, GREETING) as client:
        await deliver(client, SMALL + b".\r\n", sender=sender)

    (message,) = smtp.contents()
    trace = TRACE.match(message)
    assert trace is not None
    assert trace[1] == sender
    assert trace.group(2, 3) == (b"client.example", b"ESMTP")


@pytest.mark.parametrize("sender", [b"a\rb@example.com", b"a\x1b[2J@example.com", b"\xff@x.de"])
async def test_a_return_path_that_fits_no_header_line_is_refused(
    smtp: Bench, sender: bytes
) -> None:
    """Nothing gets into a header line that ends it or is no text."""
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"EHLO x")
        assert (await client.smtp(b"MAIL FROM:<" + sender + b">")).startswith(b"5")


async def test_what_a_client_calls_itself_cannot_forge_a_header(smtp: Bench) -> None:
    """All but the letters of names and address literals becomes a question mark."""
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"HELO x\rSubject: (forged) " + b"y" * 300)
        await client.smtp(b"MAIL FROM:<>")
        await client.smtp(b"RCPT TO:<jane@example.org>")
        await client.smtp(b"DATA")
        assert await client.smtp(SMALL + b".") == b"250 2.0.0 stored"

    trace = TRACE.match(smtp.contents()[0])
    assert trace is not None
    assert trace[2].startswith(b"x?Subject:??forged??y")
    assert len(trace[2]) == 255
    assert trace[3] == b"SMTP"


async def test_each_mailbox_gets_a_message_once(smtp: Bench) -> None:
    """However many of its addresses were given, in whatever case."""
    recipients = (b"Jane@Example.ORG", b"postmaster@example.org", b"joe@example.org")
    async with line_client(smtp.address, GREETING) as client:
        await deliver(client, SMALL + b".\r\n", *recipients)

    assert bodies(smtp) == bodies(smtp, "joe") == [SMALL]


@pytest.mark.parametrize(
    "recipient",
    [
        *(b"<x@example.com>", b"<jane@example.com>", b"<jane>", b"<jane%example.org@example.com>"),
        *(b"<example.org!jane>", b"<@example.com:x@example.org>", b"<jane@example.org@x.com>"),
        *(b"<joe%x.com@example.org>", b'<"x@x.com"@example.org>', b"<jane@[127.0.0.1]>"),
        *(b"<../jane@example.org>", b"<x@x.com>,<jane@example.org>", b"<>", b"", b"<\xff@x.de>"),
        *(b"<jane@example.org.>", b"<jane@example.org\0>", b"<'jane@example.org>"),
    ],
)
async def test_nothing_is_relayed(smtp: Bench, recipient: bytes) -> None:
    """A recipient is a configured address of a mailbox here, or refused for good."""
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"EHLO x")
        await client.smtp(b"MAIL FROM:<a@b>")
        assert (await client.smtp(b"RCPT TO:" + recipient)).startswith(b"5")
        assert (await client.smtp(b"DATA")).startswith(b"503")


async def test_recipients_have_a_limit(smtp: Bench) -> None:
    """RFC 5321 §4.5.3.1.8: 100 must be taken; one more can be sent again later."""
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"EHLO x")
        await client.smtp(b"MAIL FROM:<a@b>")
        replies = [await client.smtp(b"RCPT TO:<jane@example.org>") for _ in range(101)]

    assert replies == [b"250 2.1.5 ok"] * 100 + [b"452 4.5.3 too many recipients"]


@pytest.mark.parametrize(
    "lines",
    [
        [b"DATA"],
        [b"EHLO x", b"DATA"],
        [b"EHLO x", b"MAIL FROM:<a@b>", b"DATA"],
        [b"EHLO x", b"MAIL FROM:<a@b>", b"RCPT TO:<jane@example.org>", b"DATA now"],
        [b"EHLO x", b"MAIL FROM:<a@b>", b"RCPT TO:<jane@example.org>", b"RSET", b"DATA"],
    ],
)
async def test_data_out_of_turn_is_refused(smtp: Bench, lines: list[bytes]) -> None:
    """No message without an envelope."""
    async with line_client(smtp.address, GREETING) as client:
        replies = [await client.smtp(line) for line in lines]

    assert replies[-1].startswith(b"50")


# -- trouble ---------------------------------------------------------------------------------


async def test_a_full_disk_is_temporary_and_names_no_path(tmp_path: Path) -> None:
    """The client keeps the message and comes again; the session goes on."""
    bench = Bench(tmp_path, steps=FullDisk())
    async with (
        bench.serving(service(bench).make_protocol),
        line_client(bench.address, GREETING) as client,
    ):
        reply = await deliver(client, SMALL + b".\r\n")
        assert reply == b"451 4.3.0 cannot store mail now, try again later"
        assert await client.smtp(b"NOOP") == b"250 OK"


async def test_a_disk_that_fills_up_during_a_message_is_told_at_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the message must not be taken for commands."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("popsync.storage.content.write_fully", refuse)
    octets = b"QUIT\r\n" * 500_000 + b".\r\n"
    async with (
        bench.serving(service(bench).make_protocol),
        line_client(bench.address, GREETING) as client,
    ):
        assert (await deliver(client, octets)).startswith(b"451 4.3.0 ")
        assert await client.smtp(b"NOOP") == b"250 OK"


async def test_an_unforeseen_error_is_temporary(
    smtp: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doubt keeps mail: never a permanent code, never the error's text."""

    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("secret")

    monkeypatch.setattr(smtp.mailstore, "store", fail)
    async with line_client(smtp.address, GREETING) as client:
        assert (await deliver(client, SMALL + b".\r\n")).startswith(b"451 4.3.0 cannot store")


async def test_a_message_over_the_limit_is_refused_before_and_after_data(bench: Bench) -> None:
    """RFC 1870: as soon as the client says so, else when it has been read to its end."""
    async with (
        bench.serving(replace(service(bench), max_octets=1000).make_protocol),
        line_client(bench.address, GREETING) as client,
    ):
        await client.smtp(b"EHLO x")
        assert (await client.smtp(b"MAIL FROM:<a@b> SIZE=1001")).startswith(b"552")
        assert (await deliver(client, b"x" * 999 + b"\r\n.\r\n")).startswith(b"552 5.3.4 ")
        assert await deliver(client, b"x" * 998 + b"\r\n.\r\n") == b"250 2.0.0 stored"

    assert bodies(bench) == [b"x" * 998 + b"\r\n"]


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(smtp: Bench) -> None:
    """Without a final dot there is no message, and no file of it."""
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"EHLO x")
        await client.smtp(b"MAIL FROM:<a@b>")
        await client.smtp(b"RCPT TO:<jane@example.org>")
        await client.smtp(b"DATA")
        await client.send(b"x\r\n" * 1_000_000)

    assert [path for path in smtp.mailstore.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("idle", [True, False])
async def test_a_client_that_is_too_slow_is_parted_from(bench: Bench, *, idle: bool) -> None:
    """Between commands by silence, in a message also by dribbling."""
    slow = replace(service(bench), idle_timeout_s=10.0, data_timeout_s=10.0)
    slow = replace(slow, idle_timeout_s=0.1) if idle else replace(slow, data_timeout_s=0.1)
    async with (
        bench.serving(slow.make_protocol),
        line_client(bench.address, GREETING) as client,
    ):
        if not idle:
            await client.smtp(b"EHLO x")
            await client.smtp(b"MAIL FROM:<a@b>")
            await client.smtp(b"RCPT TO:<jane@example.org>")
            await client.smtp(b"DATA")
        assert await client.rest() == b""


async def test_stopping_leaves_no_task(bench: Bench) -> None:
    """Every connection is cut, also in the middle of a message."""
    async with (
        bench.serving(service(bench).make_protocol) as gate,
        line_client(bench.address, GREETING) as client,
    ):
        await client.smtp(b"EHLO x")
        await client.smtp(b"MAIL FROM:<a@b>")
        await client.smtp(b"RCPT TO:<jane@example.org>")
        await client.smtp(b"DATA")
        await gate.clear()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1


# -- login and TLS ---------------------------------------------------------------------------


@pytest.fixture
async def secure(bench: Bench, tmp_path: Path) -> AsyncIterator[tuple[Bench, ssl.SSLContext]]:
    """Serve SMTP as outside loopback: with a certificate, and insisting on it."""
    certificate = issue_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate.chain_file, certificate.key_file)
    async with bench.serving(service(bench, tls=tls).make_protocol):
        yield bench, trusting(certificate.ca_file)


async def test_outside_loopback_mail_needs_tls_and_a_login(
    secure: tuple[Bench, ssl.SSLContext],
) -> None:
    """P7: AUTH is neither offered nor taken in the clear, MAIL not without it."""
    bench, context = secure
    login = b"AUTH PLAIN AGphbmUAc2VjcmV0IHdvcmQ="
    async with line_client(bench.address, GREETING) as client:
        await client.send(b"EHLO x\r\n")
        offered = [await client.line() for _ in range(7)]
        assert offered[-1].startswith(b"250 ")
        assert b"250-STARTTLS" in offered
        assert not any(b"AUTH" in line for line in offered)
        assert (await client.smtp(login)).startswith(b"538")
        assert (await client.smtp(b"MAIL FROM:<a@b>")).startswith(b"530")
        assert (await client.smtp(b"STARTTLS")).startswith(b"220")
        await client.start_tls(context)
        await client.smtp(b"EHLO client.example")
        assert (await client.smtp(b"MAIL FROM:<a@b>")).startswith(b"530")
        assert (await client.smtp(login)).startswith(b"235")
        assert await deliver(client, SMALL + b".\r\n") == b"250 2.0.0 stored"

    trace = TRACE.match(bench.contents()[0])
    assert trace is not None
    assert trace[3] == b"ESMTPSA"


async def test_what_was_sent_behind_starttls_is_dropped(
    secure: tuple[Bench, ssl.SSLContext],
) -> None:
    """Commands injected into the clear part are never carried out under TLS."""
    bench, context = secure
    async with line_client(bench.address, GREETING) as client:
        await client.smtp(b"EHLO x")
        assert (await client.smtp(b"STARTTLS\r\nEHLO injected")).startswith(b"220")
        await client.start_tls(context)
        assert (await client.smtp(b"AUTH PLAIN AGphbmUAc2VjcmV0IHdvcmQ=")).startswith(b"503")


async def test_each_refused_login_waits_longer_and_a_fourth_is_not_heard(smtp: Bench) -> None:
    """Guessing costs time and connections; on loopback a login is not needed but possible."""
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"EHLO x")
        for login in (b"AGphbmUAd3Jvbmc=", b"AG5vYm9keQBzZWNyZXQgd29yZA==", b"!!!"):
            assert (await client.smtp(b"AUTH PLAIN " + login)).startswith((b"535", b"501"))
        assert (await client.smtp(b"AUTH PLAIN AGphbmUAc2VjcmV0IHdvcmQ=")).startswith(b"421")
        assert await client.rest() == b""

    assert smtp.slept == [1, 2, 4]


async def test_a_login_in_two_steps(smtp: Bench) -> None:
    """RFC 4954, PLAIN and the older LOGIN."""
    async with line_client(smtp.address, GREETING) as client:
        await client.smtp(b"EHLO x")
        assert (await client.smtp(b"AUTH LOGIN")).startswith(b"334")
        assert (await client.smtp(b"amFuZQ==")).startswith(b"334")
        assert (await client.smtp(b"c2VjcmV0IHdvcmQ=")).startswith(b"235")

    assert smtp.slept == []
