"""A destination that is down, and what accounts hear of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from popsync.agent.gates import (
    FIRST_PAUSE_S,
    DestinationBack,
    DestinationDown,
    Gate,
    GateEvent,
    Gates,
)
from popsync.agent.overview import DestinationOverview
from popsync.agent.standing import MAX_BACK_OFF_S
from popsync.config.model import Config
from popsync.errors import (
    DestinationMisconfigured,
    DestinationUnavailable,
    PopsyncError,
    SecretUnavailable,
)
from popsync.model import Intent, Outcome, Parcel
from tests.doubles.supervision import settle, watching

DOWN = DestinationUnavailable("relay is down")


class Relay:
    """A destination that says what a test wants it to."""

    name = "relay"

    def __init__(self) -> None:
        self.says: PopsyncError | None = None
        self.at_delivery: PopsyncError | None = None
        self.asked = 0
        self.patience = 3600.0
        self.hangs: asyncio.Future[None] | None = None
        """What it waits for, whatever it is told, before it is ready or takes anything."""

    def patience_s(self, parcels: Any) -> float:
        """Be patient."""
        return self.patience

    async def _hang(self) -> None:
        while self.hangs is not None and not self.hangs.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self.hangs)

    async def ready(self) -> None:
        """Be asked."""
        self.asked += 1
        await self._hang()
        if self.says is not None:
            raise self.says

    async def deliver(self, parcels: Any, journal: Any) -> None:
        """Take it, or not."""
        await self._hang()
        if self.at_delivery is not None:
            raise self.at_delivery

    async def recover(self, intents: Any) -> list[Outcome]:
        """Know nothing."""
        await self.ready()
        return []


class Bench:
    """A gate before a relay, on a loop whose timers a test lets run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.relay = Relay()
        self.told: list[GateEvent] = []
        self.now = 1000.0
        self.pauses: list[float] = []
        self.gate = Gate(self.relay, self.told.append, clock=lambda: self.now, chance=lambda: 0.0)
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self._call_later)
        monkeypatch.setattr("popsync.agent.patience.FAREWELL_S", 0.01)

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> "Bench":
        self.pauses.append(delay_s)
        self.fire = callback
        return self

    def cancel(self) -> None:
        """Let the timer be cancelled."""

    async def let_retry(self) -> None:
        """Let the pause end."""
        self.fire()
        assert self.gate._retrying is not None
        await self.gate._retrying

    async def ask(self) -> str:
        """Give what an account hears."""
        try:
            await self.gate.ready()
        except PopsyncError as error:
            return f"{type(error).__name__}: {error}"
        return "ready"

    async def deliver(self) -> None:
        """Have an account deliver."""
        parcels: list[Parcel] = []
        await self.gate.deliver(parcels, _NoJournal())


