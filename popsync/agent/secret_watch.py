"""Notices that a password on disk has changed which a server has refused, or which was missing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from popsync.agent.reload import ConfigWatcher
from popsync.agent.watched import Watched
from popsync.agent.watched_files import WatchedFiles


class SecretWatch:
    """Watches the files of accounts in trouble, in the way that the configuration is watched.

    While there are none, nothing is watched at all. troubled: gives them. changed: is told of each
    whose file says something else than when it was first seen in trouble.
    """

    def __init__(
        self,
        troubled: Callable[[], Sequence[Watched]],
        changed: Callable[[Watched], Awaitable[None]],
    ) -> None:
        self._troubled = troubled
        self._changed = changed
        self._wake = asyncio.Event()
        self._seen: dict[Watched, bytes] = {}

    def look_again(self) -> None:
        """Take notice that there may be trouble now."""
        self._wake.set()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._compare()
            if self._seen:
                await self._watch()

    async def _watch(self) -> None:
        async with ConfigWatcher(self._files) as watcher:
            await self._compare()  # nobody watched between the last time and now
            async for _ in watcher.changes():  # also when they are other files than before
                await self._compare()
                if not self._seen:
                    return

    def _files(self) -> WatchedFiles:
        files = {account.secret_file for account in self._troubled()}
        return WatchedFiles(tuple(sorted(filter(None, files))))

    async def _compare(self) -> None:
        before, self._seen = self._seen, {}
        for account in self._troubled():
            if account.secret_file is not None:
                files = WatchedFiles((account.secret_file,))
                self._seen[account] = await asyncio.to_thread(files.fingerprint)
        for account, fingerprint in self._seen.items():
            if before.get(account, fingerprint) != fingerprint:
                await self._changed(account)
