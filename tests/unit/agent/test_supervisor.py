"""One poll per account at a time, back-off, reload, and the end."""

import asyncio
from pathlib import Path

import pytest

from popsync.agent.events import Failed, Recovered, Reloaded
from popsync.agent.gates import DestinationBack
from popsync.config.model import Config
from popsync.errors import (
    AuthRejected,
    ConnectFailed,
    LedgerCorrupt,
    LedgerUnavailable,
    UidlUnsupported,
    UnexpectedError,
)
from tests.doubles.supervision import NotedStandings, Watch, settle, watching
from tests.unit.agent.accounts import table
from tests.unit.config.files import INBOX, load

DAY_S = 86_400.0


# -- polls ---------------------------------------------------------------------------------------


async def test_a_handful_of_accounts_begins_at_once(both: Config) -> None:
    """Those that are switched off do not begin at all."""
    async with watching(both) as watch:
        assert watch.schedule.first_after_s == {"jane": 0, "bob": 0}


async def test_many_accounts_are_spread_over_their_interval(tmp_path: Path) -> None:
    """So that not all of them knock at the same moment; here chance always says the middle."""
    config = load(tmp_path, INBOX + "".join(table(f"a{number}") for number in range(11)))
    async with watching(config) as watch:
        assert set(watch.schedule.first_after_s.values()) == {150.0}


async def test_an_account_with_a_schedule_keeps_to_it(tmp_path: Path) -> None:
    """It waits for its first moment, and comes back from failures at one; it is 16:40."""
    config = load(tmp_path, INBOX + table("jane", 'schedule = "*/30 * * * *"'))
    async with watching(config) as watch:
        first_after_s = watch.schedule.first_after_s["jane"]
        pauses = []
        for _ in range(3):
            (await watch.next_poll("jane")).end(ConnectFailed("nobody answers"))
            await watch.next_event()
            pauses.append(watch.schedule.first_after_s["jane"])

        assert first_after_s == 800.0
        assert pauses == [800.0, 2600.0, 4400.0]


async def test_an_account_is_polled_once_at_a_time(jane: Config) -> None:
    """However often it is due meanwhile, one more poll follows, and then none."""
    async with watching(jane) as watch:
        first = await watch.next_poll("jane")
        for _ in range(3):
            watch.schedule.due("jane")
        await settle()
        alone = watch.begun.empty()
        first.end()
        second = await watch.next_poll()
        second.end()
        await settle()

        assert alone
        assert watch.begun.empty()


async def test_accounts_are_polled_side_by_side(both: Config) -> None:
    """One that hangs, or whose code is broken, keeps no other from being polled (P5)."""
    async with watching(both) as watch:
        await watch.next_poll("jane")
        bob = await watch.next_poll("bob")
        bob.blow_up(RuntimeError("a bug"))
        event = await watch.next_event()
        again = await watch.next_poll("bob")

        assert again.account == "bob"
        assert isinstance(event, Failed)
        assert isinstance(event.report.error, UnexpectedError)
        assert isinstance(event.report.error.__cause__, RuntimeError)


async def test_a_poll_that_went_well_leaves_the_phase_alone(jane: Config) -> None:
    """The schedule is not touched, and nothing is told."""
    async with watching(jane) as watch:
        before = watch.schedule.sets
        (await watch.next_poll("jane")).end()
        await settle()

        assert watch.schedule.sets == before
        assert watch.events.empty()


async def test_failures_back_off_and_their_end_is_told(jane: Config) -> None:
    """The same error is news once; success says how many failures there were, and how long."""
    async with watching(jane) as watch:
        news, pauses = [], []
        for now in (1000.0, 2000.0):
            (await watch.next_poll("jane")).end(ConnectFailed("nobody answers"), now=now)
            event = await watch.next_event()
            assert isinstance(event, Failed)
            news.append(event.is_news)
            pauses.append(watch.schedule.first_after_s["jane"])
        (await watch.next_poll("jane")).end(now=3100.0)

        assert await watch.next_event() == Recovered("jane", 2, 2100.0)
        assert (news, pauses) == ([True, False], [300.0, 540.0])
        assert watch.schedule.first_after_s["jane"] == 300


async def test_a_moment_that_came_during_a_failed_poll_is_dropped(jane: Config) -> None:
    """The back-off decides when to come back."""
    async with watching(jane) as watch:
        poll = await watch.next_poll("jane")
        watch.schedule.due("jane")
        poll.end(ConnectFailed("nobody answers"))
        await watch.next_event()
        await settle()

        assert watch.begun.empty()


async def test_a_server_that_wants_a_delay_is_not_asked_before(jane: Config) -> None:
    """Not by a moment that came meanwhile, nor by one that comes early; only by the operator."""
    async with watching(jane) as watch:
        poll = await watch.next_poll("jane")
        watch.schedule.due("jane")
        poll.end(login_delay_s=900)
        await settle()
        after_poll = watch.schedule.first_after_s["jane"]
        watch.passed_s += 890.0
        watch.schedule.due("jane")
        await settle()
        early = watch.schedule.first_after_s["jane"]
        begun_early = not watch.begun.empty()
        asked = asyncio.create_task(watch.supervisor.poll_now(["jane"]))
        (await watch.next_poll()).end()
        await asked
        await watch.settle_polls()
        poll = await watch.next_poll("jane")

        assert (after_poll, early, begun_early) == (900.0, 10.0, False)
        assert poll.account == "jane"


