"""What every message, or every poll, passes through; CONTRIBUTING.md tells how to get figures."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from popsync.destinations.line_ends import unix_line_ends
from popsync.destinations.maildir import MaildirDestination
from popsync.ledger import SqliteLedger, open_ledger
from popsync.model import (
    AccountMemory,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    KnownMessage,
    ListedMessage,
    Listing,
    MessageKey,
    MessageNumber,
    MessageState,
    UniqueId,
)
from popsync.poll.header import read_header
from popsync.poll.plan import PollPlan, plan_poll
from popsync.poll.policy import Policy
from popsync.wire.dots import DotDecoder, DotEncoder
from popsync.wire.pop3.client import Pop3ClientCodec, ReplyKind
from popsync.wire.smtp.body import encode_blocks, encode_whole
from popsync.wire.smtp.replies import Reply, ReplyReader
from tests.contract.destination import RecordingJournal
from tests.doubles.retrieved import make_key, make_parcel, make_seen

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

LINE = b"." + b"x" * 70 + b"\r\n"  # every line is stuffed: the worst case
MESSAGE = b"Subject: x\r\n\r\n" + LINE * 14_000  # 1 MB
PLAIN = (
    b"Received: from a by b; date\r\n" * 4
    + b"Message-ID: <1@example.org>\r\nSubject: x\r\n\r\n"
    + (b"x" * 70 + b"\r\n") * 120
)
CHUNK_OCTETS = 64 * 1024
BATCH_MESSAGES = 256
LISTED_MESSAGES = 10_000
NOW = 1_000_000.0


def cut(octets: bytes) -> list[bytes]:
    """Give the octets as a socket would."""
    return [octets[at : at + CHUNK_OCTETS] for at in range(0, len(octets), CHUNK_OCTETS)]


def stuffed(message: bytes) -> bytes:
    """Give what RETR brings of a message."""
    encoder = DotEncoder()
    return encoder.encode(message) + encoder.finish()


def test_unstuffing(benchmark: "BenchmarkFixture") -> None:
    """A megabyte comes out of its multi-line form as it was."""
    wire = b"\r\n" + stuffed(MESSAGE)

    content, _, ended = benchmark(lambda: DotDecoder().decode(wire, 0))

    assert ended
    assert content == MESSAGE


def test_replies_to_retr(benchmark: "BenchmarkFixture") -> None:
    """A hundred messages of 9 KB come out of what a server sends."""
    reply = b"+OK 9000 octets\r\n" + PLAIN + b".\r\n"

    def split() -> int:
        codec = Pop3ClientCodec()
        codec.expect(*[ReplyKind.BODY] * 100)
        codec.receive_data(reply * 100)
        return sum(1 for _ in iter(codec.next_event, None))

    assert benchmark(split) == 100


def test_reading_a_header(benchmark: "BenchmarkFixture") -> None:
    """What a poll needs to know of a message of 9 KB."""
    header = benchmark(lambda: read_header(iter((PLAIN,))))

    assert header.message_id == b"<1@example.org>"
    assert header.received == 4


def test_writing_a_maildir(
    benchmark: "BenchmarkFixture", runner: asyncio.Runner, tmp_path: Path
) -> None:
    """256 messages of 9 KB are staged and moved, durably, without a ledger."""
    destination = MaildirDestination("inbox", tmp_path / "Mail", token="ab" * 8, hostname="host")
    runner.run(destination.ready())
    numbers = count()

    async def deliver() -> None:
        parcels = [make_parcel(b"u%d" % next(numbers), PLAIN) for _ in range(BATCH_MESSAGES)]
        await destination.deliver(parcels, RecordingJournal())

    benchmark(lambda: runner.run(deliver()))

    assert len(list((tmp_path / "Mail" / "new").iterdir())) % BATCH_MESSAGES == 0
    assert not list((tmp_path / "Mail" / "tmp").iterdir())


def test_unix_line_ends(benchmark: "BenchmarkFixture") -> None:
    """A megabyte is written with LF for CRLF."""
    chunks = cut(MESSAGE)

    written = benchmark(lambda: b"".join(unix_line_ends(chunks)))

    assert written == MESSAGE.replace(b"\r\n", b"\n")


def test_smtp_body(benchmark: "BenchmarkFixture") -> None:
    """A megabyte is put into the form of DATA."""
    chunks = cut(MESSAGE)

    body = benchmark(lambda: b"".join(encode_blocks(chunks, normalise=True)))

    assert body + b".\r\n" == stuffed(MESSAGE)


def test_smtp_small_body(benchmark: "BenchmarkFixture") -> None:
    """Nine kilobytes are looked through and put into the form of DATA."""
    message = (
        b"Subject: a\r\n\r\n" + b"A line of the usual length, more or less, and no dot.\r\n" * 170
    )

    found, body = benchmark(lambda: encode_whole(message, normalise=True))

    assert (found.octets, body) == (len(message), message)


def test_smtp_replies(benchmark: "BenchmarkFixture") -> None:
    """What answers a final dot and the envelope behind it is read."""
    octets = b"250 2.0.0 ok\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n"

    def read() -> list[Reply]:
        reader = ReplyReader()
        reader.feed(octets)
        return list(iter(reader.next_reply, None))

    assert [reply.code for reply in benchmark(read)] == [250, 250, 250, 354]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Give an event loop for the calls of one test."""
    with asyncio.Runner() as loop:
        yield loop


