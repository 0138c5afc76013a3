"""Durable steps that count, and fail or die where they are told to."""

import os
import sqlite3
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

from popsync.storage import DurableSteps

T = TypeVar("T")


class Died(BaseException):
    """The process is dead from here on: no clean-up of its own may come through."""


class Death(Enum):
    """How the process ends at the chosen step."""

    BEFORE = "killed before the step"
    AFTER = "killed after the step"
    POWER = "power cut after the step"


class ScriptedSteps(DurableSteps):
    """The real steps, until number ``at`` (1…) fails with ``error`` or dies by ``death``.

    A power cut also takes back what was not synced: names, moves, content.
    """

    def __init__(
        self, at: int = 0, *, error: OSError | None = None, death: Death | None = None
    ) -> None:
        self._at = at
        self._error = error
        self._death = death
        self._lock = Lock()
        self._dead = False
        self._paths: dict[int, Path] = {}
        self._left: list[Path] = []
        self._names: list[Path] = []
        self._moves: list[tuple[Path, Path]] = []
        self.log: list[str] = []

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Write a file; a failure comes in the middle of it."""
        path = Path(path)

        def write() -> int:
            descriptor = super(ScriptedSteps, self).write_file(path, chunks)
            self._paths[descriptor] = path
            self._names.append(path)
            return descriptor

        return self._take(f"write {path.name}", write, partial(_write_half, path))

    def leave_file(self, path: Path | str, chunks: Iterable[bytes]) -> None:
        """Write a file that stays unsynced; a failure comes in the middle of it."""
        path = Path(path)

        def leave() -> None:
            super(ScriptedSteps, self).leave_file(path, chunks)
            self._left.append(path)
            self._names.append(path)

        self._take(f"leave {path.name}", leave, partial(_write_half, path))

    def sync_file_system(self, descriptor: int) -> None:
        """Sync all contents, names and moves."""

        def sync() -> None:
            super(ScriptedSteps, self).sync_file_system(descriptor)
            self._paths.clear()
            self._left.clear()
            self._names.clear()
            self._moves.clear()

        self._take("sync all", sync)

    def sync_file(self, descriptor: int) -> None:
        """Sync a file or directory; a failure closes it all the same."""

        def sync() -> None:
            super(ScriptedSteps, self).sync_file(descriptor)
            self._paths.pop(descriptor, None)

        self._take("sync file", sync, lambda: os.close(descriptor))

    def sync_directory(self, path: Path | str) -> None:
        """Sync a directory's names."""
        path = Path(path)

        def sync() -> None:
            DurableSteps().sync_directory(path)
            self._names = [name for name in self._names if name.parent != path]
            self._moves = [(old, new) for old, new in self._moves if new.parent != path]

        self._take(f"sync {path.name}/", sync)

    def rename(self, old: Path | str, new: Path | str) -> None:
        """Give a file another name."""
        self._rename(super().rename, str(old), str(new))

    def move(self, old: str, new: str) -> None:
        """Move a file."""
        self._rename(super().move, old, new)

    def _rename(self, step: Callable[[str, str], None], old: str, new: str) -> None:
        def rename() -> None:
            step(old, new)
            self._moves.append((Path(old), Path(new)))

        self._take(f"rename to {Path(new).parent.name}/", rename)

    def unlink(self, path: Path | str) -> None:
        """Take a name away."""
        self._take("unlink", lambda: super(ScriptedSteps, self).unlink(path))

    def make_directory(self, path: Path) -> None:
        """Make a directory."""
        self._take(f"mkdir {path.name}", lambda: super(ScriptedSteps, self).make_directory(path))

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit."""
        self._take("commit", lambda: super(ScriptedSteps, self).commit(connection))

    def _take(
        self, name: str, step: Callable[[], T], failing: Callable[[], object] = lambda: None
    ) -> T:
        with self._lock:
            if self._dead:
                raise Died
            self.log.append(name)
            chosen = len(self.log) == self._at
            if chosen and self._error is not None:
                failing()
                raise self._error
            if chosen and self._death is Death.BEFORE:
                self._die()
            result = step()
            if chosen and self._death is not None:
                self._die()
            return result

    def _die(self) -> None:
        self._dead = True
        if self._death is Death.POWER:
            for path in (*self._paths.values(), *self._left):
                path.write_bytes(b"")
            for old, new in reversed(self._moves):
                new.rename(old)
            for name in self._names:
                name.unlink(missing_ok=True)
        raise Died


def _write_half(path: Path) -> None:
    if not path.exists():
        path.write_bytes(b"half")
