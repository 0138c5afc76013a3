"""Servers that share no code with us: a misreading of ours would show here."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from popsync.destinations.lmtp import LmtpDestination, LmtpSettings
from popsync.model import Parcel
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix, SmtpSink
from tests.unit.destinations.relaying import (
    QUICK,
    RecordingJournal,
    make_lmtp,
    make_parcel,
    make_smtp,
)

BODIES = [
    b"Subject: plain\r\n\r\nhello\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n...\r\n",
    b"Subject: no end\r\n\r\nlast line",
    b"Subject: \xc3\xa4\r\n\r\n\xff\xfe\r\n",
    b"Subject: large\r\n\r\n" + b"0123456789" * 7 + b"\r\n" * 20_000 + b".\r\n",
    b"Subject: smuggled\r\n\r\na\r\n.\r\nMAIL FROM:<evil@x>\r\n.\r\nQUIT\r\n",
]


def make_parcels(*to: str) -> list[Parcel]:
    """Make one parcel for each body."""
    return [make_parcel(n, body, to=to) for n, body in enumerate(BODIES)]


def expected() -> list[bytes]:
    """Give what must arrive, sorted."""
    return sorted(
        b"X-Trace: 1\r\n" + body + (b"" if body.endswith(b"\r\n") else b"\r\n") for body in BODIES
    )


async def test_smtp_sink_gets_every_message_once(smtp_sink: SmtpSink) -> None:
    """Postfix's own sink: PIPELINING, two recipients a message."""
    journal = RecordingJournal()
    destination = make_smtp(smtp_sink.port)
    await destination.deliver(make_parcels("jane@example.org", "joe@example.org"), journal)
    await destination.close()
    sunk = smtp_sink.messages()

    assert sorted(m.content for m in sunk) == expected()
    assert {m.recipients for m in sunk} == {(b"jane@example.org", b"joe@example.org")}
    assert journal.kinds() == ["receipt"] * 2 * len(BODIES)


async def test_lmtp_sink_answers_for_each_recipient(lmtp_sink: SmtpSink) -> None:
    """The same over LMTP."""
    journal = RecordingJournal()
    destination = make_lmtp(port=lmtp_sink.port)
    await destination.deliver(make_parcels("jane@example.org", "joe@example.org"), journal)
    await destination.close()

    assert sorted(m.content for m in lmtp_sink.messages()) == expected()
    assert journal.kinds() == ["receipt"] * 2 * len(BODIES)


async def test_postfix_delivers_every_message_once(postfix: Postfix, postfix_user: str) -> None:
    """A real MTA that refuses bare line ends, PIPELINING with its own idea of buffers."""
    journal = RecordingJournal()
    destination = make_smtp(postfix.port)
    await destination.deliver(make_parcels(postfix_user), journal)
    await destination.close()
    messages = await asyncio.to_thread(postfix.wait_for_messages, postfix_user, len(BODIES))

    assert sorted(messages) == expected()
    assert journal.kinds() == ["receipt"] * len(BODIES)


@pytest.mark.parametrize("over", ["unix", "tcp"])
async def test_dovecot_delivers_every_message_once(
    dovecot: Dovecot, dovecot_user: str, over: str
) -> None:
    """A real LMTP server; one that takes bare line ends for ends of data is not misled."""
    settings = LmtpSettings(host="127.0.0.1", port=dovecot.lmtp_port, deadlines=QUICK)
    if over == "unix":
        settings = LmtpSettings(socket=str(dovecot.lmtp_socket), deadlines=QUICK)
    journal = RecordingJournal()
    smuggling = make_parcel(
        9, b"Subject: 9\r\n\r\na\n.\nQUIT\r\n.\nRSET\n.\r\nb\r\n", to=(dovecot_user,)
    )
    destination = LmtpDestination("dovecot", settings)
    await destination.deliver([*make_parcels(dovecot_user), smuggling], journal)
    await destination.close()
    arrived = sorted(_without_bare(m) for m in dovecot.messages(dovecot_user))

    assert journal.kinds() == ["receipt"] * (len(BODIES) + 1)
    assert len(arrived) == len(BODIES) + 1
    assert set(expected()) <= set(arrived)


def _without_bare(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class _Intake:
    """Keeps what aiosmtpd was sent."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    async def handle_DATA(  # noqa: N802 — aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.original_content
        assert content is not None
        self.contents.append(content)
        return "250 kept"


@asynccontextmanager
async def aiosmtpd_server(intake: _Intake) -> AsyncIterator[int]:
    """Run aiosmtpd on a loopback port and give its number."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(
        lambda: SMTP(intake, hostname="mx", loop=loop, enable_SMTPUTF8=True), sock=listener
    )
    try:
        yield listener.getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_aiosmtpd_gets_every_message_once() -> None:
    """A strict server without PIPELINING, with SIZE, 8BITMIME and SMTPUTF8."""
    intake, journal = _Intake(), RecordingJournal()
    async with aiosmtpd_server(intake) as port:
        destination = make_smtp(port)
        await destination.deliver(make_parcels("jörg@example.org"), journal)
        await destination.close()

    assert sorted(intake.contents) == expected()
    assert journal.kinds() == ["receipt"] * len(BODIES)
