"""Messages and deliveries as the ledger remembers them."""

import pytest

from popsync.errors import LedgerError
from popsync.ledger import SqliteLedger
from popsync.model import (
    AccountId,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Intent,
    KnownMessage,
    MessageKey,
    MessageState,
    UniqueId,
    UnretrievedMessage,
)
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen
from tests.unit.ledger.conftest import HandClock

U1 = make_key(b"u1")
OTHER_BYTES = make_key(b"u1", b"other")


def change(
    message: MessageKey,
    state: DeliveryState,
    destination: str = "inbox",
    recipient: str = "",
    *,
    next_try: float | None = None,
    attempts: int = 0,
    staged_as: str = "",
) -> DeliveryChange:
    """Name a change of one delivery."""
    delivery = DeliveryKey(message, destination, recipient)
    return DeliveryChange(delivery, state, "reply", attempts, next_try, 0, staged_as)


async def settle(ledger: SqliteLedger, message: MessageKey) -> None:
    """Take a message all the way."""
    await ledger.record([make_seen(message)], [change(message, DeliveryState.STAGED)])
    await ledger.record([], [change(message, DeliveryState.DELIVERED)])


async def known(ledger: SqliteLedger, unique_id: bytes = b"u1") -> tuple[KnownMessage, ...]:
    """Give what is known of one unique-id."""
    memory = await ledger.memory(ACCOUNT)
    return memory.messages.get(UniqueId(unique_id), ())


async def test_an_unknown_account_has_an_empty_memory(ledger: SqliteLedger) -> None:
    """Nothing is known, and asking leaves no trace."""
    memory = await ledger.memory(ACCOUNT)

    assert (memory.messages, memory.polled_before) == ({}, False)
    assert await ledger.accounts() == ()


