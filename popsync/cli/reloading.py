"""Follows the configuration while the daemon runs: edits of its files, and being asked to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from popsync.agent.reload import ConfigWatcher
from popsync.agent.watched_files import WatchedFiles
from popsync.cli.daemon_log import DaemonLog
from popsync.config.load import load_config
from popsync.config.model import Config


class Reloading:
    """Reads the configuration again when asked or when its files change, and has it take effect.

    Asked often meanwhile, it reads once more. A file with mistakes changes nothing (P5).
    """

    def __init__(
        self, config: Config, apply: Callable[[Config], Awaitable[None]], log: DaemonLog
    ) -> None:
        self._config = config
        self._apply = apply
        self._log = log
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the files read soon, whether they have changed or not."""
        self._asked.set()

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
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                config = await asyncio.to_thread(load_config, self._config.path)
                await self._apply(config)
                self._config = config
            except Exception as error:  # noqa: BLE001 - no edit ever stops the daemon (P5)
                self._log.refuse_config(error)

    async def _watch(self) -> None:
        try:
            async with ConfigWatcher(self._watched_files) as watcher:
                if await self._has_missed_an_edit():
                    self.ask()
                async for _ in watcher.changes():
                    self.ask()
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
