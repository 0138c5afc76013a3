"""What a poll tells the ledger of its account."""

import pytest

from popsync.ledger import SqliteLedger, StoredStanding
from popsync.ledger.polling import TOMBSTONES_KEPT_S
from popsync.ledger.recording import format_day
from popsync.model import DeliveryState, MessageState, PollSummary, UniqueId, UnretrievedMessage
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen
from tests.unit.ledger.conftest import HandClock
from tests.unit.ledger.test_recording import change, known, settle

U1 = make_key(b"u1")


async def bury(ledger: SqliteLedger, unique_id: UniqueId = U1.unique_id) -> None:
    """Close a listing that does not show a message."""
    await ledger.close_listing(ACCOUNT, gone=[unique_id], renumbering=False)


async def test_a_listing_without_a_settled_message_makes_a_tombstone(ledger: SqliteLedger) -> None:
    """It is still known, for servers forget and remember."""
    await settle(ledger, U1)
    await bury(ledger)
    (message,) = await known(ledger)

    assert message.state is MessageState.GONE
    assert message.settled_at is not None


@pytest.mark.parametrize("state", [MessageState.ADOPTED, MessageState.PENDING, MessageState.HELD])
async def test_a_message_never_retrieved_can_go(ledger: SqliteLedger, state: MessageState) -> None:
    """There is nothing left to retrieve."""
    await ledger.note_unretrieved(ACCOUNT, [UnretrievedMessage(U1.unique_id, 1, state)])
    await bury(ledger)

    assert [m.state for m in await known(ledger)] == [MessageState.GONE]


@pytest.mark.parametrize("state", [DeliveryState.STAGED, DeliveryState.DOT_SENT])
async def test_an_open_intent_outlives_the_servers_copy(
    ledger: SqliteLedger, state: DeliveryState
) -> None:
    """Its recovery needs no server, so it must not be forgotten (P4)."""
    await ledger.record([make_seen(U1)], [change(U1, state)])
    await bury(ledger)

    assert [m.state for m in await known(ledger)] == [MessageState.PENDING]


@pytest.mark.parametrize("state", [DeliveryState.DEFERRED, DeliveryState.HELD])
async def test_a_message_out_of_reach_is_a_tombstone_until_it_is_seen_again(
    ledger: SqliteLedger, state: DeliveryState
) -> None:
    """Seen again it stands where it stood."""
    await ledger.record([make_seen(U1)], [change(U1, state, next_try=77.0, attempts=2)])
    (before,) = await known(ledger)
    await bury(ledger)
    (gone,) = await known(ledger)
    await ledger.record([make_seen(U1)], [])

    assert (gone.state, gone.next_try) == (MessageState.GONE, None)
    assert await known(ledger) == (before,)


