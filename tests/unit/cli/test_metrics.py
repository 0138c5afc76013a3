"""What Prometheus reads."""

import asyncio
import socket
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from popsync.agent.overview import AccountOverview, AccountState, DestinationOverview
from popsync.agent.standing import Standing
from popsync.cli.metrics import Figures, Metrics, MetricsUnusable
from popsync.config.checks import ListenAddress
from popsync.errors import AuthRejected, LedgerUnavailable
from popsync.ledger.reports import AccountReport
from popsync.model import AccountId, PollSummary
from popsync.poll.events import Listed, PollEnded, PollReport

ANY_PORT = ListenAddress("127.0.0.1", 0)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def overview(name: str, state: AccountState = AccountState.WAITING) -> AccountOverview:
    """Give one account's."""
    return AccountOverview(
        name, AccountId(f"{name}@host"), state, None, None, Standing(failures=2)
    )


def report(name: str) -> AccountReport:
    """Give what the ledger says of an account."""
    return AccountReport(
        account=AccountId(f"{name}@host"),
        last_poll=None,
        last_success_at=1000.5,
        error_since=None,
        total_delivered=7,
        total_octets=7000,
        pending=3,
        held=2,
        polled_before=True,
        renumbering=False,
        lock_step=False,
        paused=False,
        day="",
        delivered_today=0,
        standing="",
    )


def figures(*names: str) -> Figures:
    """Give those of accounts that were polled, and of one that never was."""
    accounts = [overview(name) for name in names] + [overview("new", AccountState.SUSPENDED)]
    reports = {AccountId(f"{name}@host"): report(name) for name in names}
    destinations = [
        DestinationOverview("inbox", None, None, ""),
        DestinationOverview("mta", 950.0, 960.0, "connection refused"),
    ]
    return Figures(
        accounts, reports, destinations, in_doubt=1, config_ok=False, config_loaded_at=900.0
    )


def fetch(port: int) -> Samples:
    """Scrape, as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(metrics: Metrics, shown: Figures) -> Samples:
    """Serve ``shown`` and fetch it once."""

    async def look() -> Figures:
        return shown

    async with metrics.at_work(look) as port:
        return await asyncio.to_thread(fetch, port)


async def test_figures_are_those_of_ledger_and_supervisor() -> None:
    """By account, under its name in the configuration; one never polled has no past."""
    samples = await scrape(Metrics(ANY_PORT), figures("jane"))
    jane = (("account", "jane"),)

    assert samples["popsync_last_success_timestamp_seconds", jane] == 1000.5
    assert samples["popsync_messages_delivered_total", jane] == 7
    assert samples["popsync_octets_delivered_total", jane] == 7000
    assert samples["popsync_held_messages", jane] == 2
    assert samples["popsync_waiting_messages", jane] == 3
    assert samples["popsync_account_failures", jane] == 2
    assert samples["popsync_account_suspended", (("account", "new"),)] == 1
    assert ("popsync_held_messages", (("account", "new"),)) not in samples
    assert samples["popsync_destination_up", (("destination", "inbox"),)] == 1
    assert samples["popsync_destination_up", (("destination", "mta"),)] == 0
    assert samples["popsync_in_doubt_deliveries", ()] == 1
    assert samples["popsync_config_last_reload_ok", ()] == 0
    assert samples["popsync_config_loaded_timestamp_seconds", ()] == 900
    assert samples["popsync_ledger_readable", ()] == 1


async def test_polls_are_counted_by_result() -> None:
    """And how long they took; other events count nothing."""
    metrics = Metrics(ANY_PORT)
    metrics(Listed("jane", 1, 1, 100))
    metrics(PollEnded(PollReport("jane", PollSummary(10.0, 12.0))))
    metrics(PollEnded(PollReport("jane", PollSummary(10.0, 9.0), AuthRejected("no"))))
    samples = await scrape(metrics, figures())

    assert samples["popsync_polls_total", (("account", "jane"), ("result", "ok"))] == 1
    assert samples["popsync_polls_total", (("account", "jane"), ("result", "AuthRejected"))] == 1
    assert samples["popsync_poll_seconds_count", ()] == 2
    assert samples["popsync_poll_seconds_sum", ()] == 2


async def test_ledger_that_cannot_be_read_leaves_the_counts() -> None:
    """The scrape is answered, and says so."""

    async def look() -> Figures:
        raise LedgerUnavailable("disk gone")

    async with Metrics(ANY_PORT).at_work(look) as port:
        samples = await asyncio.to_thread(fetch, port)

    assert samples["popsync_ledger_readable", ()] == 0
    assert any(name == "popsync_build_info" for name, _ in samples)


async def test_two_thousand_accounts_are_scraped_quickly() -> None:
    """The event loop goes on meanwhile: the request has a thread of its own."""
    shown = figures(*(f"a{number}" for number in range(2000)))
    began = time.monotonic()
    samples = await scrape(Metrics(ANY_PORT), shown)

    assert time.monotonic() - began < 5
    assert len(samples) > 14_000


async def test_port_in_use_is_one_clear_line() -> None:
    """It says which key to look at."""

    async def look() -> Figures:
        return figures()

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MetricsUnusable) as caught:
            async with Metrics(ListenAddress("127.0.0.1", port)).at_work(look):
                pass

    assert f"metrics.listen: cannot listen on 127.0.0.1:{port}: Address already in" in str(
        caught.value
    )
