"""Sessions that are given up before they have begun."""

import asyncio

import pytest

from popsync.agent.openings import Openings
from popsync.poll.ports import Maildrop
from tests.doubles.maildrop import RemoteMaildrop


async def test_whoever_waits_for_a_session_is_cancelled() -> None:
    """At once, however long the server would take."""
    openings, reached = Openings(), asyncio.Event()

    async def never(*, lock_step: bool) -> Maildrop:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError(lock_step)

    poll = asyncio.create_task(openings.open_maildrop(never, lock_step=False))
    await reached.wait()
    openings.give_up()
    with pytest.raises(asyncio.CancelledError):
        await poll


async def test_a_session_that_has_begun_goes_on() -> None:
    """It may have something in hand."""
    openings, remote = Openings(), RemoteMaildrop()

    async def poll() -> Maildrop:
        maildrop = await openings.open_maildrop(remote.open, lock_step=False)
        openings.give_up()
        await asyncio.sleep(0)
        return maildrop

    maildrop = await asyncio.create_task(poll())
    await maildrop.drop()
