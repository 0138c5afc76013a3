"""How many connections are admitted."""

import asyncio
from typing import cast

import pytest

from popsync.server.gate import Gate


class Peer:
    """As much of a transport as the gate looks at."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.aborted = False

    def get_extra_info(self, name: str) -> tuple[str, int]:
        """Give the address."""
        return (self._host, 1)

    def abort(self) -> None:
        """Note the end."""
        self.aborted = True


def peers(host: str, count: int) -> list[asyncio.Transport]:
    """Make connections from one host."""
    return [cast("asyncio.Transport", Peer(host)) for _ in range(count)]


def test_one_host_has_fewer_connections_than_all() -> None:
    """A single client cannot keep the others out."""
    gate = Gate(connections=5, connections_per_host=2)
    admitted = [gate.enter(peer) is not None for peer in peers("192.0.2.1", 3)]

    assert admitted == [True, True, False]
    assert gate.enter(peers("192.0.2.2", 1)[0]) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_limited_only_by_the_total(host: str) -> None:
    """A fetcher here may serve dozens of mailboxes at once."""
    gate = Gate(connections=5, connections_per_host=2)
    admitted = [gate.enter(peer) is not None for peer in peers(host, 6)]

    assert admitted == [True] * 5 + [False]


def test_who_leaves_makes_room_once() -> None:
    """Leaving twice does not count twice."""
    gate = Gate(connections=2, connections_per_host=2)
    first, second, third, fourth = peers("192.0.2.1", 4)
    leave = gate.enter(first)
    gate.enter(second)
    assert leave is not None
    leave()
    leave()

    assert gate.enter(third) is not None
    assert gate.enter(fourth) is None


async def test_clearing_cuts_all_and_waits_for_the_last() -> None:
    """Stopping is over only when every connection's work is."""
    gate = Gate()
    first, second = peers("127.0.0.1", 2)
    leaves = [gate.enter(first), gate.enter(second)]
    clearing = asyncio.create_task(gate.clear())
    await asyncio.sleep(0)
    assert cast("Peer", first).aborted
    assert cast("Peer", second).aborted
    for leave in leaves:
        assert leave is not None
        assert not clearing.done()
        leave()
    await clearing