class _NoJournal:
    async def record(self, outcomes: Any, intents: Any) -> None:
        """Record nothing."""


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A gate that is open."""
    bench = Bench(monkeypatch)
    yield bench
    await bench.gate.retire()


async def test_a_destination_that_is_down_is_asked_once(bench: Bench) -> None:
    """The others hear what it said, in readiness and in recovery, and the log says it once."""
    bench.relay.says = DOWN
    heard = [await bench.ask() for _ in range(3)]
    intents: list[Intent] = []
    with pytest.raises(DestinationUnavailable, match="relay is down"):
        await bench.gate.recover(intents)

    assert heard == ["DestinationUnavailable: relay is down"] * 3
    assert bench.relay.asked == 1
    assert bench.told == [DestinationDown("relay", "relay is down", FIRST_PAUSE_S)]


async def test_a_gate_tries_again_after_growing_pauses_and_opens(bench: Bench) -> None:
    """Up to an hour; another reason is told, and the end."""
    bench.relay.says = DOWN
    await bench.ask()
    for _ in range(8):
        await bench.let_retry()
    bench.relay.says = DestinationUnavailable("relay is full")
    await bench.let_retry()
    bench.relay.says, bench.now = None, 1500.0
    await bench.let_retry()

    assert bench.pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert bench.told[1:] == [
        DestinationDown("relay", "relay is full", MAX_BACK_OFF_S),
        DestinationBack("relay", 500.0),
    ]
    assert await bench.ask() == "ready"


async def test_what_needs_mending_is_tried_seldom(bench: Bench) -> None:
    """A login that is refused time and again would be locked."""
    bench.relay.says = DestinationMisconfigured("login refused")

    assert await bench.ask() == await bench.ask() == "DestinationMisconfigured: login refused"
    assert bench.pauses == [MAX_BACK_OFF_S]


async def test_a_destination_that_fails_only_at_delivery_backs_off_too(bench: Bench) -> None:
    """Being ready does not end the row: mail would be retrieved for nothing every time."""
    bench.relay.at_delivery = DOWN
    for _ in range(3):
        with pytest.raises(DestinationUnavailable):
            await bench.deliver()
        await bench.let_retry()
    bench.relay.at_delivery = None
    await bench.deliver()
    bench.relay.says = DOWN
    await bench.ask()

    assert bench.pauses == [30, 60, 120, 30]


async def test_accounts_that_fail_at_the_same_moment_count_once(bench: Bench) -> None:
    """They were all delivering when it went down."""
    bench.relay.at_delivery = DOWN
    for _ in range(3):
        with pytest.raises(DestinationUnavailable):
            await bench.deliver()

    assert bench.pauses == [30]


async def test_other_trouble_closes_no_gate(bench: Bench) -> None:
    """A password that cannot be had; and while the gate is closed, it stays so."""
    bench.relay.says = SecretUnavailable("no such file")
    first = await bench.ask()
    bench.relay.says = DOWN
    await bench.ask()
    bench.relay.says = SecretUnavailable("no such file")
    await bench.let_retry()

    assert first == "SecretUnavailable: no such file"
    assert await bench.ask() == "DestinationUnavailable: relay is down"
    assert bench.pauses == [30, 60]


async def test_a_destination_that_hangs_takes_no_mail_until_it_is_over(bench: Bench) -> None:
    """Nobody waits for it, nobody begins anything else there, and it is tried when it is over."""
    bench.relay.patience = 0.01
    bench.relay.hangs = asyncio.get_running_loop().create_future()
    with pytest.raises(DestinationUnavailable, match="'relay' hangs: "):
        await bench.deliver()
    with pytest.raises(DestinationUnavailable, match="'relay' hangs: "):
        await bench.deliver()
    await bench.let_retry()
    asked = bench.relay.asked
    bench.relay.patience = 3600.0
    bench.relay.hangs.set_result(None)
    await settle()

    assert (asked, bench.relay.asked) == (0, 1)
    assert [type(event) for event in bench.told] == [DestinationDown, DestinationBack]


async def test_what_must_be_done_first_keeps_the_gate_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that came late would take what is being delivered for what a crash left (P1)."""
    monkeypatch.setattr("popsync.agent.gates.PREPARING_S", 0.01)
    done = asyncio.get_running_loop().create_future()

    async def sweep() -> None:
        while not done.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(done)

    await bench.gate.prepare(sweep())
    closed = await bench.ask()
    with pytest.raises(DestinationUnavailable):
        await bench.deliver()
    done.set_result(None)
    await settle()

    assert closed.startswith("DestinationUnavailable: destination 'relay' hangs")
    assert await bench.ask() == "ready"


async def test_an_overview_says_since_when_and_until(bench: Bench) -> None:
    """By the clock that people read."""
    before = bench.gate.overview()
    bench.relay.says = DOWN
    await bench.ask()
    after = bench.gate.overview()

    assert before == DestinationOverview("relay", None, None, "")
    assert (after.unavailable_since, after.trouble) == (1000.0, "relay is down")
    assert after.retry_at == pytest.approx(1030.0, abs=5.0)


