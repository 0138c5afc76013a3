"""What the operator sees, and what is done because the operator asks."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from popsync.agent.overview import AccountState, state_of
from popsync.agent.roster import MAX_LATE_S
from popsync.agent.standing import Standing
from popsync.config.model import Config
from popsync.errors import (
    ConnectFailed,
    LedgerUnavailable,
    UidlUnsupported,
    UnknownAccount,
)
from popsync.ledger import StoredStanding
from popsync.model import AccountId
from tests.doubles.supervision import NotedStandings, Watch, settle, watching
from tests.unit.agent.accounts import table
from tests.unit.config.files import INBOX, load

JANE = AccountId("jane@pop.example.org")
FAILING = Standing(failures=1, failing_since=1.0, trouble="x")
SUSPENDED = Standing(failures=1, failing_since=1.0, suspended=True, trouble="x")


@pytest.mark.parametrize(
    ("standing", "polling", "paused", "expected"),
    [
        (Standing(), False, False, AccountState.WAITING),
        (FAILING, False, False, AccountState.BACKING_OFF),
        (SUSPENDED, False, False, AccountState.SUSPENDED),
        (SUSPENDED, False, True, AccountState.PAUSED),
        (SUSPENDED, True, True, AccountState.POLLING),
    ],
)
def test_a_state_says_what_matters_most(
    standing: Standing, *, polling: bool, paused: bool, expected: AccountState
) -> None:
    """A poll under way, then the operator's wish, then what is wrong."""
    assert state_of(standing, polling=polling, paused=paused) is expected


async def test_an_overview_shows_enabled_accounts_in_order(both: Config) -> None:
    """With the time of their next poll, by the same clock as polls have."""
    async with watching(both) as watch:
        jane, bob = watch.supervisor.overview()

        assert (jane.name, jane.account, bob.name) == ("jane", JANE, "bob")
        assert (jane.state, jane.next_poll_at) == (AccountState.WAITING, 1000.0)


async def test_an_overview_keeps_the_order_of_a_new_configuration(
    both: Config, tmp_path: Path
) -> None:
    """Wherever in the file an account was added or changed."""
    tables = [table("jane", "fetch_limit = 1"), table("ann"), table("bob")]
    async with watching(both) as watch:
        await watch.supervisor.apply(load(tmp_path, INBOX + "".join(tables)))

        assert [o.name for o in watch.supervisor.overview()] == ["jane", "ann", "bob"]


async def test_an_overview_tells_polling_from_waiting_for_a_place(jane: Config) -> None:
    """An account is polled from the moment that it has one of the places."""
    async with watching(jane) as watch:
        watch.turn.clear()
        watch.schedule.due("jane")
        await settle()
        (queueing,) = watch.supervisor.overview()
        watch.turn.set()
        poll = await watch.next_poll()
        (polling,) = watch.supervisor.overview()
        poll.end(ConnectFailed("nobody answers"))
        await watch.next_event()
        await settle()
        (after,) = watch.supervisor.overview()

        assert (queueing.state, queueing.polling_since) == (AccountState.WAITING, None)
        assert (polling.state, polling.polling_since) == (AccountState.POLLING, 1000.0)
        assert (after.state, after.polling_since) == (AccountState.BACKING_OFF, None)
        assert after.standing.trouble == "ConnectFailed: nobody answers"


# -- polls ---------------------------------------------------------------------------------------


async def test_reports_of_polls_that_were_asked_for_come_back(both: Config) -> None:
    """Of all accounts when none is named; a failure is a report, too."""
    async with watching(both) as watch:
        asked = asyncio.create_task(watch.supervisor.poll_now())
        (await watch.next_poll()).end()
        (await watch.next_poll()).end(ConnectFailed("nobody answers"))
        reports = await asked

        assert list(reports) == ["jane", "bob"]
        assert [report and str(report.error) for report in reports.values()] == [
            "None",
            "nobody answers",
        ]


async def test_what_was_asked_for_can_be_seen_in_the_ledger_at_once(jane: Config) -> None:
    """Nothing of it is still put off; a ledger that refuses takes no report away."""
    memory = NotedStandings()
    async with watching(jane, memory=memory) as watch:
        memory.refuses = LedgerUnavailable("disk full")
        asked = asyncio.create_task(watch.supervisor.poll_now())
        (await watch.next_poll()).end()
        reports = await asked
        memory.refuses = None

        assert memory.caught_up == 1
        assert list(reports) == ["jane"]


async def test_an_account_that_is_being_polled_is_polled_once_more(jane: Config) -> None:
    """The report is that of the poll that began after the question, even if the first failed."""
    async with watching(jane) as watch:
        first = await watch.next_poll("jane")
        asked = asyncio.create_task(watch.supervisor.poll_now(["jane", "jane"]))
        await settle()
        first.end(ConnectFailed("nobody answers"))
        (await watch.next_poll()).end()
        reports = await asked

        assert reports["jane"] is not None
        assert reports["jane"].error is None
        assert watch.begun.empty()


async def test_a_poll_that_is_due_again_may_be_asked_for_as_well(jane: Config) -> None:
    """Then a failure before it is no reason to leave it out."""
    async with watching(jane) as watch:
        first = await watch.next_poll("jane")
        watch.schedule.due("jane")
        asked = asyncio.create_task(watch.supervisor.poll_now(["jane"]))
        await settle()
        first.end(ConnectFailed("nobody answers"))
        await settle()
        begins = not watch.begun.empty()

        assert begins
        (await watch.next_poll()).end()
        assert (await asked)["jane"] is not None


