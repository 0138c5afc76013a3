"""Directories that did not exist yet, or that cannot be written to."""

import os
from contextlib import suppress
from pathlib import Path

from popsync.storage.steps import DurableSteps


def make_directories(path: Path, steps: DurableSteps) -> None:
    """Make ``path`` and what leads to it, durably, for its owner only. Raises OSError."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        with suppress(FileExistsError):  # somebody else may be making the same one
            steps.make_directory(place)
        steps.sync_directory(place.parent)


def is_mounted_read_only(path: Path) -> bool:
    """Whether nobody may write there, whatever the permissions say. Raises OSError."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
