"""What became of single messages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from popsync.ledger import LedgerReader, SqliteLedger, read_ledger
from popsync.ledger.reports import DeliveredMessage, DeliveryStory
from popsync.model import AccountId, DeliveryState, MessageState
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen
from tests.unit.ledger.conftest import HandClock
from tests.unit.ledger.test_recording import change

OTHER = AccountId("bob@pop.example.org")
U1 = make_key(b"u1")
U2 = make_key(b"u2")
BOBS = make_key(b"u1", account=OTHER)


@pytest.fixture
def reader(ledger: SqliteLedger, tmp_path: Path) -> Iterator[LedgerReader]:
    """Give what reads the ledger beside the one that writes it."""
    with read_ledger(tmp_path / "state") as opened:
        yield opened


async def deliver(ledger: SqliteLedger, clock: HandClock) -> None:
    """Deliver three messages of two accounts, a second apart."""
    for message in (U1, BOBS, U2):
        clock.now += 1
        name = f"<{message.unique_id.decode()}@example.org>"
        await ledger.record(
            [make_seen(message)._replace(message_id=name)], [change(message, DeliveryState.STAGED)]
        )
        await ledger.record([], [change(message, DeliveryState.DELIVERED)])


async def test_the_last_deliveries_newest_last(
    ledger: SqliteLedger, reader: LedgerReader, clock: HandClock
) -> None:
    """All of one account, or the last few of all; what is only staged is not among them."""
    began = clock.now
    await deliver(ledger, clock)
    await ledger.record([make_seen(make_key(b"u3"))], [])

    assert [row.unique_id for row in reader.delivered(ACCOUNT, 9)] == [b"u1", b"u2"]
    assert [row.account for row in reader.delivered(None, 2)] == [OTHER, ACCOUNT]
    assert reader.delivered(ACCOUNT, 1) == (
        DeliveredMessage(
            began + 3, ACCOUNT, U2.unique_id, 100, "<u2@example.org>", "inbox", "", "reply"
        ),
    )


@pytest.mark.parametrize("name", ["<u2@example.org>", "u2@example.org", "u2", " u2 "])
async def test_a_message_is_found_by_either_name(
    ledger: SqliteLedger, reader: LedgerReader, clock: HandClock, name: str
) -> None:
    """Message-ID with and without its brackets, and unique-id."""
    await deliver(ledger, clock)

    assert [story.unique_id for story in reader.stories(name)] == [b"u2"]


@pytest.mark.parametrize("name", ["", "<>", "u", "u2@example", "%", "\udcff"])
async def test_what_is_not_its_name_finds_nothing(
    ledger: SqliteLedger, reader: LedgerReader, clock: HandClock, name: str
) -> None:
    """No part of a name, and not the missing Message-ID of those that have none."""
    await deliver(ledger, clock)
    await ledger.record([make_seen(make_key(b"u3"))], [])

    assert reader.stories(name) == ()


async def test_several_messages_of_one_name_are_all_told(
    ledger: SqliteLedger, reader: LedgerReader, clock: HandClock
) -> None:
    """Two accounts may well use the same unique-id."""
    await deliver(ledger, clock)

    assert [story.account for story in reader.stories("u1")] == [ACCOUNT, OTHER]


async def test_a_story_has_every_delivery_and_the_end(
    ledger: SqliteLedger, reader: LedgerReader, clock: HandClock
) -> None:
    """What each destination said, the DELEs, and that the message is gone."""
    seen = clock.now
    await ledger.record(
        [make_seen(U1, ("inbox", ""), ("mta", "a"))],
        [
            change(U1, DeliveryState.STAGED),
            change(U1, DeliveryState.DEFERRED, "mta", "a", attempts=2, next_try=50.0),
        ],
    )
    await ledger.note_deletions(ACCOUNT, [U1.unique_id])
    clock.now += 9
    await ledger.close_listing(ACCOUNT, gone=[], renumbering=False)

    (story,) = reader.stories("u1")

    assert (story.state, story.digest, story.deletions) == (MessageState.PENDING, U1.digest, 1)
    assert (story.first_seen, story.settled_at, story.gone_at) == (seen, None, None)
    assert story.deliveries == (
        DeliveryStory("inbox", "", DeliveryState.STAGED, "reply", 0, 0, None, seen),
        DeliveryStory("mta", "a", DeliveryState.DEFERRED, "reply", 2, 0, 50.0, seen),
    )


async def test_a_message_that_left_says_when(
    ledger: SqliteLedger, reader: LedgerReader, clock: HandClock
) -> None:
    """As long as the ledger remembers it."""
    await deliver(ledger, clock)
    clock.now += 9
    await ledger.close_listing(ACCOUNT, gone=[U2.unique_id], renumbering=False)

    (story,) = reader.stories("u2")

    assert (story.state, story.gone_at) == (MessageState.GONE, clock.now)
