"""Passwords on disk that a server has refused, and what happens when they change."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from popsync.agent.overview import AccountState
from popsync.agent.standing import MAX_REFUSED_LOGINS
from popsync.agent.watched import Watched
from popsync.config.model import Config
from popsync.errors import AuthRejected, PopsyncError, SecretUnavailable, UidlUnsupported
from tests.doubles.supervision import Watch, watching
from tests.unit.agent.accounts import table
from tests.unit.config.files import INBOX, load

WRONG = AuthRejected("wrong password")
TIMEOUT_S = 10


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Give a file with a password that is wrong."""
    path = tmp_path / "secrets" / "jane"
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_text("wrong\n")
    return path


def config_with(tmp_path: Path, password: str) -> Config:
    """Give two accounts whose passwords are refused, of which jane's comes from elsewhere."""
    jane = table("jane").replace('"s3cret"', password)
    return load(tmp_path, INBOX + jane + table("bob"))


async def refuse(watch: Watch, name: str, error: PopsyncError, *, times: int) -> None:
    """Let so many polls of an account end badly."""
    for _ in range(times):
        (await watch.next_poll(name)).end(error)
        await watch.settle_polls()


def spy_on_tries(watch: Watch) -> asyncio.Event:
    """Give an event that is set once an account was found to have another password."""
    tried = asyncio.Event()
    secrets = watch.supervisor._secret_watch
    change = secrets._changed

    async def spy(watched: Watched) -> None:
        await change(watched)
        tried.set()

    secrets._changed = spy
    return tried


def write(path: Path, text: str) -> None:
    """Put another text into the same file."""
    path.write_text(text)


def write_in_place(path: Path) -> None:
    """As a shell does."""
    write(path, "right\n")


def swap_link(path: Path) -> None:
    """As Kubernetes does for the directory of a secret."""
    fresh = path.parent.with_name("fresh")
    fresh.mkdir()
    (fresh / path.name).touch(mode=0o600)
    (fresh / path.name).write_text("right\n")
    path.parent.rename(path.parent.with_name("stale"))
    path.parent.symlink_to(fresh)


@pytest.mark.parametrize("change", [write_in_place, swap_link])
@pytest.mark.parametrize("kind", ["file", "credential"])
async def test_a_suspended_account_is_probed_when_its_password_changes(
    tmp_path: Path,
    secret: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    kind: str,
) -> None:
    """At once and once, and no other account with it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secret.parent))
    password = f'{{ file = "{secret}" }}' if kind == "file" else '{ credential = "jane" }'
    async with watching(config_with(tmp_path, password)) as watch:
        for name in ("jane", "bob"):
            await refuse(watch, name, WRONG, times=MAX_REFUSED_LOGINS)
        await watch.supervisor._secret_watch._compare()
        suspended = [account.state for account in watch.supervisor.overview()]
        tried = spy_on_tries(watch)
        change(secret)
        async with asyncio.timeout(TIMEOUT_S):
            await tried.wait()
        first_after_s = watch.schedule.first_after_s["jane"]
        states = [account.state for account in watch.supervisor.overview()]

    assert suspended == [AccountState.SUSPENDED, AccountState.SUSPENDED]
    assert states == [AccountState.WAITING, AccountState.SUSPENDED]
    assert first_after_s == 0.0


@pytest.mark.parametrize(
    ("error", "probed"),
    [(SecretUnavailable("no such file"), True), (WRONG, True), (UidlUnsupported("no"), False)],
)
async def test_trouble_that_a_password_may_end_is_tried_again(
    tmp_path: Path, secret: Path, error: PopsyncError, *, probed: bool
) -> None:
    """Also before an account is suspended, or when the password could not be had at all."""
    async with watching(config_with(tmp_path, f'{{ file = "{secret}" }}')) as watch:
        await refuse(watch, "jane", error, times=1)
        lacking = [account.name for account in watch.supervisor._roster.lacking_password()]

    assert lacking == (["jane"] if probed else [])


async def test_the_same_password_in_another_file_probes_nothing(
    tmp_path: Path, secret: Path
) -> None:
    """An editor that writes the file again unchanged does not spend a login."""
    async with watching(config_with(tmp_path, f'{{ file = "{secret}" }}')) as watch:
        await refuse(watch, "jane", WRONG, times=MAX_REFUSED_LOGINS)
        (jane, _bob) = watch.supervisor._roster
        for text in ("wrong\r\n", "wrong", ""):
            write(secret, text)
            await watch.supervisor._roster.try_password(jane)

        assert watch.supervisor.overview()[0].state is AccountState.SUSPENDED


async def test_a_reload_looks_at_passwords_of_all_kinds(tmp_path: Path, secret: Path) -> None:
    """A command's output is nothing that could be watched."""
    config = config_with(tmp_path, f'{{ command = ["cat", "{secret}"] }}')
    async with watching(config) as watch:
        await refuse(watch, "jane", WRONG, times=MAX_REFUSED_LOGINS)
        await watch.supervisor.apply(config)
        await watch.settle_marks()
        same = watch.supervisor.overview()[0].state
        write(secret, "right\n")
        await watch.supervisor.apply(config)
        await watch.settle_marks()
        other = watch.supervisor.overview()[0].state

    assert (same, other) == (AccountState.SUSPENDED, AccountState.WAITING)
