"""Durable steps that end the process, or fail, at a number."""

import os
import sqlite3
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from threading import Lock
from typing import TypeVar

from popsync.storage import DurableSteps

T = TypeVar("T")
DIED = 99


class When(Enum):
    """On which side of its step the process dies."""

    BEFORE = "before"
    AFTER = "after"


class CountedSteps(DurableSteps):
    """The real steps, counted from 1; ``around`` is called with the number and the step."""

    def __init__(self) -> None:
        self.taken = 0
        self._lock = Lock()

    def _around(self, number: int, step: Callable[[], T]) -> T:
        return step()

    def _take(self, step: Callable[[], T]) -> T:
        with self._lock:
            self.taken += 1
            return self._around(self.taken, step)

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Count, then write."""
        return self._take(lambda: DurableSteps.write_file(self, path, chunks))

    def leave_file(self, path: Path | str, chunks: Iterable[bytes]) -> None:
        """Count, then write."""
        self._take(lambda: DurableSteps.leave_file(self, path, chunks))

    def sync_file_system(self, descriptor: int) -> None:
        """Count, then sync."""
        self._take(lambda: DurableSteps.sync_file_system(self, descriptor))

    def sync_file(self, descriptor: int) -> None:
        """Count, then sync."""
        self._take(lambda: DurableSteps.sync_file(self, descriptor))

    def sync_path(self, path: Path | str) -> None:
        """Count, then sync."""
        self._take(lambda: DurableSteps().sync_path(path))

    def sync_directory(self, path: Path | str) -> None:
        """Count, then sync."""
        self._take(lambda: DurableSteps().sync_directory(path))

    def rename(self, old: Path | str, new: Path | str) -> None:
        """Count, then rename."""
        self._take(lambda: DurableSteps.rename(self, old, new))

    def move(self, old: str, new: str) -> None:
        """Count, then move."""
        self._take(lambda: DurableSteps.move(self, old, new))

    def unlink(self, path: Path | str) -> None:
        """Count, then unlink."""
        self._take(lambda: DurableSteps.unlink(self, path))

    def make_directory(self, path: Path) -> None:
        """Count, then make it."""
        self._take(lambda: DurableSteps.make_directory(self, path))

    def commit(self, connection: sqlite3.Connection) -> None:
        """Count, then commit."""
        self._take(lambda: DurableSteps.commit(self, connection))


class NotedSteps(CountedSteps):
    """Writes the number of steps so far into a file, for another process."""

    def __init__(self, note: Path) -> None:
        super().__init__()
        self._note = note

    def _around(self, number: int, step: Callable[[], T]) -> T:
        self._note.write_text(str(number))
        return step()


class DeadlySteps(CountedSteps):
    """The process ends at step ``at`` as by ``kill -9``: nothing of its own runs any more."""

    def __init__(self, at: int, when: When) -> None:
        super().__init__()
        self._at, self._when = at, when

    def _around(self, number: int, step: Callable[[], T]) -> T:
        if number == self._at and self._when is When.BEFORE:
            os._exit(DIED)
        result = step()
        if number == self._at:
            os._exit(DIED)
        return result


class FailingSteps(CountedSteps):
    """Step ``at`` fails as on a bad or full disk: SQLite's own error where it is a commit."""

    def __init__(self, at: int, code: int) -> None:
        super().__init__()
        self._at, self._code = at, code

    def commit(self, connection: sqlite3.Connection) -> None:
        """Count, then commit or fail."""
        try:
            super().commit(connection)
        except OSError as error:
            raise sqlite3.OperationalError(f"disk I/O error ({error.strerror})") from error

    def sync_file(self, descriptor: int) -> None:
        """Count, then sync; the descriptor is closed whatever happens."""
        try:
            super().sync_file(descriptor)
        except OSError as error:
            if getattr(error, "filename", None) == "injected":
                os.close(descriptor)
            raise

    def _around(self, number: int, step: Callable[[], T]) -> T:
        if number == self._at:
            raise OSError(self._code, os.strerror(self._code), "injected")
        return step()
