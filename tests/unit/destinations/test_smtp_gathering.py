"""Links wait a moment for each other, so that they share a commit."""

import asyncio

import pytest

from popsync.destinations.relay.batch import Batch
from popsync.destinations.relay.gathering import IDLE_TURNS, Gathering
from popsync.errors import DeliveryDeferred
from popsync.model import DeliveryKey, DeliveryState, Intent, Parcel, Refusal
from tests.unit.destinations.relaying import RecordingJournal, make_parcel

FIRST, SECOND = make_parcel(1), make_parcel(2)


def _intent(parcel: Parcel) -> Intent:
    return Intent(parcel.message, "relay", ("jane@example.org",), DeliveryState.DOT_SENT)


async def _turns(gathering: Gathering) -> int:
    """Count the turns of the event loop that gathering takes."""
    task = asyncio.create_task(gathering.gather())
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


async def test_where_all_links_wait_nothing_is_waited_for() -> None:
    """A single link is not kept from its commit."""
    gathering = Gathering()
    with gathering.at_work(), gathering.waiting():
        assert await _turns(gathering) == 1


async def test_a_link_that_does_not_come_is_waited_for_a_few_turns() -> None:
    """It may wait for a slow server, and for as long as that takes."""
    gathering = Gathering()
    with gathering.at_work(), gathering.at_work(), gathering.waiting():
        assert await _turns(gathering) == IDLE_TURNS + 1


async def test_once_all_have_come_the_wait_is_over() -> None:
    """No turn is spent on nobody."""
    gathering = Gathering()
    with gathering.at_work(), gathering.at_work(), gathering.waiting():
        task = asyncio.create_task(gathering.gather())
        await asyncio.sleep(0)
        with gathering.waiting():
            await asyncio.sleep(0)
            assert task.done()


async def test_each_that_comes_makes_the_others_be_waited_for_again() -> None:
    """They were set free one after the other, and so they come."""
    gathering = Gathering()
    with gathering.at_work(), gathering.at_work(), gathering.at_work(), gathering.waiting():
        task = asyncio.create_task(gathering.gather())
        for _ in range(IDLE_TURNS - 1):
            await asyncio.sleep(0)
        with gathering.waiting():
            for _ in range(IDLE_TURNS):
                await asyncio.sleep(0)
                assert not task.done()
    await task


async def test_two_links_that_come_one_after_the_other_share_a_commit() -> None:
    """Also when no other commit is under way meanwhile."""
    gathering, journal = Gathering(), RecordingJournal()
    batch = Batch([], journal, gathering)
    with gathering.at_work(), gathering.at_work():
        first = asyncio.create_task(batch.commit(_intent(FIRST)))
        await asyncio.sleep(0)
        await batch.commit(_intent(SECOND))
        await first

    assert [len(intents) for _, intents in journal.records] == [2]


async def test_what_a_cancelled_link_had_to_tell_is_still_told() -> None:
    """An outcome is known, whoever was about to note it (P4); the intent is given up."""
    gathering, journal = Gathering(), RecordingJournal()
    batch = Batch([], journal, gathering)
    batch.settle([Refusal(DeliveryKey(FIRST.message, "relay", "jane"), DeliveryDeferred("later"))])
    with gathering.at_work(), gathering.at_work():
        committing = asyncio.create_task(batch.commit(_intent(FIRST)))
        await asyncio.sleep(0)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
    await batch.commit_rest()

    assert [(len(settled), len(intents)) for settled, intents in journal.records] == [(1, 0)]