async def test_a_message_is_settled_once_every_delivery_has_its_receipt(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """One of two is not enough (P1)."""
    seen = make_seen(U1, ("inbox", ""), ("mta", "jane@example.org"))
    await ledger.record([seen], [change(U1, DeliveryState.STAGED)])
    await ledger.record([], [change(U1, DeliveryState.DELIVERED)])
    (half,) = await known(ledger)
    to_mta = ("mta", "jane@example.org")
    await ledger.record([], [change(U1, DeliveryState.DOT_SENT, *to_mta)])
    clock.now += 5
    await ledger.record([], [change(U1, DeliveryState.DELIVERED, *to_mta)])
    (whole,) = await known(ledger)

    assert (half.state, half.settled_at) == (MessageState.PENDING, None)
    assert (whole.state, whole.settled_at) == (MessageState.SETTLED, clock.now)
    assert whole.first_seen == clock.now - 5


async def test_the_earliest_next_try_counts(ledger: SqliteLedger) -> None:
    """A deferred message is due when its first delivery is, and now when one has no time."""
    seen = make_seen(U1, ("a", ""), ("b", ""), ("c", ""))
    deferred = DeliveryState.DEFERRED
    await ledger.record([seen], [change(U1, deferred, "a", next_try=30.0)])
    (one_untried,) = await known(ledger)
    await ledger.record(
        [], [change(U1, deferred, "b", next_try=20.0), change(U1, DeliveryState.HELD, "c")]
    )
    (all_tried,) = await known(ledger)

    assert (one_untried.state, one_untried.next_try) == (MessageState.PENDING, None)
    assert (all_tried.state, all_tried.next_try) == (MessageState.PENDING, 20.0)


async def test_a_message_no_destination_takes_is_held(ledger: SqliteLedger) -> None:
    """Held may still carry a time for another attempt."""
    await ledger.record([make_seen(U1)], [change(U1, DeliveryState.HELD, next_try=99.0)])
    (message,) = await known(ledger)

    assert (message.state, message.next_try) == (MessageState.HELD, 99.0)


async def test_a_message_that_owes_nothing_is_settled(ledger: SqliteLedger) -> None:
    """A renumbered message that was delivered under its old unique-id."""
    await ledger.record([make_seen(U1)._replace(deliveries=())], [])
    (message,) = await known(ledger)

    assert message.state is MessageState.SETTLED


async def test_seeing_again_changes_copies_and_doubt_only(ledger: SqliteLedger) -> None:
    """The deliveries stay those it began with."""
    await settle(ledger, U1)
    again = make_seen(U1, ("elsewhere", ""), octets=7, copies=3, suspect=True)
    await ledger.record([again], [])
    (message,) = await known(ledger)
    statuses = await ledger.deliveries([U1, make_key(b"unknown")])

    assert message.copies == 3
    assert message.suspect
    assert message.state is MessageState.SETTLED
    assert statuses == {
        U1: {DeliveryKey(U1, "inbox", ""): DeliveryStatus(DeliveryState.DELIVERED, 0, None)}
    }


async def test_other_bytes_under_a_unique_id_are_another_message(ledger: SqliteLedger) -> None:
    """A unique-id is not an identity; the older one comes first."""
    await settle(ledger, U1)
    await ledger.record([make_seen(OTHER_BYTES)], [])

    assert [(m.digest, m.state) for m in await known(ledger)] == [
        (U1.digest, MessageState.SETTLED),
        (OTHER_BYTES.digest, MessageState.PENDING),
    ]


async def test_a_retrieved_message_takes_the_place_of_its_unretrieved_self(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """Once its bytes are known there is one row, as old as the first sight of it."""
    refused = UnretrievedMessage(U1.unique_id, 10, MessageState.PENDING, "-ERR", next_try=5.0)
    await ledger.note_unretrieved(ACCOUNT, [refused])
    (before,) = await known(ledger)
    first_seen, clock.now = clock.now, clock.now + 9
    await settle(ledger, U1)
    (after,) = await known(ledger)

    assert (before.digest, before.state, before.next_try) == (None, MessageState.PENDING, 5.0)
    assert (after.digest, after.state, after.first_seen) == (
        U1.digest,
        MessageState.SETTLED,
        first_seen,
    )


async def test_a_refused_retrieval_of_a_known_message_leaves_no_trace_once_it_succeeds(
    ledger: SqliteLedger,
) -> None:
    """The row of the refusal goes when the same bytes come again."""
    await ledger.record([make_seen(U1)], [])
    refused = UnretrievedMessage(U1.unique_id, 10, MessageState.PENDING)
    await ledger.note_unretrieved(ACCOUNT, [refused, refused])
    both = await known(ledger)
    await ledger.record([make_seen(U1)], [])
    (one,) = await known(ledger)

    assert {message.digest for message in both} == {None, U1.digest}
    assert one.digest == U1.digest


async def test_a_message_after_the_tombstone_of_an_adopted_one_is_as_young_as_it_is(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """Or ``delete_after`` would count from another message's first day."""
    adopted = UnretrievedMessage(U1.unique_id, 10, MessageState.ADOPTED)
    await ledger.note_unretrieved(ACCOUNT, [adopted])
    await ledger.close_listing(ACCOUNT, gone=[U1.unique_id], renumbering=False)
    clock.now += 1000
    await ledger.record([make_seen(U1)], [])
    (message,) = await known(ledger)

    assert message.first_seen == clock.now


async def test_a_forbidden_step_changes_nothing(ledger: SqliteLedger) -> None:
    """A receipt is final, and what came with the attempt is undone too."""
    await settle(ledger, U1)

    with pytest.raises(LedgerError, match="delivered to held"):
        await ledger.record([make_seen(make_key(b"u2"))], [change(U1, DeliveryState.HELD)])
    assert [m.state for m in await known(ledger)] == [MessageState.SETTLED]
    assert await known(ledger, b"u2") == ()


@pytest.mark.parametrize("destination", ["inbox", "elsewhere"])
async def test_a_delivery_nobody_owes_is_refused(ledger: SqliteLedger, destination: str) -> None:
    """Neither an unknown message nor an unknown destination is made up on the way."""
    message = U1 if destination == "elsewhere" else make_key(b"unknown")
    await ledger.record([make_seen(U1)], [])

    with pytest.raises(LedgerError, match=f"owes {destination} no delivery"):
        await ledger.record([], [change(message, DeliveryState.STAGED, destination)])


async def test_open_intents_come_back_grouped(ledger: SqliteLedger, clock: HandClock) -> None:
    """One for each message, destination and step, with all its recipients and its time."""
    u2 = make_key(b"u2")
    seen = [make_seen(U1, ("inbox", ""), ("mta", "a"), ("mta", "b"), ("mta", "c")), make_seen(u2)]
    await ledger.record(
        seen,
        [
            change(U1, DeliveryState.STAGED, staged_as="file"),
            change(U1, DeliveryState.DOT_SENT, "mta", "a"),
            change(U1, DeliveryState.DOT_SENT, "mta", "c"),
        ],
    )
    began = clock.now
    clock.now += 1

    assert list(await ledger.open_intents(ACCOUNT)) == [
        Intent(U1, "inbox", ("",), DeliveryState.STAGED, "file", began),
        Intent(U1, "mta", ("a", "c"), DeliveryState.DOT_SENT, "", began),
    ]
    assert await ledger.staged_names() == {"file"}
    assert await ledger.open_intents(AccountId("somebody@else")) == ()


async def test_digests_are_known_once_settled_also_of_tombstones(ledger: SqliteLedger) -> None:
    """What was only seen has not been delivered to anybody."""
    u2 = make_key(b"u2")
    await settle(ledger, U1)
    await ledger.record([make_seen(u2)], [])
    before = await ledger.known_digests(ACCOUNT, [U1.digest, u2.digest])
    await ledger.close_listing(ACCOUNT, gone=[U1.unique_id, u2.unique_id], renumbering=False)
    after = await ledger.known_digests(ACCOUNT, [U1.digest, u2.digest])

    assert before == after == {U1.digest}
