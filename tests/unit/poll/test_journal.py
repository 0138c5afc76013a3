import asyncio
from collections.abc import Sequence

import pytest

from popsync.errors import DeliveryRejected, LedgerUnavailable
from popsync.model import (
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    Intent,
    Receipt,
    Refusal,
    SeenMessage,
)
from popsync.poll.events import Delivered, NotDelivered
from popsync.poll.journal import BatchJournal
from tests.doubles.polling import ACCOUNT_ID, Desk, message_key

A, B = b"Message-ID: <a@x>\r\n\r\n", b"Subject: b\r\n\r\n"
MESSAGE_IDS = {A: "<a@x>", B: ""}
ROUTES = (("inbox", ""), ("relay", ""))
KEYS = {octets: message_key(octets, b"u-" + octets[:1]) for octets in (A, B)}


def journal_for(desk: Desk, *messages: bytes) -> BatchJournal:
    """Open the journal of a batch of new messages that both destinations are owed."""
    return BatchJournal(
        desk.ports,
        account="work",
        seen={
            KEYS[m]: SeenMessage(KEYS[m], len(m), 1, False, ROUTES, message_id=MESSAGE_IDS[m])
            for m in messages
        },
        statuses={},
    )


def staged(octets: bytes, destination: str = "inbox") -> Intent:
    """Give the intent to rename a file."""
    return Intent(KEYS[octets], destination, ("",), DeliveryState.STAGED, staged_as="name")


def receipt(octets: bytes, destination: str = "inbox") -> Receipt:
    """Give a receipt."""
    return Receipt(DeliveryKey(KEYS[octets], destination, ""), "250 ok")


async def states(desk: Desk, octets: bytes) -> dict[str, DeliveryState] | None:
    """Give where a message's deliveries stand; None when the ledger does not know it."""
    known = (await desk.ledger.deliveries([KEYS[octets]])).get(KEYS[octets])
    if known is None:
        return None
    return {key.destination: status.state for key, status in known.items()}


async def test_the_first_record_writes_all_that_the_message_owes(desk: Desk) -> None:
    """A crash right after it cannot forget the second destination (P1)."""
    journal = journal_for(desk, A, B)

    await journal.record([], [staged(A)])

    assert await states(desk, A) == {
        "inbox": DeliveryState.STAGED,
        "relay": DeliveryState.SEEN,
    }
    assert await states(desk, B) is None


async def test_a_receipt_is_announced_once_it_is_durable(desk: Desk) -> None:
    """With what a log line needs (P2)."""
    journal = journal_for(desk, A)
    await journal.record([], [staged(A)])
    assert desk.events == []

    await journal.record([receipt(A)], [])

    assert desk.events == [
        Delivered("work", KEYS[A].unique_id, len(A), "<a@x>", "inbox", "", "250 ok")
    ]
    assert journal.received == {receipt(A).delivery}
    assert (await states(desk, A) or {})["inbox"] is DeliveryState.DELIVERED


async def test_a_refusal_is_announced_with_its_state(desk: Desk) -> None:
    """Held and deferred are counted by message."""
    journal = journal_for(desk, A)
    error = DeliveryRejected("554 no")

    await journal.record([Refusal(receipt(A).delivery, error)], [])

    assert desk.events == [
        NotDelivered("work", KEYS[A].unique_id, "inbox", "", error, DeliveryState.HELD)
    ]
    assert (journal.received, journal.held, journal.deferred) == (set(), {KEYS[A]}, set())


async def test_a_record_that_fails_announces_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes through, nothing counts as received, and a later record starts over."""
    journal = journal_for(desk, A)
    record = desk.ledger.record
    failure = LedgerUnavailable("disk full")

    async def fail(seen: Sequence[SeenMessage], changes: Sequence[DeliveryChange]) -> None:
        raise failure

    monkeypatch.setattr(desk.ledger, "record", fail)
    with pytest.raises(LedgerUnavailable):
        await journal.record([Refusal(receipt(A).delivery, DeliveryRejected("554"))], [])
    assert desk.events == []
    assert journal.held == set()

    monkeypatch.setattr(desk.ledger, "record", record)
    await journal.record([], [staged(A)])
    assert await states(desk, A) == {
        "inbox": DeliveryState.STAGED,
        "relay": DeliveryState.SEEN,
    }


async def test_two_destinations_may_both_be_first(desk: Desk) -> None:
    """Either writes the message; to tell the ledger twice does no harm."""
    journal = journal_for(desk, A)

    await asyncio.gather(journal.record([], [staged(A)]), journal.record([], [staged(A, "relay")]))

    assert await states(desk, A) == {
        "inbox": DeliveryState.STAGED,
        "relay": DeliveryState.STAGED,
    }


async def test_messages_that_are_owed_nothing_are_remembered_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a record has written already is not written again; nothing is no transaction."""
    calls: list[Sequence[SeenMessage]] = []
    record = desk.ledger.record

    async def count(seen: Sequence[SeenMessage], changes: Sequence[DeliveryChange]) -> None:
        calls.append(seen)
        await record(seen, changes)

    monkeypatch.setattr(desk.ledger, "record", count)
    journal = journal_for(desk, A, B)
    await journal.record([], [staged(A)])

    await journal.remember([KEYS[A], KEYS[B]])
    await journal.remember([])

    assert [[seen.message for seen in call] for call in calls] == [[KEYS[A]], [KEYS[B]]]
    assert list((await desk.ledger.memory(ACCOUNT_ID)).messages) == [b"u-M", b"u-S"]
