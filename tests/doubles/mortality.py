"""Durable steps at which the process dies, or the disk fails."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from popsync.storage import DurableSteps


class Killed(BaseException):
    """The process ended here, as by ``kill -9``; no handler of ours may see it."""


class MortalSteps(DurableSteps):
    """Dies before or after the n-th step, and stays dead until ``revive``.

    ``step`` is for what takes no durable step of its own and must die with the others.
    """

    def __init__(self) -> None:
        self.dies_after: int | None = None
        """Moments before and after a step that are still lived through."""
        self.commit_fails_after: int | None = None
        """Commits until one fails, once."""
        self.appeared: list[bytes] = []
        """Contents of the files that were renamed into a ``new/``, ever."""
        self._dead = False

    def step(self, _name: str) -> None:
        """Live through a moment, or die."""
        if not self._dead and self.dies_after is not None:
            self._dead = self.dies_after == 0
            self.dies_after -= 1
        if self._dead:
            raise Killed

    def revive(self) -> None:
        """Begin a new process."""
        self._dead = False
        self.dies_after = None
        self.commit_fails_after = None

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Die before or after the file is written."""
        self.step("before write")
        return super().write_file(path, chunks)

    def leave_file(self, path: Path | str, chunks: Iterable[bytes]) -> None:
        """Die before the file is written."""
        self.step("before write")
        super().leave_file(path, chunks)

    def sync_file_system(self, descriptor: int) -> None:
        """Sync, then perhaps die."""
        super().sync_file_system(descriptor)
        self.step("after sync")

    def sync_file(self, descriptor: int) -> None:
        """Sync, then perhaps die."""
        super().sync_file(descriptor)
        self.step("after sync")

    def rename(self, old: Path | str, new: Path | str) -> None:
        """Rename."""
        self.step("before rename")
        super().rename(old, new)
        self.step("after rename")

    def move(self, old: str, new: str) -> None:
        """Move, and remember what appeared in a Maildir."""
        self.step("before rename")
        super().move(old, new)
        self.appeared.append(Path(new).read_bytes())
        self.step("after rename")

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit; or fail, or die before or after."""
        self.step("before commit")
        if self.commit_fails_after is not None:
            self.commit_fails_after -= 1
            if self.commit_fails_after < 0:
                self.commit_fails_after = None
                raise sqlite3.OperationalError("disk I/O error")
        super().commit(connection)
        self.step("after commit")