async def test_the_third_refused_login_suspends_and_is_told(jane: Config) -> None:
    """It is the same error, and still news."""
    async with watching(jane) as watch:
        news = []
        for _ in range(4):
            (await watch.next_poll("jane")).end(AuthRejected("no"))
            event = await watch.next_event()
            assert isinstance(event, Failed)
            news.append(event.is_news)

        assert news == [True, False, True, False]
        assert watch.schedule.first_after_s["jane"] == DAY_S / 4


async def test_everything_is_polled_when_somebody_asks(both: Config) -> None:
    """Suspended accounts too; those that are being polled once more afterwards."""
    async with watching(both) as watch:
        (await watch.next_poll("jane")).end(UidlUnsupported("no unique-ids"))
        await watch.next_event()
        bob = await watch.next_poll("bob")
        watch.supervisor.poll_all()
        jane = await watch.next_poll()
        bob.end()
        again = await watch.next_poll()

        assert (jane.account, again.account) == ("jane", "bob")


async def test_an_account_that_does_not_exist_is_never_due(jane: Config) -> None:
    """A schedule that is late with a removed account does no harm."""
    async with watching(jane) as watch:
        watch.schedule.due("nobody")
        await settle()

        assert watch.begun.empty()


# -- reload --------------------------------------------------------------------------------------


async def test_a_reload_touches_only_what_changed(both: Config, tmp_path: Path) -> None:
    """One is added, one removed, one changed; the phase of the fourth stays."""
    before = load(tmp_path, INBOX + table("a") + table("b") + table("c"))
    after = load(tmp_path, INBOX + table("a") + table("c", 'poll_every = "1m"') + table("d"))
    async with watching(before) as watch:
        watch.schedule.first_after_s = dict.fromkeys("abc", 77.0)
        await watch.supervisor.apply(after)
        event = await watch.next_event()

        assert watch.schedule.first_after_s == {"a": 77.0, "c": 0, "d": 0}
        assert isinstance(event, Reloaded)
        assert event.changes.accounts.removed == {"b"}


async def test_a_running_poll_ends_under_its_configuration(jane: Config, tmp_path: Path) -> None:
    """The account's next poll begins only then, under the new one, even after a failure."""
    after = load(tmp_path, INBOX + table("jane", "fetch_limit = 1"))
    async with watching(jane) as watch:
        old = await watch.next_poll("jane")
        await watch.supervisor.apply(after)
        watch.schedule.due("jane")
        await settle()
        alone = watch.begun.empty()
        sets = watch.schedule.sets
        old.end(ConnectFailed("nobody answers"))
        new = await watch.next_poll()

        assert alone
        assert (old.config, new.config) == (jane, after)
        assert watch.schedule.sets == sets


async def test_an_unchanged_account_is_polled_by_the_new_pollster(
    jane: Config, tmp_path: Path
) -> None:
    """It keeps its standing, and no old one is kept alive by it."""
    after = load(tmp_path, INBOX + table("jane") + table("bob"))
    async with watching(jane) as watch:
        await watch.supervisor.apply(after)

        assert (await watch.next_poll("jane")).config is after


async def test_an_account_under_another_name_waits_for_its_own_poll(
    jane: Config, tmp_path: Path
) -> None:
    """The ledger knows it by its login, and two polls at once would recover each other's steps."""
    after = load(tmp_path, INBOX + table("renamed", user="jane"))
    async with watching(jane) as watch:
        old = await watch.next_poll("jane")
        await watch.supervisor.apply(after)
        watch.schedule.due("renamed")
        await settle()
        alone = watch.begun.empty()
        old.end()

        assert alone
        assert (await watch.next_poll()).account == "renamed"


async def test_a_removed_account_that_waits_for_its_turn_is_not_polled(
    jane: Config, tmp_path: Path
) -> None:
    """Only a poll that has begun goes on to its end."""
    async with watching(jane) as watch:
        watch.turn.clear()
        watch.schedule.due("jane")
        await settle()
        await watch.supervisor.apply(load(tmp_path, INBOX + table("bob")))
        watch.turn.set()
        await settle()

        assert watch.begun.empty()


async def test_a_suspended_account_is_probed_when_it_changes(tmp_path: Path) -> None:
    """At once, even when the same edit changes so many that the others are spread."""
    names = [f"a{number}" for number in range(11)]
    before = load(tmp_path, INBOX + "".join(map(table, names)))
    after = load(tmp_path, INBOX + "".join(table(name, 'poll_every = "1h"') for name in names))
    async with watching(before) as watch:
        (await watch.next_poll("a3")).end(UidlUnsupported("no unique-ids"))
        await watch.next_event()
        await watch.supervisor.apply(after)

        first_after_s = watch.schedule.first_after_s
        assert (first_after_s.pop("a3"), set(first_after_s.values())) == (0, {1800.0})


