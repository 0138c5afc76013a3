"""Places for sessions, and hosts that take fewer than we offer."""

import asyncio
from contextlib import AsyncExitStack
from typing import cast

import pytest

from popsync.agent.limits import ConnectionLimits
from popsync.errors import PeerClosed, ServerUnavailable
from popsync.poll.ports import Maildrop

HOST = "pop.example.org"


class CrowdedHost:
    """A server that takes so many sessions at a time and refuses more."""

    def __init__(self, room: int, refusal: Exception) -> None:
        self._room = room
        self._refusal = refusal
        self._open = 0
        self.most_open = 0
        self.refused = 0
        self.has_refused = asyncio.Event()
        self.served = 0

    async def begin(self, *, lock_step: bool) -> Maildrop:
        """Open a session, or refuse it."""
        assert not lock_step
        await asyncio.sleep(0)
        if self._open >= self._room:
            self.refused += 1
            self.has_refused.set()
            raise self._refusal
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        return cast("Maildrop", self)

    def end(self) -> None:
        """Close a session."""
        self._open -= 1
        self.served += 1


async def poll(limits: ConnectionLimits, host: CrowdedHost) -> None:
    """Hold a place, open a session, stay a while."""
    async with limits.place(HOST):
        await limits.open_maildrop(HOST, host.begin, lock_step=False)
        for _ in range(5):
            await asyncio.sleep(0)
        host.end()


@pytest.mark.parametrize("refusal", [ServerUnavailable("too many"), PeerClosed("closed")])
async def test_a_host_that_takes_fewer_serves_all_the_same(refusal: Exception) -> None:
    """Those who were one too many wait for a place and begin again."""
    limits = ConnectionLimits(connections=100, connections_per_host=50)
    host = CrowdedHost(4, refusal)

    await asyncio.gather(*(poll(limits, host) for _ in range(50)))

    assert (host.served, host.most_open) == (50, 4)
    assert host.refused <= 50


async def test_a_narrowed_host_is_not_asked_for_more_again() -> None:
    """What one round has found out, the next one keeps to."""
    limits = ConnectionLimits(connections=100, connections_per_host=50)
    host = CrowdedHost(4, ServerUnavailable("too many"))
    await asyncio.gather(*(poll(limits, host) for _ in range(50)))
    host.refused = 0

    await asyncio.gather(*(poll(limits, host) for _ in range(50)))

    assert (host.served, host.refused) == (100, 0)


async def test_a_host_that_takes_nobody_is_told_to_every_account() -> None:
    """The refusal is not for the number of sessions when there is no other one."""
    limits = ConnectionLimits(connections=100, connections_per_host=50)
    host = CrowdedHost(0, ServerUnavailable("down"))

    results = await asyncio.gather(
        *(poll(limits, host) for _ in range(50)), return_exceptions=True
    )

    assert [type(result) for result in results] == [ServerUnavailable] * 50
    assert host.refused < 2 * 50


async def test_a_cancelled_wait_gives_its_place_back_once() -> None:
    """Whoever gives up while it waits for another place leaves the count as it was."""
    limits = ConnectionLimits(connections=100, connections_per_host=2)
    host = CrowdedHost(1, ServerUnavailable("too many"))
    async with AsyncExitStack() as first:
        await first.enter_async_context(limits.place(HOST))
        await limits.open_maildrop(HOST, host.begin, lock_step=False)
        waiting = asyncio.create_task(poll(limits, host))
        await host.has_refused.wait()
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        host.end()

    async with asyncio.timeout(5):
        await poll(limits, host)


@pytest.mark.parametrize("connections", [1, 2, 3])
async def test_few_places_in_all_are_not_kept_by_those_who_wait(connections: int) -> None:
    """Accounts that stepped back and accounts that never began do not wait for one another."""
    limits = ConnectionLimits(connections=connections, connections_per_host=16)
    host = CrowdedHost(0, ServerUnavailable("down"))

    async with asyncio.timeout(5):
        results = await asyncio.gather(
            *(poll(limits, host) for _ in range(16)), return_exceptions=True
        )

    assert [type(result) for result in results] == [ServerUnavailable] * 16


async def test_places_for_one_host_are_given_in_the_order_of_asking() -> None:
    """Nobody waits for ever."""
    limits = ConnectionLimits(connections=100, connections_per_host=1)
    order: list[int] = []

    async def take(number: int) -> None:
        async with limits.place(HOST):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]
