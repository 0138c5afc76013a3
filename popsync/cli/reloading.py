"""Follows the configuration while the daemon runs: edits of its files, and being asked to."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass

from popsync.agent.reload import ConfigWatcher
from popsync.agent.watched_files import WatchedFiles
from popsync.cli.daemon_log import DaemonLog, lines_about
from popsync.config.diff import ConfigChanges, compare_configs
from popsync.config.load import load_config
from popsync.config.model import Config

RETRY_S = 5.0
"""So long after a refusal the files are read again: what they lacked may not show in them."""
_MAX_RETRY_SHARE = 0.05
"""Reading again and again takes no more of the time than this, however long one reading is."""


@dataclass(frozen=True, slots=True)
class RefusedConfig:
    """What lies on disk and does not take effect."""

    since: float
    """When the first of the refusals in a row was, in seconds since the epoch."""
    problems: tuple[str, ...]
    """One line each, as in the log."""


class Reloading:
    """Reads the configuration again when asked or when its files change, and has it take effect.

    Asked often meanwhile, it reads once more. A file with mistakes changes nothing (P5); it is
    read again from time to time, because a permission or a file that only it includes may be put
    right. The same refusal is told once.

    announce: gives a block in which a reload that was asked for, or edited for, takes place.
    refused: what is wrong with the files now; None when they are in effect.
    loaded_at: when those that are in effect were read, in seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        apply: Callable[[Config], Awaitable[None]],
        log: DaemonLog,
        *,
        announce: Callable[[], AbstractContextManager[object]] = nullcontext,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.refused: RefusedConfig | None = None
        self.loaded_at = clock()
        self._config = config
        self._apply = apply
        self._log = log
        self._announce = announce
        self._retry_s = retry_s
        self._clock = clock
        self._asked = asyncio.Event()
        self._told: tuple[str, ...] = ()
        self._one_at_a_time = asyncio.Lock()

    def ask(self) -> None:
        """Have the files read soon, changed or not, and told what is wrong, told before or not."""
        self._told = ()
        self._asked.set()

    async def reload_now(self) -> ConfigChanges:
        """Read the files, have them take effect, and say what that changes.

        Raises ConfigError when they are refused, and what else kept them from taking effect;
        nothing has changed then, and the log was told.
        """
        with self._announce():
            return await self._read_and_apply()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Follow the configuration as long as the block lasts."""
        tasks = [asyncio.create_task(self._reload()), asyncio.create_task(self._watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _reload(self) -> None:
        pause_s = self._retry_s
        while True:
            is_asked = await self._is_asked_within(pause_s if self.refused else None)
            began = time.monotonic()
            with suppress(Exception):  # told by then; no edit ever stops the daemon (P5)
                await (self.reload_now() if is_asked else self._read_and_apply())
            pause_s = max(self._retry_s, (time.monotonic() - began) / _MAX_RETRY_SHARE)

    async def _is_asked_within(self, timeout_s: float | None) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _read_and_apply(self) -> ConfigChanges:
        async with self._one_at_a_time:
            try:
                config = await asyncio.to_thread(load_config, self._config.path)
                changes = compare_configs(self._config, config)
                await self._apply(config)
            except Exception as error:
                self._refuse(error)
                raise
            self._config = config
            self.refused, self._told, self.loaded_at = None, (), self._clock()
            return changes

    def _refuse(self, error: Exception) -> None:
        problems = lines_about(error)
        since = self.refused.since if self.refused else self._clock()
        self.refused = RefusedConfig(since, problems)
        if problems != self._told:
            self._told = problems
            self._log.refuse_config(error)

    async def _watch(self) -> None:
        try:
            async with ConfigWatcher(self._watched_files) as watcher:
                if await self._has_missed_an_edit():
                    self._asked.set()
                async for _ in watcher.changes():
                    self._asked.set()
        except Exception as error:  # noqa: BLE001 - SIGHUP still works
            self._log.miss_edits(error)

    def _watched_files(self) -> WatchedFiles:
        return WatchedFiles(self._config.files, self._config.include)

    async def _has_missed_an_edit(self) -> bool:
        """Say whether the files were changed after they were read and before they were watched."""
        try:
            return await asyncio.to_thread(load_config, self._config.path) != self._config
        except Exception:  # noqa: BLE001 - reading them once more will say what is wrong
            return True
