"""What was set aside, and what the operator makes of it."""

from popsync.ledger import HeldDelivery, SqliteLedger
from popsync.model import DeliveryChange, DeliveryState, MessageState, UnretrievedMessage
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen
from tests.unit.ledger.conftest import HandClock
from tests.unit.ledger.test_recording import change, known

U1 = make_key(b"u1")
LARGE = UnretrievedMessage(
    make_key(b"large").unique_id, 10**9, MessageState.HELD, "too large", oversize=True
)


async def hold(ledger: SqliteLedger) -> int:
    """Have one destination of two refuse a message for good; give its number."""
    await ledger.record(
        [make_seen(U1, ("inbox", ""), ("mta", "a"))],
        [
            change(U1, DeliveryState.STAGED),
            change(U1, DeliveryState.HELD, "mta", "a", attempts=2, next_try=50.0),
        ],
    )
    await ledger.record([], [change(U1, DeliveryState.DELIVERED)])
    (row,) = await ledger.held()
    return row.id


async def test_held_deliveries_are_listed_with_all_that_is_known(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """The refused one, not the one that arrived; and the message that was never retrieved."""
    number = await hold(ledger)
    await ledger.note_unretrieved(ACCOUNT, [LARGE])
    refused, large = await ledger.held()

    assert refused == HeldDelivery(
        number,
        ACCOUNT,
        U1.unique_id,
        100,
        clock.now,
        "mta",
        "a",
        "reply",
        2,
        50.0,
        "",
        oversize=False,
        digest=U1.digest,
    )
    assert (large.octets, large.destination, large.reason) == (10**9, "", "too large")
    assert large.oversize
    assert list(await ledger.held_message(number)) == [refused]
    assert [report.held for report in await ledger.accounts()] == [2]


async def test_what_waits_is_counted_for_each_destination(ledger: SqliteLedger) -> None:
    """A message is one, however many recipients it has there; held and delivered ones are not."""
    await hold(ledger)
    messages = [make_key(b"u2"), make_key(b"u3")]
    await ledger.record(
        [make_seen(m, ("inbox", ""), ("mta", "a"), ("mta", "b")) for m in messages],
        [change(m, DeliveryState.STAGED) for m in messages],
    )
    await ledger.record([], [change(messages[0], DeliveryState.DELIVERED)])

    (report,) = await ledger.accounts()
    assert report.waiting_for == (("inbox", 1), ("mta", 2))


async def test_a_retried_message_is_due_at_once(ledger: SqliteLedger) -> None:
    """Only what was refused is tried again."""
    number = await hold(ledger)

    assert await ledger.retry_held(number)
    assert not await ledger.retry_held(number)
    (message,) = await known(ledger)
    assert (message.state, message.next_try) == (MessageState.PENDING, None)
    assert await ledger.held() == ()
    statuses = (await ledger.deliveries([U1]))[U1]
    assert {key.destination: status.state for key, status in statuses.items()} == {
        "inbox": DeliveryState.DELIVERED,
        "mta": DeliveryState.SEEN,
    }


async def test_a_retried_message_too_large_before_is_retrieved(ledger: SqliteLedger) -> None:
    """The operator wants it."""
    await ledger.note_unretrieved(ACCOUNT, [LARGE])
    ((number, *_),) = await ledger.held()

    assert await ledger.retry_held(number)
    (message,) = await known(ledger, b"large")
    assert (message.state, message.oversize) == (MessageState.PENDING, False)


async def test_a_dropped_message_stays_dropped(ledger: SqliteLedger) -> None:
    """Whether it is seen, refused or gone afterwards: the operator's word does not expire."""
    number = await hold(ledger)

    assert await ledger.drop_held(number)
    assert not await ledger.drop_held(number)
    await ledger.record([make_seen(U1)], [change(U1, DeliveryState.DEFERRED, "mta", "a")])
    await ledger.close_listing(ACCOUNT, gone=[U1.unique_id], renumbering=False)
    assert [m.state for m in await known(ledger)] == [MessageState.DROPPED]
    assert await ledger.held() == ()


async def test_a_dropped_large_message_stays_dropped(ledger: SqliteLedger) -> None:
    """The next listing finds it too large again, and changes nothing."""
    await ledger.note_unretrieved(ACCOUNT, [LARGE])
    ((number, *_),) = await ledger.held()
    await ledger.drop_held(number)
    await ledger.note_unretrieved(ACCOUNT, [LARGE])

    assert [m.state for m in await known(ledger, b"large")] == [MessageState.DROPPED]


async def test_a_message_still_on_its_way_is_not_dropped(ledger: SqliteLedger) -> None:
    """While another destination may take it, it is not the operator's to give up."""
    await ledger.record(
        [make_seen(U1, ("a", ""), ("b", ""))], [change(U1, DeliveryState.HELD, "a")]
    )
    ((number, *_),) = await ledger.held()

    assert not await ledger.drop_held(number)


async def test_what_is_owed_to_a_destination_no_longer_configured_is_held(
    ledger: SqliteLedger,
) -> None:
    """It waits for the operator; what others are owed goes on, what arrived stays."""
    seen = make_seen(U1, ("inbox", ""), ("old", ""), ("old", "a"))
    await ledger.record([seen], [change(U1, DeliveryState.DEFERRED, "old", next_try=9.0)])

    assert await ledger.reroute(ACCOUNT, {("inbox", "")}) == 2
    assert await ledger.reroute(ACCOUNT, {("inbox", "")}) == 0
    assert [row.destination for row in await ledger.held()] == ["old", "old"]
    assert "no longer configured" in (await ledger.held())[0].reply
    assert [m.state for m in await known(ledger)] == [MessageState.PENDING]


async def test_what_a_recipient_was_owed_goes_to_those_who_are_named_now(
    ledger: SqliteLedger,
) -> None:
    """A mistyped recipient is mended in the configuration; who has the message gets no other."""
    seen = make_seen(U1, ("mta", "jnae"), ("mta", "june"))
    refused = change(U1, DeliveryState.HELD, "mta", "jnae")
    arrived = change(U1, DeliveryState.DOT_SENT, "mta", "june")
    await ledger.record([seen], [refused, arrived])
    await ledger.record([], [change(U1, DeliveryState.DELIVERED, "mta", "june")])

    assert await ledger.reroute(ACCOUNT, {("mta", "jane"), ("mta", "june")}) == 0

    (owed,) = (await ledger.deliveries([seen.message])).values()
    assert {(key.recipient, status.state) for key, status in owed.items()} == {
        ("jane", DeliveryState.SEEN),
        ("june", DeliveryState.DELIVERED),
    }


async def test_what_may_have_been_sent_is_settled_before_it_follows_a_change(
    ledger: SqliteLedger,
) -> None:
    """Only its own destination can tell what became of it."""
    sent = change(U1, DeliveryState.DOT_SENT, "mta", "jnae")
    await ledger.record([make_seen(U1, ("mta", "jnae"))], [sent])

    assert await ledger.reroute(ACCOUNT, {("mta", "jane")}) == 0
    assert [intent.recipients for intent in await ledger.open_intents(ACCOUNT)] == [("jnae",)]


async def test_recording_nothing_writes_nothing(ledger: SqliteLedger) -> None:
    """No commit for an empty hand."""
    await ledger.record([], [])

    assert await ledger.accounts() == ()


async def test_deliveries_in_doubt_are_counted(ledger: SqliteLedger) -> None:
    """From the lost reply until the next try; what is held is in no doubt."""
    await hold(ledger)
    u2 = make_key(b"u2")
    await ledger.record(
        [make_seen(u2, ("mta", "a"))], [change(u2, DeliveryState.DOT_SENT, "mta", "a")]
    )
    before = await ledger.in_doubt()
    await ledger.record([], [change(u2, DeliveryState.IN_DOUBT, "mta", "a")])

    assert (before, await ledger.in_doubt()) == (0, 1)


async def spool(ledger: SqliteLedger, *changes: DeliveryChange) -> int:
    """Have a message in the spool; give its number."""
    await ledger.record([make_seen(U1, ("inbox", ""), ("mta", "a"))], changes)
    await ledger.note_spooled([U1])
    return (await ledger.held())[0].id


async def test_what_waits_in_the_spool_is_listed_too(ledger: SqliteLedger) -> None:
    """Each delivery that is still to be made, and whether it is held; none that was made."""
    await spool(ledger, change(U1, DeliveryState.DEFERRED, "mta", "a", next_try=50.0))
    waiting = [(row.destination, row.is_waiting, row.next_try) for row in await ledger.held()]
    await ledger.record([], [change(U1, DeliveryState.HELD, "mta", "a")])
    await ledger.record([], [change(U1, DeliveryState.STAGED)])
    await ledger.record([], [change(U1, DeliveryState.DELIVERED)])

    assert waiting == [("inbox", True, None), ("mta", True, 50.0)]
    (row,) = await ledger.held()
    assert (row.destination, row.is_waiting, row.spooled) == ("mta", False, True)


async def test_what_waits_in_the_spool_may_be_hastened(ledger: SqliteLedger) -> None:
    """It is due at once, with the attempts it has had."""
    number = await spool(
        ledger, change(U1, DeliveryState.DEFERRED, "mta", "a", attempts=3, next_try=50.0)
    )

    assert await ledger.retry_held(number)
    statuses = (await ledger.deliveries([U1]))[U1]
    assert [(s.attempts, s.next_try) for s in statuses.values()] == [(0, None), (3, None)]


async def test_what_waits_in_the_spool_may_be_dropped(ledger: SqliteLedger) -> None:
    """Nothing else that waits may; then its copy has no meaning any more."""
    await ledger.record([make_seen(U1, ("inbox", ""))], [])
    assert not await ledger.drop_held(1)
    number = await spool(ledger)

    assert await ledger.drop_held(number)
    assert await ledger.all_spooled() == {}
    assert await ledger.held() == ()
    assert (await known(ledger))[0].state is MessageState.DROPPED
