"""Disks that do not answer, and one that is read-only."""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

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


@contextmanager
def mounted_read_only(directory: Path) -> Iterator[None]:
    """Have the directory, with what is in it, mounted read-only as long as the block lasts."""
    bind = ["mount", "--bind", str(directory), str(directory)]
    if subprocess.run(bind, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(directory)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)
