"""Connections to one destination: how many at once, how long each is used again."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from popsync.destinations.relay.dialogue import Deadlines, Dialogue
from popsync.destinations.relay.gathering import Gathering
from popsync.destinations.relay.shared_attempts import SharedAttempts
from popsync.errors import PopsyncError, RemoteProtocolError, StreamError
from popsync.wire.smtp.commands import NOOP, QUIT, RSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """How much one connection is used before it is replaced."""

    max_messages: int = 100
    max_age_s: float = 300.0


@dataclass(slots=True)
class Link:
    """One dialogue, and what it has been through."""

    dialogue: Dialogue
    opened_at: float
    offered: int = 0
    """Messages for which MAIL went out, or is about to."""
    proven: bool = False
    """It has worked before: if it is found dead now, that says nothing of the server."""
    needs_reset: bool = False
    """A transaction was begun and never finished."""


class LinkPool:
    """Keeps idle links for the next batch and lets at most ``connections`` be in use at once."""

    def __init__(
        self,
        open_dialogue: Callable[[], Awaitable[Dialogue]],
        *,
        connections: int,
        reuse: Reuse,
        deadlines: Deadlines,
        clock: Callable[[], float],
    ) -> None:
        self._attempts = SharedAttempts(open_dialogue)
        self._connections = connections
        self._turns = asyncio.Semaphore(connections)
        self._in_use = 0
        self._enough_until = -math.inf
        self._reuse = reuse
        self._deadlines = deadlines
        self._clock = clock
        self._idle: list[Link] = []
        self.gathering = Gathering()
        """Of those that carry something now."""
        self._partings: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def busy(self) -> bool:
        """Tell whether every connection is in use, of a server that is known to work.

        Raises what opening a dialogue raises, if another task is at it.
        """
        await self._attempts.heed()
        return self._turns.locked()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more connection may be in use."""
        async with self._turns:
            self._in_use += 1
            try:
                yield
            finally:
                self._in_use -= 1

    @property
    def spare(self) -> int:
        """How many connections more may be in use now, as far as we and the server allow."""
        allowed = self._clock() >= self._enough_until
        return self._connections - self._in_use if allowed else 0

    async def take(self) -> Link:
        """Give an idle link, or a new one.

        Raises what opening a dialogue raises, also if another task tried it at the same time.
        """
        while self._idle:
            link = self._idle.pop()
            if not self.is_worn(link):
                link.proven = True
                return link
            await self._part(link)
        return Link(await self._attempts.open(), self._clock())

    async def take_extra(self) -> Link | None:
        """Give a link beside those in use; None when the server wants no more of them now."""
        if self._clock() < self._enough_until:
            return None
        try:
            link = await self.take()
        except PopsyncError:
            self.note_enough()
            return None
        link.proven = True
        return link

    def note_enough(self) -> None:
        """Remember for a while that the server does without another connection."""
        self._enough_until = self._clock() + self._reuse.max_age_s

    async def take_live(self) -> Link:
        """Give a link that has just been seen to work."""
        while (link := await self.take()).proven:
            if await self._is_alive(link, NOOP):
                break
        return link

    async def give_back(self, link: Link) -> None:
        """Keep the link for the next batch, if it is still good for one."""
        if self.is_worn(link):
            await self._part(link)
        elif not link.needs_reset or await self._is_alive(link, RSET):
            link.needs_reset = False
            self._idle.append(link)
            self._watch_age()

    def is_worn(self, link: Link) -> bool:
        """Whether the link has done its share."""
        age_s = self._clock() - link.opened_at
        return link.offered >= self._reuse.max_messages or age_s >= self._reuse.max_age_s

    async def close(self) -> None:
        """Part from all idle links with QUIT."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            await self._part(self._idle.pop())
        await asyncio.gather(*self._partings)

    async def _is_alive(self, link: Link, command: bytes) -> bool:
        with suppress(StreamError, RemoteProtocolError):
            reply = await link.dialogue.ask(command, timeout_s=self._deadlines.command_s)
            if reply.accepted:
                return True
        await link.dialogue.close()
        return False

    async def _part(self, link: Link) -> None:
        with suppress(StreamError, RemoteProtocolError):
            await link.dialogue.ask(QUIT, timeout_s=self._deadlines.quit_s)
        await link.dialogue.close()

    def _watch_age(self) -> None:
        # Without this an idle link would occupy the server until it throws us out.
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._reuse.max_age_s, self._part_from_worn)

    def _part_from_worn(self) -> None:
        self._timer = None
        worn = [link for link in self._idle if self.is_worn(link)]
        self._idle = [link for link in self._idle if link not in worn]
        for link in worn:
            parting = asyncio.create_task(self._part(link))
            self._partings.add(parting)
            parting.add_done_callback(self._partings.discard)
        if self._idle:
            self._watch_age()