@pytest.fixture
def ledger(runner: asyncio.Runner, tmp_path: Path) -> Iterator[SqliteLedger]:
    """Give an open, empty ledger."""
    opened = runner.run(open_ledger(tmp_path / "state", clock=lambda: NOW))
    yield opened
    runner.run(opened.close())


def changes(messages: list[MessageKey], state: DeliveryState) -> list[DeliveryChange]:
    """Give the same change for every message's delivery to its Maildir."""
    return [
        DeliveryChange(DeliveryKey(key, "inbox", ""), state, "", 0, None, 0) for key in messages
    ]


def test_recording_a_batch(
    benchmark: "BenchmarkFixture", runner: asyncio.Runner, ledger: SqliteLedger
) -> None:
    """256 new messages are remembered, staged and delivered, durably, in two commits."""
    numbers = count()

    async def record() -> list[MessageKey]:
        keys = [make_key(b"u%d" % next(numbers)) for _ in range(BATCH_MESSAGES)]
        seen = [make_seen(key) for key in keys]
        await ledger.record(seen, changes(keys, DeliveryState.STAGED))
        await ledger.record([], changes(keys, DeliveryState.DELIVERED))
        return keys

    (key, *_) = benchmark(lambda: runner.run(record()))

    memory = runner.run(ledger.memory(key.account))
    assert memory.messages[key.unique_id][0].state is MessageState.SETTLED


def listing() -> Listing:
    """Give 10,000 rows."""
    rows = (
        ListedMessage(MessageNumber(number), UniqueId(b"unique-id-%d" % number), 9000)
        for number in range(1, LISTED_MESSAGES + 1)
    )
    return Listing(tuple(rows), complete=True)


def settled(unique_id: UniqueId) -> KnownMessage:
    """Give a message that was delivered."""
    digest = make_key(unique_id).digest
    return KnownMessage(
        unique_id,
        digest,
        MessageState.SETTLED,
        1,
        first_seen=NOW - 9,
        settled_at=NOW - 8,
        next_try=None,
        suspect=False,
        deletions=0,
        oversize=False,
    )


@pytest.mark.parametrize("is_known", [True, False], ids=["nothing new", "all new"])
def test_planning_a_poll(benchmark: "BenchmarkFixture", *, is_known: bool) -> None:
    """10,000 rows are looked through: each is retrieved if it is new, else left alone."""
    shown = listing()
    unique_ids = [row.unique_id for row in shown.messages] if is_known else []
    memory = AccountMemory({known: (settled(known),) for known in unique_ids}, polled_before=True)

    plan: PollPlan = benchmark(lambda: plan_poll(shown, memory, Policy(deletes=False), NOW))

    assert len(plan.retrieve) == (0 if is_known else LISTED_MESSAGES)
    assert plan.is_whole
