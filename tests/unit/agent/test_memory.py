"""What a restart must not make the daemon forget."""

from pathlib import Path

import pytest

from popsync.agent.memory import Remembered, format_remembered, mark_login, parse_remembered
from popsync.agent.overview import AccountState
from popsync.agent.standing import SUSPENDED_PROBE_S, Standing
from popsync.config.model import Config
from popsync.errors import (
    AuthRejected,
    ConnectFailed,
    LedgerUnavailable,
    PopsyncError,
    UidlUnsupported,
)
from popsync.model import AccountId
from tests.doubles.supervision import NotedStandings, Watch, watching
from tests.unit.agent.accounts import table
from tests.unit.config.files import INBOX, load, load_account

JANE = AccountId("jane@pop.example.org")
NOW = 1000.0
_JANE = table("jane")


async def fail(watch: Watch, error: PopsyncError, *, times: int = 1) -> None:
    """Let jane's polls fail."""
    for _ in range(times):
        (await watch.next_poll("jane")).end(error)
        await watch.next_event()
    await watch.settle_polls()


async def lock_out(config: Config, memory: NotedStandings) -> None:
    """Have jane's login refused until it is not tried any more; then the daemon ends."""
    async with watching(config, memory) as watch:
        await fail(watch, AuthRejected("no"), times=3)


# -- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "remembered",
    [
        Remembered(),
        Remembered(Standing(2, 5.0, 1, trouble="PeerClosed: gone")),
        Remembered(Standing(3, 5.0, 3, suspended=True, trouble="é"), 99.5, "c0ffee"),
    ],
)
def test_what_is_written_is_read(remembered: Remembered) -> None:
    """To the last field."""
    assert parse_remembered(format_remembered(remembered)) == remembered


def test_an_account_without_trouble_has_no_text() -> None:
    """So that nothing is written for it, poll after poll."""
    assert format_remembered(Remembered()) == ""


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", "null", '{"probe_at": 1, "login": "", "x": 1}']
)
def test_what_nobody_wrote_is_no_trouble(text: str) -> None:
    """A later version may have been here."""
    assert parse_remembered(text) == Remembered()


# -- the mark of a login -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "differs"),
    [
        ('poll_every = "1m"', False),
        ("port = 1995", True),
        ('auth = "plain"', True),
        ('password = "S3cret"', True),
        ('host = "other.example.org"', True),
        ('user = "john"', True),
    ],
)
async def test_a_mark_is_that_of_what_a_server_may_refuse(
    tmp_path: Path, keys: str, *, differs: bool
) -> None:
    """Nothing else changes it."""
    stated = {key.split(" = ")[0]: key for key in _JANE.splitlines() if " = " in key}
    stated[keys.split(" = ", maxsplit=1)[0]] = keys
    changed = INBOX + "[account.jane]\n" + "\n".join(stated.values())
    marks = [
        await mark_login(load(tmp_path, text).accounts["jane"], allow_group=False, token="t")
        for text in (INBOX + _JANE, changed)
    ]

    assert (marks[0] != marks[1]) is differs


async def test_a_mark_tells_nobody_the_password(tmp_path: Path) -> None:
    """It is another one in every ledger, so no table of marks helps (P7)."""
    account = load_account(tmp_path, "")
    marks = {await mark_login(account, allow_group=False, token=token) for token in "ab"}

    assert len(marks) == 2
    assert not any("s3cret" in mark for mark in marks)


# -- restarts ------------------------------------------------------------------------------------


async def test_a_login_that_was_refused_is_not_tried_after_a_restart(jane: Config) -> None:
    """However often the daemon is started, there is one try in six hours."""
    memory = NotedStandings()
    await lock_out(jane, memory)
    for _ in range(3):
        async with watching(jane, memory) as watch:
            await watch.settle_marks()
            (overview,) = watch.supervisor.overview()

            assert overview.state is AccountState.SUSPENDED
            assert watch.schedule.first_after_s == {"jane": SUSPENDED_PROBE_S}


async def test_refused_logins_are_counted_over_restarts(jane: Config) -> None:
    """One a start is three in three."""
    memory, starts_with = NotedStandings(), -1.0
    for _ in range(3):
        async with watching(jane, memory) as watch:
            starts_with = watch.schedule.first_after_s["jane"]
            await fail(watch, AuthRejected("no"))

    assert starts_with == 0
    assert parse_remembered(memory.noted[JANE].standing).standing.is_locked_out


@pytest.mark.parametrize("error", [ConnectFailed("nobody answers"), UidlUnsupported("none")])
async def test_other_trouble_is_remembered_and_tried_again(
    jane: Config, error: ConnectFailed | UidlUnsupported
) -> None:
    """Whoever starts the daemon anew has often mended it; and it does no harm."""
    memory = NotedStandings()
    async with watching(jane, memory) as watch:
        await fail(watch, error)
    async with watching(jane, memory) as watch:
        (overview,) = watch.supervisor.overview()

        assert overview.standing.trouble == f"{type(error).__name__}: {error}"
        assert watch.schedule.first_after_s == {"jane": 0}


async def test_another_password_lifts_a_suspension_over_a_restart(
    jane: Config, tmp_path: Path
) -> None:
    """It is tried at once, and a success is the end of the trouble for good."""
    memory = NotedStandings()
    await lock_out(jane, memory)
    mended = load(tmp_path, INBOX + table("jane").replace("s3cret", "right"))
    async with watching(mended, memory) as watch:
        await watch.settle_marks()
        (overview,) = watch.supervisor.overview()
        first_after_s = dict(watch.schedule.first_after_s)
        (await watch.next_poll("jane")).end()
        await watch.settle_polls()

        assert (overview.state, first_after_s) == (AccountState.WAITING, {"jane": 0})
    assert memory.noted[JANE].standing == ""


async def test_a_password_that_cannot_be_had_changes_nothing(jane: Config, tmp_path: Path) -> None:
    """The login is not marked while nobody can tell its password."""
    memory = NotedStandings()
    without = load(tmp_path, INBOX + table("jane").replace('"s3cret"', '{ file = "none" }'))
    await lock_out(without, memory)
    async with watching(without, memory) as watch:
        await watch.settle_marks()

        assert parse_remembered(memory.noted[JANE].standing).login == ""
        assert watch.supervisor.overview()[0].state is AccountState.SUSPENDED


async def test_a_clock_that_was_set_back_makes_nobody_wait_for_years(jane: Config) -> None:
    """Six hours are the most."""
    memory = NotedStandings()
    standing = Standing(3, 5.0, 3, suspended=True, trouble="x")
    await memory.note_standing(JANE, format_remembered(Remembered(standing, 10 * NOW**3, "")))
    async with watching(jane, memory) as watch:
        assert watch.schedule.first_after_s == {"jane": SUSPENDED_PROBE_S}


async def test_a_success_is_not_written_again_and_again(jane: Config) -> None:
    """Nor is a ledger that refuses a reason to poll less."""
    memory = NotedStandings()
    memory.refuses = LedgerUnavailable("disk full")
    async with watching(jane, memory) as watch:
        (await watch.next_poll("jane")).end()
        await fail(watch, ConnectFailed("nobody answers"))
        memory.refuses = None
        await fail(watch, ConnectFailed("nobody answers"))

    assert parse_remembered(memory.noted[JANE].standing).standing.failures == 2
