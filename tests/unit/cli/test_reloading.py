"""Following the configuration while the daemon runs."""

import asyncio
from pathlib import Path

import pytest

from popsync.cli import reloading
from popsync.cli.daemon_log import DaemonLog
from popsync.cli.reloading import Reloading
from popsync.config.diff import NameChanges
from popsync.config.model import Config
from popsync.errors import ConfigError, LedgerUnavailable
from tests.unit.config.files import GMX, INBOX, load, write


class QueueingLog(DaemonLog):
    """Keeps what it is told of reloads."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: asyncio.Queue[Exception] = asyncio.Queue()
        self.missed: asyncio.Queue[Exception] = asyncio.Queue()

    def refuse_config(self, error: Exception) -> None:
        """Keep it."""
        self.refused.put_nowait(error)

    def miss_edits(self, error: Exception) -> None:
        """Keep it."""
        self.missed.put_nowait(error)


class Daemon:
    """What a configuration takes effect in."""

    def __init__(self) -> None:
        self.applied: asyncio.Queue[Config] = asyncio.Queue()
        self.refuses: Exception | None = None

    async def apply(self, config: Config) -> None:
        """Keep it, or refuse it once."""
        if self.refuses is not None:
            error, self.refuses = self.refuses, None
            raise error
        self.applied.put_nowait(config)


async def test_an_edit_takes_effect(tmp_path: Path) -> None:
    """Also one in a file that only the edit before has brought in."""
    daemon, log = Daemon(), QueueingLog()
    config = load(tmp_path, INBOX)
    async with Reloading(config, daemon.apply, log).at_work():
        write(tmp_path, GMX, name="more.toml")
        write(tmp_path, 'include = ["more.toml"]\n' + INBOX)
        first = await daemon.applied.get()
        write(tmp_path, GMX.replace("keep", "delete"), name="more.toml")
        second = await daemon.applied.get()
        while second.accounts["gmx"].mode == "keep":
            second = await daemon.applied.get()

    assert list(first.accounts) == ["gmx"]
    assert log.refused.empty()


async def test_mistakes_are_told_and_mended_ones_forgotten(tmp_path: Path) -> None:
    """Nothing takes effect in between (P5)."""
    daemon, log = Daemon(), QueueingLog()
    async with Reloading(load(tmp_path, INBOX), daemon.apply, log).at_work():
        write(tmp_path, INBOX + "[account.x]\nhots = 1\n")
        refused = await log.refused.get()
        untouched = daemon.applied.empty()
        write(tmp_path, INBOX + GMX)
        config = await daemon.applied.get()

    assert isinstance(refused, ConfigError)
    assert untouched
    assert list(config.accounts) == ["gmx"]


@pytest.mark.parametrize("error", [LedgerUnavailable("disk full"), RuntimeError("a bug")])
async def test_a_configuration_that_cannot_take_effect_is_told(
    tmp_path: Path, error: Exception
) -> None:
    """Asked once more, it may."""
    daemon, log = Daemon(), QueueingLog()
    daemon.refuses = error
    following = Reloading(load(tmp_path, INBOX), daemon.apply, log)
    async with following.at_work():
        following.ask()
        told = await log.refused.get()
        following.ask()
        await daemon.applied.get()

    assert told is error


@pytest.mark.parametrize("text", [INBOX + GMX, "broken ="])
async def test_an_edit_before_the_watch_began_is_found(tmp_path: Path, text: str) -> None:
    """It was made after the daemon had read the file."""
    daemon, log = Daemon(), QueueingLog()
    config = load(tmp_path, INBOX)
    write(tmp_path, text)
    waits = [asyncio.create_task(queue.get()) for queue in (daemon.applied, log.refused)]
    async with Reloading(config, daemon.apply, log).at_work():
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    done = [wait.done() for wait in waits]
    for wait in waits:
        wait.cancel()

    assert done == [text.startswith(INBOX), not text.startswith(INBOX)]


async def test_refusal_is_kept_until_the_files_are_right(tmp_path: Path) -> None:
    """Since when, and the lines of the log without what is quoted from the file."""
    daemon, log = Daemon(), QueueingLog()
    times = iter([6.0, 7.0, 8.0])
    config = load(tmp_path, INBOX)
    following = Reloading(config, daemon.apply, log, clock=lambda: next(times))
    write(tmp_path, INBOX + "[account.x]\nhots = 1\n")
    for _ in range(2):
        with pytest.raises(ConfigError):
            await following.reload_now()
    refused = following.refused
    write(tmp_path, INBOX + GMX)
    changes = await following.reload_now()

    assert refused is not None
    assert refused.since == 7.0
    assert any(": account.x.hots: " in line for line in refused.problems)
    assert not any("\n" in line for line in refused.problems)
    assert following.refused is None
    assert following.loaded_at == 8.0
    assert changes.accounts == NameChanges(frozenset({"gmx"}), frozenset(), frozenset())
    assert log.refused.qsize() == 1


async def test_what_only_a_refused_configuration_includes_is_tried_again(tmp_path: Path) -> None:
    """Nobody watches it, so it is read now and then, and the same refusal is told once."""
    daemon, log = Daemon(), QueueingLog()
    with_more = 'include = ["elsewhere/more.toml"]\n' + INBOX
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path, "hots = 1\n", name="elsewhere/more.toml")
    config = load(tmp_path, INBOX)
    async with Reloading(config, daemon.apply, log, retry_s=0.01).at_work():
        write(tmp_path, with_more)
        await log.refused.get()
        write(tmp_path, GMX, name="elsewhere/more.toml")
        applied = await daemon.applied.get()

    assert list(applied.accounts) == ["gmx"]
    assert log.refused.empty()


async def test_another_refusal_is_told_and_the_same_one_only_when_asked(tmp_path: Path) -> None:
    """Whoever asks wants an answer."""
    daemon, log = Daemon(), QueueingLog()
    following = Reloading(load(tmp_path, INBOX), daemon.apply, log)
    told = []
    for text in ("broken =", "broken =", "[broken"):
        write(tmp_path, text)
        with pytest.raises(ConfigError):
            await following.reload_now()
        told.append(log.refused.qsize())
    following.ask()
    with pytest.raises(ConfigError):
        await following.reload_now()

    assert told == [1, 1, 2]
    assert log.refused.qsize() == 3


async def test_without_a_watch_asking_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is told, and ends nothing else."""

    def no_watcher(_watched: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(reloading, "ConfigWatcher", no_watcher)
    daemon, log = Daemon(), QueueingLog()
    following = Reloading(load(tmp_path, INBOX), daemon.apply, log)
    async with following.at_work():
        await log.missed.get()
        following.ask()
        await daemon.applied.get()

    assert log.refused.empty()
