"""Figures for Prometheus, over HTTP; only imported where the configuration asks for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from popsync import __version__
from popsync.agent.events import AgentEvent
from popsync.agent.overview import AccountOverview, AccountState, DestinationOverview
from popsync.agent.supervisor import Supervisor
from popsync.cli.logs import Log
from popsync.cli.reloading import Reloading
from popsync.config.checks import ListenAddress
from popsync.errors import PopsyncError
from popsync.ledger import look_at_ledger
from popsync.ledger.reports import AccountReport
from popsync.model import AccountId
from popsync.poll.events import Event, PollEnded

LOOK_TIMEOUT_S = 5.0
_POLL_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class MetricsUnusable(OSError):
    """The address cannot be had; the text says which, and why."""


class Figures(NamedTuple):
    """How all is at one moment."""

    accounts: Sequence[AccountOverview]
    reports: Mapping[AccountId, AccountReport]
    """Of those that were ever polled."""
    destinations: Sequence[DestinationOverview]
    in_doubt: int
    config_ok: bool
    config_loaded_at: float


Look = Callable[[], Awaitable[Figures]]


class PollFigures:
    """Counts polls. An observer, called in the event loop; read from other threads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._polls = Counter(
            "popsync_polls",
            "Polls, by how they ended: ok, or the kind of error.",
            ["account", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "popsync_poll_seconds",
            "How long polls took.",
            buckets=_POLL_SECONDS,
            registry=registry,
        )

    def __call__(self, event: Event | AgentEvent) -> None:
        """Count a poll that is over."""
        if isinstance(event, PollEnded):
            report = event.report
            result = type(report.error).__name__ if report.error else "ok"
            self._polls.labels(report.account, result).inc()
            self._seconds.observe(max(0.0, report.summary.ended_at - report.summary.began_at))


class Metrics:
    """Everything that is shown, in a registry of its own. An observer of polls."""

    def __init__(self, listen: ListenAddress) -> None:
        self._listen = listen
        self.registry = CollectorRegistry()
        self._polls = PollFigures(self.registry)
        build = Gauge("popsync_build_info", "Always 1.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)

    def __call__(self, event: Event | AgentEvent) -> None:
        """Count what is counted."""
        self._polls(event)

    @asynccontextmanager
    async def at_work(self, look: Look) -> AsyncIterator[int]:
        """Serve ``/metrics`` as long as the block lasts; give the port.

        look: is run in this event loop for each request, whose thread waits for it.
        Raises MetricsUnusable.
        """
        host, port = self._listen
        self.registry.register(_Looking(look, asyncio.get_running_loop()))
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            where = f"{host}:{port}"
            reason = error.strerror or str(error)
            raise MetricsUnusable(f"metrics.listen: cannot listen on {where}: {reason}") from error
        try:
            Log().info("metrics are served", port=server.server_port)
            yield server.server_port
        finally:
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            thread.join()


@asynccontextmanager
async def showing_figures(
    metrics: Metrics, state_dir: Path, supervisor: Supervisor, reloading: Reloading
) -> AsyncIterator[None]:
    """Serve ``metrics`` as long as the block lasts; the ledger must be there.

    Raises MetricsUnusable, LedgerError.
    """
    ledger = await look_at_ledger(state_dir)

    async def look() -> Figures:
        reports = {report.account: report for report in await ledger.accounts()}
        return Figures(
            supervisor.overview(),
            reports,
            supervisor.destinations(),
            await ledger.in_doubt(),
            reloading.refused is None,
            reloading.loaded_at,
        )

    try:
        async with metrics.at_work(look):
            yield
    finally:
        await ledger.close()


class _Looking(Collector):
    """Asks the event loop how all is whenever somebody wants to know."""

    def __init__(self, look: Look, loop: asyncio.AbstractEventLoop) -> None:
        self._look = look
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """Give what can be seen now; that it cannot, when the ledger cannot be read."""
        readable = _gauge("popsync_ledger_readable", "Whether the other figures could be had.")
        try:
            figures = asyncio.run_coroutine_threadsafe(self._now(), self._loop).result()
        except (PopsyncError, TimeoutError, CancelledError, RuntimeError):
            readable.add_metric([], 0)
            yield readable
            return
        readable.add_metric([], 1)
        yield readable
        yield from describe(figures)

    async def _now(self) -> Figures:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return await self._look()


def describe(figures: Figures) -> Iterator[Metric]:
    """Give all figures that are kept elsewhere, by account where they are an account's."""
    yield _one("popsync_config_last_reload_ok", "0: refused.", float(figures.config_ok))
    yield _one(
        "popsync_config_loaded_timestamp_seconds",
        "When the configuration in effect was read.",
        figures.config_loaded_at,
    )
    yield _one("popsync_in_doubt_deliveries", "Reply lost, sent again.", float(figures.in_doubt))
    up = _gauge("popsync_destination_up", "0: it takes no mail for now.", "destination")
    for destination in figures.destinations:
        up.add_metric([destination.name], destination.unavailable_since is None)
    yield up
    yield from _describe_states(figures.accounts)
    yield from _describe_reports(figures)


def _describe_states(accounts: Sequence[AccountOverview]) -> Iterator[Metric]:
    suspended = _gauge("popsync_account_suspended", "1: only probed now and then.", "account")
    paused = _gauge("popsync_account_paused", "1: the operator wants no polls.", "account")
    failures = _gauge("popsync_account_failures", "Failed polls in a row.", "account")
    for account in accounts:
        suspended.add_metric([account.name], account.state is AccountState.SUSPENDED)
        paused.add_metric([account.name], account.state is AccountState.PAUSED)
        failures.add_metric([account.name], account.standing.failures)
    yield from (suspended, paused, failures)


def _describe_reports(figures: Figures) -> Iterator[Metric]:
    success = _gauge(
        "popsync_last_success_timestamp_seconds", "When a poll last went well.", "account"
    )
    messages = CounterMetricFamily(
        "popsync_messages_delivered", "Messages delivered, ever.", labels=["account"]
    )
    octets = CounterMetricFamily(
        "popsync_octets_delivered", "Octets delivered, ever.", labels=["account"]
    )
    held = _gauge("popsync_held_messages", "Messages that were set aside.", "account")
    waiting = _gauge("popsync_waiting_messages", "Messages that are tried again.", "account")
    for account in figures.accounts:
        if (report := figures.reports.get(account.account)) is None:
            continue
        if report.last_success_at is not None:
            success.add_metric([account.name], report.last_success_at)
        messages.add_metric([account.name], report.total_delivered)
        octets.add_metric([account.name], report.total_octets)
        held.add_metric([account.name], report.held)
        waiting.add_metric([account.name], report.pending)
    yield from (success, messages, octets, held, waiting)


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=labels)


def _one(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)
