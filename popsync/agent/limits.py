"""How many sessions may be open at a time, in all and to one host."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from popsync.errors import PeerClosed, ServerUnavailable
from popsync.poll.ports import Maildrop, OpenMaildrop

NARROWED_FOR_S = 3600.0
"""A host that refused so many sessions at a time is tried with as many again after this."""


class ConnectionLimits:
    """Hands out places for sessions.

    Servers allow a client more or fewer sessions at a time and do not tell how many. So as many
    are opened as we allow, and when a host refuses one while others are open, it gets fewer.
    """

    def __init__(self, *, connections: int, connections_per_host: int) -> None:
        self._all = _Places(connections)
        self._hosts: dict[str, _Places] = defaultdict(lambda: _Places(connections_per_host))

    @asynccontextmanager
    async def place(self, host: str) -> AsyncIterator[None]:
        """Hold a place for a session with ``host``; waits until there is one."""
        await self._enter(self._hosts[host])
        try:
            yield
        finally:
            self._leave(self._hosts[host])

    async def open_maildrop(self, host: str, begin: OpenMaildrop, *, lock_step: bool) -> Maildrop:
        """Begin a session in the place that is held; one that is one too many begins later.

        Raises what ``begin`` raises, when that is not for the number of sessions.
        """
        while True:
            try:
                return await begin(lock_step=lock_step)
            except (ServerUnavailable, PeerClosed):
                if not self._hosts[host].narrow():
                    raise
            await self._step_back(self._hosts[host])

    async def _enter(self, places: "_Places") -> None:
        # The host's place first, so that accounts which queue for one slow host do not keep the
        # places of all others.
        await places.enter()
        try:
            await self._all.enter()
        except BaseException:
            places.leave()
            raise

    def _leave(self, places: "_Places") -> None:
        self._all.leave()
        places.leave()

    async def _step_back(self, places: "_Places") -> None:
        """Give both places up to those who were let in, and wait for others.

        They count as held on return, also when this is cancelled: ``place`` gives them back.
        """
        self._leave(places)
        try:
            await self._enter(places)
        except BaseException:
            self._all.hold()
            places.hold()
            raise


class _Places:
    """So many places; a host that refuses gets fewer for a while, one stays whatever it says."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = most
        self._inside = 0
        self._narrowed_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Take a place, in the order of asking."""
        while not self._has_room():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except BaseException:
                self._waiting.remove(turn)
                self._wake()  # it may have been our turn
                raise
            self._waiting.remove(turn)
        self.hold()
        self._wake()

    def hold(self) -> None:
        """Take a place without waiting, even one too many."""
        self._inside += 1

    def leave(self) -> None:
        """Give the place back."""
        self._inside -= 1
        self._wake()

    def narrow(self) -> bool:
        """Allow one place fewer than are taken; False when it is only the asker's own."""
        if self._inside <= 1:
            return False
        self._allowed = min(self._allowed, self._inside) - 1
        self._narrowed_at = asyncio.get_running_loop().time()
        return True

    def _wake(self) -> None:
        if self._has_room():
            turn = next((turn for turn in self._waiting if not turn.done()), None)
            if turn is not None:
                turn.set_result(None)

    def _has_room(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._allowed < self._most and now - self._narrowed_at >= NARROWED_FOR_S:
            self._allowed = self._most
        return self._inside < self._allowed
