"""Disks that do not answer."""

from collections.abc import Iterable
from pathlib import Path
from threading import Event

from popsync.storage import DurableSteps


class HangingSteps(DurableSteps):
    """The real steps, but those below ``dead`` hang until ``release`` is called."""

    def __init__(self, dead: Path) -> None:
        self._dead = dead
        self._answers = Event()

    def release(self) -> None:
        """Let the disk answer."""
        self._answers.set()

    def _wait(self, path: Path) -> None:
        if path.is_relative_to(self._dead):
            self._answers.wait()

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Write, or hang."""
        self._wait(Path(path))
        return super().write_file(path, chunks)

    def sync_directory(self, path: Path | str) -> None:
        """Sync, or hang."""
        self._wait(Path(path))
        super().sync_directory(path)