async def test_a_gate_that_was_replaced_tries_no_more(bench: Bench) -> None:
    """A poll under way may still find its destination down."""
    await bench.gate.retire()
    bench.relay.says = DOWN

    assert await bench.ask() == "DestinationUnavailable: relay is down"
    assert bench.pauses == []


async def test_a_gate_is_kept_while_its_destination_is() -> None:
    """One that is replaced tries no more."""
    gates, relay = Gates(), Relay()
    first = (await gates.put_before({"relay": relay}))["relay"]
    relay.says = DOWN
    with pytest.raises(DestinationUnavailable):
        await first.ready()
    kept = (await gates.put_before({"relay": relay}))["relay"]
    other = (await gates.put_before({"relay": Relay()}))["relay"]

    assert kept is first
    assert other is not first
    assert first._timer is not None
    assert first._timer.cancelled()  # type: ignore[attr-defined]
    assert [destination.unavailable_since for destination in gates.overview()] == [None]
    await gates.close()


# -- accounts ------------------------------------------------------------------------------------


async def test_an_account_has_no_part_in_what_a_destination_lacks(both: Config) -> None:
    """Its failures are not counted, its phase stays; it is polled when the gate opens."""
    async with watching(both) as watch:
        relay = Relay()
        gate = (await watch.gates.put_before({"relay": relay}))["relay"]
        relay.says = DOWN
        with pytest.raises(DestinationUnavailable):
            await gate.ready()
        down = await watch.next_event()
        sets = watch.schedule.sets
        (await watch.next_poll("jane")).end(DOWN)
        (await watch.next_poll("bob")).end()
        await watch.settle_polls()
        jane, _bob = watch.supervisor.overview()
        (relay_overview,) = watch.supervisor.destinations()
        relay.says = None
        await watch.gates.retry(patience_s=60)
        back = await watch.next_event()
        poll = await watch.next_poll()
        await settle()

        assert isinstance(down, DestinationDown)
        assert isinstance(back, DestinationBack)
        assert relay_overview.trouble == "relay is down"
        assert jane.standing.failures == 0
        assert watch.schedule.sets == sets
        assert poll.account == "jane"
        assert watch.begun.empty()
        await watch.gates.close()


async def test_whoever_asks_for_a_poll_has_the_destination_tried_first(jane: Config) -> None:
    """Somebody has just mended it, and wants to see that."""
    async with watching(jane) as watch:
        relay = Relay()
        gate = (await watch.gates.put_before({"relay": relay}))["relay"]
        relay.says = DOWN
        with pytest.raises(DestinationUnavailable):
            await gate.ready()
        relay.says = None
        asked = asyncio.create_task(watch.supervisor.poll_now())
        (await watch.next_poll()).end()
        await asked

        assert watch.supervisor.destinations()[0].unavailable_since is None
        await watch.gates.close()


async def test_whoever_asks_gets_the_report_of_the_poll_that_follows_a_return(
    both: Config,
) -> None:
    """And no other poll comes before it, which would leave nothing to report."""
    async with watching(both) as watch:
        relay = Relay()
        gate = (await watch.gates.put_before({"relay": relay}))["relay"]
        relay.says = DOWN
        with pytest.raises(DestinationUnavailable):
            await gate.ready()
        for name in ("jane", "bob"):
            (await watch.next_poll(name)).end(DOWN)
        await watch.settle_polls()
        relay.says = None
        asked = asyncio.create_task(watch.supervisor.poll_now(["jane"]))
        polls = {poll.account: poll for poll in [await watch.next_poll(), await watch.next_poll()]}
        polls["bob"].end()
        polls["jane"].end(now=2000.0)
        report = (await asked)["jane"]
        await settle()

        assert report is not None
        assert report.summary.ended_at == 2000.0
        assert watch.begun.empty()
        await watch.gates.close()
