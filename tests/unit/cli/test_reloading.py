"""Following the configuration while the daemon runs."""

import asyncio
from pathlib import Path

import pytest

from popsync.cli import reloading
from popsync.cli.daemon_log import DaemonLog
from popsync.cli.reloading import Reloading
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