async def test_a_settled_tombstone_seen_again_is_settled(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """The receipt stands; nothing is delivered twice."""
    await settle(ledger, U1)
    (before,) = await known(ledger)
    await bury(ledger)
    clock.now += 10
    await ledger.record([make_seen(U1)], [])

    assert await known(ledger) == (before,)


async def test_an_adopted_tombstone_listed_again_is_what_it_is_told(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """A refused retrieval of it counts from now."""
    await ledger.note_unretrieved(
        ACCOUNT, [UnretrievedMessage(U1.unique_id, 1, MessageState.ADOPTED)]
    )
    await bury(ledger)
    clock.now += 10
    await ledger.note_unretrieved(
        ACCOUNT, [UnretrievedMessage(U1.unique_id, 1, MessageState.HELD, "large", oversize=True)]
    )
    (message,) = await known(ledger)

    assert (message.state, message.oversize) == (MessageState.HELD, True)
    assert message.first_seen == clock.now


async def test_tombstones_are_forgotten_after_ninety_days(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """Not a day earlier, and nothing that is still there."""
    await settle(ledger, U1)
    await settle(ledger, make_key(b"stays"))
    await bury(ledger)
    clock.now += TOMBSTONES_KEPT_S
    await ledger.close_listing(ACCOUNT, gone=[], renumbering=False)
    kept = await known(ledger)
    clock.now += 1
    await ledger.close_listing(ACCOUNT, gone=[], renumbering=False)

    assert len(kept) == 1
    assert await known(ledger) == ()
    assert len(await known(ledger, b"stays")) == 1
    assert await ledger.deliveries([U1]) == {}


async def test_flags_of_an_account_are_remembered(ledger: SqliteLedger) -> None:
    """A complete listing, a renumbering under way, a server that mixes up replies."""
    await ledger.close_listing(ACCOUNT, gone=[], renumbering=True)
    await ledger.note_lock_step(ACCOUNT)
    during = await ledger.memory(ACCOUNT)
    await ledger.close_listing(ACCOUNT, gone=[], renumbering=False)
    after = await ledger.memory(ACCOUNT)

    assert (during.polled_before, during.renumbering, during.lock_step) == (True, True, True)
    assert (after.polled_before, after.renumbering, after.lock_step) == (True, False, True)


async def test_deletions_are_counted(ledger: SqliteLedger) -> None:
    """Each DELE that is about to be issued, so that a server that ignores them stands out."""
    await settle(ledger, U1)
    await ledger.note_deletions(ACCOUNT, [U1.unique_id])
    await ledger.note_deletions(ACCOUNT, [U1.unique_id, UniqueId(b"unknown")])

    assert [m.deletions for m in await known(ledger)] == [2]


async def test_only_a_single_deletion_is_forgotten(ledger: SqliteLedger) -> None:
    """What was told twice to go has been looked at in between."""
    await settle(ledger, U1)
    await ledger.note_deletions(ACCOUNT, [U1.unique_id])
    await ledger.note_undeleted(ACCOUNT, [U1.unique_id, UniqueId(b"unknown")])
    after_one = [m.deletions for m in await known(ledger)]
    await ledger.note_deletions(ACCOUNT, [U1.unique_id])
    await ledger.note_deletions(ACCOUNT, [U1.unique_id])
    await ledger.note_undeleted(ACCOUNT, [U1.unique_id])

    assert after_one == [0]
    assert [m.deletions for m in await known(ledger)] == [2]


async def test_the_last_poll_is_kept_and_errors_keep_their_beginning(ledger: SqliteLedger) -> None:
    """Status shows since when it fails, and when it last went well."""
    good = PollSummary(1.0, 2.0, listed=5, delivered=3, octets=300, deleted=1, held=1, deferred=1)
    await ledger.note_poll(ACCOUNT, good)
    await ledger.note_poll(ACCOUNT, PollSummary(11.0, 12.0, delivered=1, octets=9, error="down"))
    await ledger.note_poll(ACCOUNT, PollSummary(21.0, 22.0, error="still down"))
    (failing,) = await ledger.accounts()
    await ledger.note_poll(ACCOUNT, good)
    (mended,) = await ledger.accounts()

    assert failing.last_poll == PollSummary(21.0, 22.0, error="still down")
    assert (failing.last_success_at, failing.error_since) == (2.0, 12.0)
    assert mended.last_poll == good
    assert (mended.last_success_at, mended.error_since) == (2.0, None)


async def test_what_came_today_is_counted_as_it_is_delivered(
    ledger: SqliteLedger, clock: HandClock
) -> None:
    """While a long poll goes on, too, and once; the next day counts anew."""
    counted = []
    for unique_id, now in ((b"1", 86400.0 * 10), (b"2", 86400.0 * 10 + 1), (b"3", 86400.0 * 12)):
        clock.now = now
        await settle(ledger, make_key(unique_id))
        (report,) = await ledger.accounts()
        assert report.day == format_day(now)
        counted.append(report.delivered_today)
    await ledger.note_poll(ACCOUNT, PollSummary(1.0, clock.now, delivered=1))
    (report,) = await ledger.accounts()

    assert [*counted, report.delivered_today] == [1, 2, 1, 1]


async def test_what_the_daemon_says_of_an_account_outlives_it(ledger: SqliteLedger) -> None:
    """A restart must not forget a suspension, nor a pause."""
    await ledger.note_standing(ACCOUNT, "suspended")
    await ledger.set_paused(ACCOUNT, paused=True)

    assert await ledger.standings() == {ACCOUNT: StoredStanding("suspended", paused=True)}
    (report,) = await ledger.accounts()
    assert (report.standing, report.paused) == ("suspended", True)