async def test_a_configuration_that_cannot_be_built_changes_nothing(
    jane: Config, both: Config
) -> None:
    """Whoever reloads is told, and the accounts are polled as before (P5)."""
    async with watching(jane) as watch:
        watch.refuses = LedgerUnavailable("disk full")
        with pytest.raises(LedgerUnavailable):
            await watch.supervisor.apply(both)

        assert (await watch.next_poll("jane")).config is jane
        assert list(watch.schedule.first_after_s) == ["jane"]


async def test_a_reload_waits_for_the_beginning(jane: Config, both: Config) -> None:
    """Asked for before anything is polled, it is not forgotten."""
    watch = Watch()
    reload = asyncio.create_task(watch.supervisor.apply(both))
    await settle()
    running = watch.start(jane)
    await reload
    watch.stop.ask()
    await running

    assert set(watch.schedule.first_after_s) == {"jane", "bob"}


# -- the end -------------------------------------------------------------------------------------


async def test_a_stop_waits_for_polls_and_begins_none(both: Config) -> None:
    """Neither what is due again, nor a new configuration, nor one that waits for its turn."""
    async with watching(both) as watch:
        assert watch.running is not None
        poll = await watch.next_poll("jane")
        watch.schedule.due("jane")
        watch.turn.clear()
        watch.schedule.due("bob")
        await settle()
        watch.stop.ask()
        await settle()
        waits = not watch.running.done()
        await watch.supervisor.apply(both)
        watch.turn.set()
        poll.end()
        await watch.running

        assert waits
        assert (watch.begun.empty(), watch.schedule.closed) == (True, True)
        assert watch.events.empty()


async def test_nothing_is_due_after_a_stop(jane: Config) -> None:
    """Not even what a poll that fails after it would come back for."""
    async with watching(jane) as watch:
        poll = await watch.next_poll("jane")
        watch.stop.ask()
        await settle()
        sets = watch.schedule.sets
        poll.end(ConnectFailed("nobody answers"))
        await watch.settle_polls()

        assert watch.schedule.sets == sets


async def test_a_stop_gives_up_sessions_that_have_not_begun(jane: Config, both: Config) -> None:
    """Those too that belong to a configuration which was replaced."""
    async with watching(jane) as watch:
        await watch.supervisor.apply(both)
        before = [crew.given_up for crew in watch.crews]
        watch.stop.ask()
        await settle()

        assert before == [False, False]
        assert [crew.given_up for crew in watch.crews] == [True, True]


async def test_an_error_of_the_process_ends_it_for_all(both: Config) -> None:
    """The other polls end in order first; then the error is raised."""
    async with watching(both) as watch:
        assert watch.running is not None
        jane = await watch.next_poll("jane")
        bob = await watch.next_poll("bob")
        jane.end(LedgerCorrupt("the ledger is damaged"))
        await settle()
        stops = watch.stop()
        bob.end(LedgerCorrupt("the same again"))
        with pytest.raises(LedgerCorrupt, match="is damaged"):
            await watch.running

        assert stops


async def test_an_error_of_the_process_is_left_to_whoever_runs_it(both: Config) -> None:
    """Accounts say nothing of it, or it would be said once for each."""
    async with watching(both) as watch:
        (await watch.next_poll("jane")).end(LedgerCorrupt("the ledger was removed"))
        await settle()

        assert watch.events.empty()


async def test_a_ledger_that_was_taken_away_ends_it_while_nothing_is_due(jane: Config) -> None:
    """An idle daemon, too, hears of it within seconds."""
    memory = NotedStandings()
    memory.lost = LedgerCorrupt("the ledger was removed")
    async with watching(jane, memory) as watch:
        assert watch.running is not None
        with pytest.raises(LedgerCorrupt, match="was removed"):
            await watch.running


async def test_a_cancelled_supervisor_leaves_no_poll_behind(both: Config) -> None:
    """It is cut like a crash, also a poll that had not begun yet and one that is due again."""
    async with watching(both) as watch:
        assert watch.running is not None
        jane = await watch.next_poll("jane")
        watch.schedule.due("jane")
        watch.running.cancel()
        watch.schedule.due("bob")
        with pytest.raises(asyncio.CancelledError):
            await watch.running
        await settle()

        assert jane.cut
        assert watch.begun.empty()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_destination_that_is_back_has_those_polled_whose_mail_waits(
    jane: Config, *, waits: bool
) -> None:
    """Also when the poll went well, because others took it; nobody else is polled for that."""
    async with watching(jane) as watch:
        (await watch.next_poll("jane")).end(down="relay" if waits else "")
        await settle()
        watch.gates._tell(DestinationBack("relay", 60.0))
        await settle()

        assert watch.begun.empty() is not waits
