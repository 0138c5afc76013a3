"""No message smuggles another one into a server, whatever it takes for the end of data."""

import asyncio
from collections import Counter
from pathlib import Path

from popsync.server.smtp import SmtpService
from tests.doubles.bundled_server import Bench
from tests.servers.postfix import Postfix
from tests.unit.destinations.relaying import (
    FALSE_ENDS,
    RecordingJournal,
    make_parcel,
    make_smtp,
    smuggle,
)


async def _deliver(port: int, to: str) -> RecordingJournal:
    parcels = [make_parcel(n, smuggle(end, to), to=(to,)) for n, end in enumerate(FALSE_ENDS)]
    journal = RecordingJournal()
    destination = make_smtp(port)
    await destination.deliver(parcels, journal)
    await destination.close()
    assert journal.kinds() == ["receipt"] * len(FALSE_ENDS)
    return journal


def _expected() -> Counter[bytes]:
    return Counter(smuggle(end).partition(b"before")[0] for end in FALSE_ENDS)


def _heads(messages: list[bytes]) -> Counter[bytes]:
    return Counter(
        message[message.index(b"Subject: ") :].partition(b"before")[0] for message in messages
    )


async def test_postfix_counts_as_many_messages_as_were_sent(
    postfix: Postfix, postfix_user: str
) -> None:
    """It even refuses bare line feeds, and meets none."""
    await _deliver(postfix.port, postfix_user)
    arrived = await asyncio.to_thread(postfix.wait_for_messages, postfix_user, len(FALSE_ENDS))

    assert _heads(arrived) == _expected()
    assert all(message.endswith(b"QUIT\r\n") for message in arrived)


async def test_the_bundled_server_counts_as_many_messages_as_were_sent(tmp_path: Path) -> None:
    """It refuses a dot between bare line feeds, and meets none."""
    bench = Bench(tmp_path)
    service = SmtpService(
        sleep=bench.sleep,
        hostname="mail.example",
        mailboxes=bench.mailboxes,
        mailstore=bench.mailstore,
        tls=None,
        secure_only=False,
    )
    async with bench.serving(service.make_protocol):
        await _deliver(bench.address[1], "jane@example.org")
    arrived = bench.contents()

    assert _heads(arrived) == _expected()
    assert all(message.endswith(b"QUIT\r\n") for message in arrived)
