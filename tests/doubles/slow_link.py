"""A network between two ends on this machine: as slow as a far one, cut at will, or silent.

A ``SlowLink`` listens on the loopback interface and passes everything on to a server after half a
round trip, in both directions. Bandwidth is not limited. A real connection costs a round trip
before the client may speak, and the server sees it half a round trip later; here the client may
speak at once and waits that long for the answer, which comes at the same moment.

``slow_network`` runs any number of them in a thread of their own, so that they keep time while a
test waits for something else.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

SETUP_RTTS = 1.5
"""SYN, its acknowledgement, and the acknowledgement of that one."""

_Result = TypeVar("_Result")


@dataclass(slots=True)
class Call:
    """One connection through a link, in seconds of ``time.monotonic``."""

    began_at: float
    ended_at: float | None = None
    """When the client had parted, or the link was cut."""


class SlowLink:
    """One port that leads to a server. Its attributes may be read and set from any thread."""

    def __init__(self, target_port: int, *, rtt_s: float, address: str) -> None:
        self.target_port = target_port
        """Where new connections lead."""
        self.rtt_s = rtt_s
        self.address = address
        self.is_black_hole = False
        """Whether new connections are accepted and never hear a word."""
        self.calls: list[Call] = []
        """Every connection there was, in order."""
        self._server: asyncio.Server | None = None
        self._open: set[_Passage] = set()
        self._all_over = asyncio.Event()

    @property
    def port(self) -> int:
        """Where clients connect to."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def listen(self) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self.address, 0, backlog=1000)

    async def close(self) -> None:
        """Accept no more, and end what is open."""
        assert self._server is not None
        self._server.close()
        await self.cut()
        if self._open:
            await self._all_over.wait()

    async def cut(self) -> int:
        """End every open connection without a word to either end; give how many they were."""
        passages = list(self._open)
        for passage in passages:
            passage.cut()
        return len(passages)

    def _accept(self) -> "_Passage":
        call = Call(time.monotonic())
        self.calls.append(call)
        passage = _Passage(self, call)
        self._open.add(passage)
        self._all_over.clear()
        return passage

    def forget(self, passage: "_Passage") -> None:
        """Note that a connection is over, at both ends."""
        self._open.discard(passage)
        if not self._open:
            self._all_over.set()


class _Passage(asyncio.Protocol):
    """The client's end of one connection, and the way to the server."""

    def __init__(self, link: SlowLink, call: Call) -> None:
        self.call = call
        self._link = link
        self._to_server = _Delay(link.rtt_s / 2)
        self._to_client = _Delay(link.rtt_s / 2)
        self._server: asyncio.Transport | None = None
        self._client: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._ends = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        self._to_client.lead_to(transport)
        self._ends += 1
        if not self._link.is_black_hole:
            self._ends += 1
            self._opening = asyncio.create_task(self._open_server())
            self._opening.add_done_callback(self._note_opened)

    async def _open_server(self) -> None:
        await asyncio.sleep(self._link.rtt_s * SETUP_RTTS)
        await asyncio.get_running_loop().create_connection(
            lambda: _ServerEnd(self), "127.0.0.1", self._link.target_port
        )

    def _note_opened(self, opening: "asyncio.Task[None]") -> None:
        if opening.cancelled() or opening.exception() is not None:
            self.cut()
            if self._server is None:
                self.lose_end()

    def reach_server(self, server: asyncio.Transport) -> None:
        """Pass on what the client has said, now that there is somebody to hear it."""
        self._server = server
        self._to_server.lead_to(server)

    def hear_server(self, octets: bytes | None) -> None:
        """Pass what the server said on to the client; None is its end."""
        self._to_client.pass_on(octets)

    def data_received(self, data: bytes) -> None:
        self._to_server.pass_on(data)

    def eof_received(self) -> bool:
        self._to_server.pass_on(None)
        return True  # the other direction goes on

    def connection_lost(self, exc: Exception | None) -> None:
        self.call.ended_at = time.monotonic()
        self._to_server.pass_on(None)
        self._to_client.stop()
        self.lose_end()

    def lose_end(self) -> None:
        """Note that one of the two ends is over, or will never be."""
        self._ends -= 1
        if not self._ends:
            self._link.forget(self)

    def cut(self) -> None:
        """Reset both ends."""
        self._to_server.stop()
        self._to_client.stop()
        if self._opening is not None:
            self._opening.cancel()
        for transport in (self._server, self._client):
            if transport is not None:
                transport.abort()


class _ServerEnd(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self, passage: _Passage) -> None:
        self._passage = passage

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._passage.reach_server(transport)

    def data_received(self, data: bytes) -> None:
        self._passage.hear_server(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._passage.hear_server(None)
        self._passage.lose_end()


class _Delay:
    """One direction: what goes in comes out later, in order; None ends it."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._on_the_way: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.Transport | None = None

    def lead_to(self, end: asyncio.Transport) -> None:
        """Let everything out at ``end`` that is due, and what comes later in its time."""
        self._end = end
        self._arrive()

    def pass_on(self, octets: bytes | None) -> None:
        """Take octets in."""
        self._on_the_way.append((self._loop.time() + self._delay_s, octets))
        if self._timer is None and self._end is not None:
            self._arrive()

    def stop(self) -> None:
        """Lose what is on the way."""
        self._on_the_way.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arrive(self) -> None:
        self._timer = None
        while self._on_the_way and self._on_the_way[0][0] <= self._loop.time():
            _, octets = self._on_the_way.popleft()
            assert self._end is not None
            if octets is None:
                self._end.close()
            else:
                self._end.write(octets)
        if self._on_the_way:
            self._timer = self._loop.call_at(self._on_the_way[0][0], self._arrive)


class SlowNetwork:
    """Links that run in a thread of their own. Its methods are for other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._links: list[SlowLink] = []

    def open(self, target_port: int, *, rtt_s: float, address: str = "127.0.0.1") -> SlowLink:
        """Give a link from a free port of ``address`` to a port of 127.0.0.1."""
        link = SlowLink(target_port, rtt_s=rtt_s, address=address)
        self._do(link.listen)
        self._links.append(link)
        return link

    def cut(self, link: SlowLink) -> int:
        """Break every connection of a link off; give how many they were."""
        return self._do(link.cut)

    def close(self) -> None:
        """End every link."""
        for link in self._links:
            self._do(link.close)

    def _do(self, work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()


@contextmanager
def slow_network() -> Iterator[SlowNetwork]:
    """Run a network as long as the block lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="slow network")
    thread.start()
    network = SlowNetwork(loop)
    try:
        yield network
    finally:
        network.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
