"""Keeps accounts from asking a destination that is down, each for itself and all the time.

One that has refused everything is tried by its gate alone, after pauses that double; meanwhile
every account hears what the gate has heard, before it retrieves anything.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol, TypeVar

from popsync.agent.overview import DestinationOverview
from popsync.agent.patience import NothingMoves, Patience
from popsync.agent.standing import JITTER, MAX_BACK_OFF_S
from popsync.errors import DestinationUnavailable, PopsyncError
from popsync.model import Intent, Journal, Outcome, Parcel
from popsync.poll.ports import Destination

T = TypeVar("T")

FIRST_PAUSE_S = 30.0
PREPARING_S = 10.0
"""So long a start waits for a destination: the others have done nothing to deserve it."""


class DestinationDown(NamedTuple):
    """A destination takes no mail; told once, until it does again or says something else."""

    name: str
    trouble: str
    retry_in_s: float


class DestinationBack(NamedTuple):
    """A destination takes mail again."""

    name: str
    lasted_s: float


GateEvent = DestinationDown | DestinationBack


class Bounded(Destination, Protocol):
    """A destination that says how long it may be waited for."""

    def patience_s(self, parcels: Sequence[Parcel], /) -> float:
        """Give after how long without any progress it hangs; longer than its own deadlines."""
        ...


class Timer(Protocol):
    """A call that is to come, and need not."""

    def cancel(self) -> None:
        """Call nothing."""
        ...


class _Closed(NamedTuple):
    """Why a gate is closed, since when, and until when; ``retry_at`` by the loop's clock."""

    error: DestinationUnavailable
    since: float
    retry_at: float
    in_delivery: bool