async def test_whoever_does_not_wait_for_a_report_cuts_no_poll(jane: Config) -> None:
    """Neither the one that began, nor the one that is to follow."""
    async with watching(jane) as watch:
        first = await watch.next_poll("jane")
        asked = asyncio.create_task(watch.supervisor.poll_now(["jane"]))
        await settle()
        asked.cancel()
        await asyncio.wait([asked])
        first.end()
        (await watch.next_poll()).end()
        await settle()

        assert not first.cut


async def test_there_is_no_report_of_a_poll_that_never_began(jane: Config) -> None:
    """The end came first."""
    async with watching(jane) as watch:
        watch.turn.clear()
        asked = asyncio.create_task(watch.supervisor.poll_now(["jane"]))
        again = asyncio.create_task(watch.supervisor.poll_now(["jane"]))
        await settle()
        watch.stop.ask()
        watch.turn.set()

        assert await asked == {"jane": None}
        assert await again == {"jane": None}


# -- pause and resume ----------------------------------------------------------------------------


async def test_a_paused_account_is_polled_only_when_somebody_asks(both: Config) -> None:
    """The moment that comes all the same, and the one that waits for its place, are passed by."""
    async with watching(both) as watch:
        watch.turn.clear()
        watch.schedule.due("jane")
        await settle()
        await watch.supervisor.pause(["jane"])
        watch.turn.set()
        watch.schedule.due("jane")
        await settle()
        silent = watch.begun.empty()
        (paused, other) = watch.supervisor.overview()
        asked = asyncio.create_task(watch.supervisor.poll_now(["jane"]))
        (await watch.next_poll()).end(ConnectFailed("nobody answers"))
        await asked

        assert silent
        assert (paused.state, paused.next_poll_at) == (AccountState.PAUSED, None)
        assert other.state is AccountState.WAITING
        assert "jane" not in watch.schedule.first_after_s


async def test_a_resumed_account_is_polled_at_once(jane: Config) -> None:
    """And then in its interval as before."""
    async with watching(jane) as watch:
        await watch.supervisor.pause()
        await watch.supervisor.resume()

        assert watch.schedule.first_after_s == {"jane": 0}
        assert watch.memory.noted[JANE].paused is False


async def test_resuming_lifts_a_suspension_and_touches_nobody_else(both: Config) -> None:
    """What is neither paused nor suspended keeps its phase."""
    async with watching(both) as watch:
        (await watch.next_poll("jane")).end(UidlUnsupported("no unique-ids"))
        await watch.next_event()
        await settle()
        watch.schedule.first_after_s["bob"] = 77.0
        await watch.supervisor.resume()
        jane, _bob = watch.supervisor.overview()

        assert jane.state is AccountState.WAITING
        assert watch.schedule.first_after_s == {"jane": 0, "bob": 77.0}


async def test_a_pause_outlives_the_daemon_and_a_changed_configuration(
    jane: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is the login that is paused, whatever else is said of it."""
    memory = NotedStandings()
    memory.noted[JANE] = StoredStanding("", paused=True)
    renamed = load(tmp_path_factory.mktemp("after"), INBOX + table("renamed", user="jane"))
    async with watching(jane, memory) as watch:
        before = watch.supervisor.overview()
        await watch.supervisor.apply(renamed)
        after = watch.supervisor.overview()

        assert [account.state for account in (*before, *after)] == [AccountState.PAUSED] * 2
        assert watch.schedule.first_after_s == {}


async def test_a_pause_that_cannot_be_remembered_is_none(jane: Config) -> None:
    """Whoever asked is told."""
    async with watching(jane) as watch:
        watch.memory.refuses = LedgerUnavailable("disk full")
        with pytest.raises(LedgerUnavailable):
            await watch.supervisor.pause(["jane"])

        assert watch.supervisor.overview()[0].state is AccountState.WAITING


@pytest.mark.parametrize(
    "act",
    [
        lambda watch: watch.supervisor.poll_now(["jane", "bo\x1bb", "off"]),
        lambda watch: watch.supervisor.pause(["jane", "bo\x1bb", "off"]),
        lambda watch: watch.supervisor.resume(["jane", "bo\x1bb", "off"]),
    ],
    ids=["poll", "pause", "resume"],
)
async def test_a_name_that_nobody_has_is_refused(
    both: Config, act: Callable[[Watch], Awaitable[object]]
) -> None:
    """All strangers are named, disabled accounts among them; nothing is done for the others."""
    async with watching(both) as watch:
        with pytest.raises(UnknownAccount, match=r'"bo\\x1bb", "off"'):
            await act(watch)
        await settle()

        assert watch.begun.empty()
        assert watch.memory.noted == {}


# -- the watchdog --------------------------------------------------------------------------------


async def test_a_supervisor_moves_while_every_account_is_polled_in_time(both: Config) -> None:
    """A paused account is never late."""
    async with watching(both) as watch:
        await watch.supervisor.pause(["bob"])
        watch.schedule.first_after_s["jane"] = 1 - MAX_LATE_S
        in_time = watch.supervisor.is_moving()
        watch.schedule.first_after_s["jane"] = -MAX_LATE_S
        late = watch.supervisor.is_moving()

        assert (in_time, late) == (True, False)
