import asyncio

import pytest

from popsync.destinations.relay.dialogue import Dialogue
from popsync.destinations.relay.links import Link, LinkPool, Reuse
from popsync.net.replay import ReplayStream
from tests.doubles.smtp_script import SmtpScript
from tests.unit.destinations.relaying import QUICK, RecordingJournal, make_parcel, make_smtp


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Give its time."""
        return self.now_s


class WatchedStream(ReplayStream):
    """A stream whose end can be waited for."""

    def __init__(self) -> None:
        super().__init__([b"250 ok\r\n"] * 9)
        self.ended = asyncio.Event()

    async def close(self) -> None:
        """Say that it is closed."""
        await super().close()
        self.ended.set()


class Pool:
    """A pool of links to a server that answers every command with 250."""

    def __init__(self, reuse: Reuse, connections: int = 1) -> None:
        self.clock = Clock()
        self.streams: list[WatchedStream] = []
        self.links = LinkPool(
            self._open, connections=connections, reuse=reuse, deadlines=QUICK, clock=self.clock
        )

    async def _open(self) -> Dialogue:
        self.streams.append(WatchedStream())
        return Dialogue(self.streams[-1])

    async def use(self) -> Link:
        """Take a link and give it back."""
        link = await self.links.take()
        await self.links.give_back(link)
        return link


async def test_a_link_is_replaced_after_its_share_of_messages() -> None:
    """Also in the middle of a batch; the old one is left with QUIT."""
    script = SmtpScript()
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port, reuse=Reuse(max_messages=3))
        await destination.deliver([make_parcel(n) for n in range(7)], journal)
        await destination.close()

    assert [session.commands.count("DATA") for session in script.sessions] == [3, 3, 1]
    assert all(session.commands[-1] == "QUIT" for session in script.sessions)
    assert journal.kinds() == ["receipt"] * 7


async def test_a_link_that_is_too_old_is_not_used_again() -> None:
    """At its age limit it is left with QUIT and a new one is opened."""
    pool = Pool(Reuse(max_age_s=300))
    first = await pool.use()
    pool.clock.now_s = 299
    assert await pool.use() is first

    pool.clock.now_s = 300
    assert await pool.use() is not first
    assert pool.streams[0].written == b"QUIT\r\n"
    assert pool.streams[0].closed
    await pool.links.close()


async def test_an_idle_link_is_left_when_its_time_is_up() -> None:
    """Nobody has to come by: a server's process is not held for nothing."""
    pool = Pool(Reuse(max_age_s=0.01), connections=2)
    link, young = await pool.links.take(), await pool.links.take()
    await pool.links.give_back(link)
    await pool.links.give_back(young)
    link.opened_at, young.opened_at = -1.0, 0.0
    await pool.streams[0].ended.wait()

    assert not pool.streams[1].closed
    young.opened_at = -1.0
    await pool.streams[1].ended.wait()
    await pool.links.close()


async def test_close_leaves_all_idle_links() -> None:
    """With QUIT each; a second close has nothing to do."""
    pool = Pool(Reuse(), connections=2)
    links = [await pool.links.take(), await pool.links.take()]
    for link in links:
        await pool.links.give_back(link)
    await pool.links.close()
    await pool.links.close()

    assert [stream.written for stream in pool.streams] == [b"QUIT\r\n"] * 2


@pytest.mark.parametrize("connections", [1, 2])
async def test_no_more_connections_than_allowed(connections: int) -> None:
    """Batches beyond that wait for their turn, and nothing is asked of a busy destination."""
    script = SmtpScript()
    most = 0

    def count() -> None:
        nonlocal most
        most = max(most, sum(not session.ended.is_set() for session in script.sessions))

    journals = [RecordingJournal(count) for _ in range(5)]
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=connections)
        await asyncio.gather(
            *(destination.deliver([make_parcel(n)], j) for n, j in enumerate(journals))
        )
        await destination.close()

    assert most == connections
    assert all(journal.kinds() == ["receipt"] for journal in journals)


async def test_a_busy_destination_is_ready() -> None:
    """It takes mail this very moment, so nobody waits to find out."""
    script = SmtpScript()
    ready_in_between: list[int] = []
    async with script.on_tcp() as port:
        destination = make_smtp(port)

        class Asking(RecordingJournal):
            async def record(self, settled: object, intents: object) -> None:
                await destination.ready()
                ready_in_between.append(len(script.sessions))

        await destination.deliver([make_parcel(1)], Asking())
        await destination.close()

    assert ready_in_between == [1, 1]


async def test_a_worn_link_is_left_at_once() -> None:
    """Not only when the next batch looks for one."""
    pool = Pool(Reuse(max_messages=1))
    link = await pool.links.take()
    link.offered = 1
    await pool.links.give_back(link)

    assert pool.streams[0].closed
