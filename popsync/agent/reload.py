"""Tells when the configuration on disk has changed, however that was done."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from watchdog import events
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from popsync.agent.watched_files import Directory, WatchedFiles

_LOG = logging.getLogger(__name__)

# Not "opened" and "closed without a write": reading the files would wake us to read them again.
# Linux then does not even make them, which matters with thousands of files.
_TELLING: list[type[FileSystemEvent]] = [
    *(DirCreatedEvent, DirDeletedEvent, DirModifiedEvent, DirMovedEvent),
    *(FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent, FileClosedEvent),
    # A chmod; before watchdog 7 that was a modification.
    getattr(events, "FileAttribEvent", FileModifiedEvent),
]

# Something else may write into the same directory without a pause, a log for example.
_MAX_UNREST_S = 1.0


class ConfigWatcher:
    """Reports each change of a configuration's files once; an async context manager.

    Events of the file system only say when to look; what counts is the content. So a touch is no
    change, nor is any event that was missed a change missed: ``slow_check_s`` later it is seen.
    Where directories cannot be watched (no inotify instances left, some network file systems)
    that slow check works alone, which is logged once.

    watched: gives the files of the configuration in use; asked at every look. When a reload has
        changed them, one more change is reported: nobody watched the new ones while they were
        read.
    quiet_s: how long nothing must happen before a look, so that a change is seen whole.
    """

    def __init__(
        self,
        watched: Callable[[], WatchedFiles],
        *,
        quiet_s: float = 0.3,
        slow_check_s: float = 5.0,
        make_observer: Callable[[], BaseObserver] = Observer,
    ) -> None:
        self._watched = watched
        self._quiet_s = quiet_s
        self._slow_check_s = slow_check_s
        self._make_observer = make_observer
        self._wake = asyncio.Event()
        self._watch: _DirectoryWatch | None = None
        self._fingerprint = b""
        self._said = False

    async def __aenter__(self) -> Self:
        """Begin to watch: from here on no change is missed."""
        try:
            await self._look()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; threads and descriptors are gone then."""
        await self._close()

    async def changes(self) -> AsyncIterator[None]:
        """Yield after each change, without end; several in a short time count as one."""
        while True:
            await self._wait()
            if await self._look():
                yield
                self._wake.set()  # a reload may have changed what is to be watched

    async def _wait(self) -> None:
        """Wait until something happened and is over, or for the slow check."""
        if await self._woken_within(self._slow_check_s):
            with suppress(TimeoutError):
                async with asyncio.timeout(_MAX_UNREST_S):
                    self._wake.clear()
                    while await self._woken_within(self._quiet_s):
                        self._wake.clear()

    async def _woken_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._wake.wait()
        except TimeoutError:
            return False

    async def _look(self) -> bool:
        """Say whether the files differ from the last look, and watch where they are now."""
        watched = self._watched()
        self._watch_only(await asyncio.to_thread(watched.directories))
        last = self._fingerprint
        self._fingerprint = await asyncio.to_thread(watched.fingerprint)
        return self._fingerprint != last

    def _watch_only(self, directories: frozenset[Directory]) -> None:
        old = self._watch
        if old and old.directories == directories and old.is_intact():
            return
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, self._wake.set)
        self._watch = _DirectoryWatch(directories, wake, self._make_observer)
        self._wake.set()  # the directories may have changed again before they were watched
        if old:
            old.close()
        if self._watch.refusal and not self._said:
            self._said = True
            every = f"the files are read every {self._slow_check_s:g} s instead"
            _LOG.warning("cannot watch the configuration: %s; %s", self._watch.refusal, every)

    async def _close(self) -> None:
        if self._watch:
            await asyncio.to_thread(self._watch.close)


class _DirectoryWatch:
    """Calls ``wake``, in a thread of its own, when something happens in one of ``directories``.

    refusal: why some or all of them are not watched; None if all are.
    """

    def __init__(
        self,
        directories: frozenset[Directory],
        wake: Callable[[], object],
        make_observer: Callable[[], BaseObserver],
    ) -> None:
        self.directories = directories
        self.refusal: Exception | None = None
        self._vanished = False
        self._observer: BaseObserver | None = None
        try:
            self._observer = make_observer()
            self._observer.start()
            for directory in directories:
                self._observer.schedule(_Waker(wake), str(directory.path), event_filter=_TELLING)
        except FileNotFoundError:
            self._vanished = True
        except (OSError, RuntimeError) as refusal:  # no inotify instance, watch or thread left
            self.refusal = refusal

    def is_intact(self) -> bool:
        """Say whether all is still watched that could be; never true of a removed directory."""
        if self.refusal or self._observer is None:
            return True
        emitters = self._observer.emitters
        alive = self._observer.is_alive() and all(emitter.is_alive() for emitter in emitters)
        return alive and not self._vanished

    def close(self) -> None:
        """Stop and join all threads; their descriptors are closed then."""
        if self._observer is None:
            return
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join()


class _Waker(FileSystemEventHandler):
    """Raises nothing: that would end the observer's thread for good."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake

    def dispatch(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - only says when to look
        with suppress(RuntimeError):  # the event loop is closed
            self._wake()