class Gate:
    """A ``poll.ports.Destination`` in front of another one.

    One that hangs is not waited for: it takes no mail until what hangs is over (P5).
    """

    def __init__(
        self,
        inner: Bounded,
        tell: Callable[[GateEvent], None],
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.inner = inner
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._closed: _Closed | None = None
        self._failures = 0
        """In a row; one that says it is ready and fails at delivery has not ended the row."""
        self._timer: Timer | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._retired = False
        self._patience = Patience(on_over=self._retry_after_hanging)

    @property
    def name(self) -> str:
        """As the configuration calls the destination."""
        return self.inner.name

    def overview(self) -> DestinationOverview:
        """Give what it is about now."""
        closed = self._closed
        if closed is None:
            return DestinationOverview(self.name, None, None, "")
        retry_at = self._clock() + closed.retry_at - self._loop.time()
        return DestinationOverview(self.name, closed.since, retry_at, str(closed.error))

    async def prepare(self, work: Coroutine[Any, Any, object]) -> None:
        """Have ``work`` done there before anything else; the gate is closed if that is in vain."""
        with suppress(DestinationUnavailable), self._listening():
            await self._bounded(work, PREPARING_S)

    async def ready(self) -> None:
        """Find out whether the destination takes mail, unless that is known already.

        Raises what it raises.
        """
        self._pass()
        with self._listening():
            await self._bounded(self.inner.ready(), self.inner.patience_s(()))

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Deliver each parcel; raises what the destination raises."""
        moving = _MovingJournal(journal, self._patience.move)
        with self._listening(in_delivery=True):
            deliver = self.inner.deliver(parcels, moving)
            await self._bounded(deliver, self.inner.patience_s(parcels))
        self._failures = 0

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Say what became of steps that a crash left open; raises what the destination raises."""
        self._pass()
        with self._listening():
            recover = self.inner.recover(intents)
            return await self._bounded(recover, self.inner.patience_s(()))

    async def retry(self) -> None:
        """Try a destination that takes no mail now, instead of later."""
        closed = self._closed
        if closed is None:
            return
        try:
            await self._bounded(self.inner.ready(), self.inner.patience_s(()))
        except DestinationUnavailable as error:
            self._close(error, in_delivery=closed.in_delivery)
        except PopsyncError:
            self._close(closed.error, in_delivery=closed.in_delivery)
        else:
            self._open()

    async def retire(self) -> None:
        """Try no more; polls under way may still go through."""
        self._retired = True
        self._stop_timer()
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait([self._retrying])

    async def _bounded(self, work: Coroutine[Any, Any, T], patience_s: float) -> T:
        if self._patience.left:
            work.close()
            raise self._hanging()
        try:
            return await self._patience.wait_for(work, patience_s)
        except NothingMoves:
            raise self._hanging() from None

    def _hanging(self) -> DestinationUnavailable:
        return DestinationUnavailable(
            f"destination {self.name!r} hangs: it neither takes mail nor refuses it; is its disk,"
            " or server, all right?"
        )

    def _retry_after_hanging(self) -> None:
        if self._closed is not None and not self._retired:
            self._retry_soon()

    def _pass(self) -> None:
        if self._closed is not None:
            heard = self._closed.error
            raise type(heard)(str(heard))  # not the same one, which would grow a traceback

    @contextmanager
    def _listening(self, *, in_delivery: bool = False) -> Iterator[None]:
        try:
            yield
        except DestinationUnavailable as error:
            if self._closed is None:  # else others have said so at the same time
                self._close(error, in_delivery=in_delivery)
            raise

    def _close(self, error: DestinationUnavailable, *, in_delivery: bool) -> None:
        before = self._closed
        self._failures += 1
        pause_s = _pause_s(error, self._failures) * (1 - JITTER * self._chance())
        since = before.since if before else self._clock()
        self._closed = _Closed(error, since, self._loop.time() + pause_s, in_delivery)
        self._stop_timer()
        if not self._retired:
            self._timer = self._loop.call_later(pause_s, self._retry_soon)
        if before is None or str(before.error) != str(error):
            self._tell(DestinationDown(self.name, str(error), pause_s))

    def _open(self) -> None:
        closed, self._closed = self._closed, None
        self._stop_timer()
        if closed is not None:
            self._failures = self._failures if closed.in_delivery else 0
            self._tell(DestinationBack(self.name, self._clock() - closed.since))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _retry_soon(self) -> None:
        self._retrying = asyncio.create_task(self.retry(), name=f"retry {self.name}")


class _MovingJournal:
    """A journal that tells of each record: the destination gets on."""

    def __init__(self, journal: Journal, move: Callable[[], None]) -> None:
        self._journal = journal
        self._move = move

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Make them durable."""
        self._move()
        await self._journal.record(settled, intents)


def _pause_s(error: DestinationUnavailable, failures: int) -> float:
    if not error.temporary:
        return MAX_BACK_OFF_S  # somebody must mend it, and a login may be at stake
    return min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 32), MAX_BACK_OFF_S)


class Gates:
    """The gates of all destinations of the present configuration."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._gates: Mapping[str, Gate] = {}
        self._listeners: list[Callable[[GateEvent], None]] = []

    def listen(self, listener: Callable[[GateEvent], None]) -> None:
        """Tell ``listener``, too, from now on."""
        self._listeners.append(listener)

    def overview(self) -> Sequence[DestinationOverview]:
        """Give what each destination is about, in the order of the configuration."""
        return [gate.overview() for gate in self._gates.values()]

    async def retry(self, *, patience_s: float) -> None:
        """Try those that take no mail now, instead of later; give up when patience ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await asyncio.gather(*(gate.retry() for gate in self._gates.values()))

    async def put_before(self, destinations: Mapping[str, Bounded]) -> Mapping[str, Gate]:
        """Give each destination its gate; one that is the same as before keeps its own."""
        before, self._gates = self._gates, {n: self._gate(d) for n, d in destinations.items()}
        for name, gate in before.items():
            if self._gates.get(name) is not gate:
                await gate.retire()
        return self._gates

    async def close(self) -> None:
        """Try nothing any more."""
        await self.put_before({})

    def _gate(self, destination: Bounded) -> Gate:
        before = self._gates.get(destination.name)
        if before is not None and before.inner is destination:
            return before
        return Gate(destination, self._tell, clock=self._clock)

    def _tell(self, event: GateEvent) -> None:
        for listener in self._listeners:
            listener(event)
