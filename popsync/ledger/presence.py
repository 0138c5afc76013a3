"""Whether the files that the ledger has open are still the ones that its names lead to.

SQLite goes on writing into a file that was removed, and nobody would ever read that again: all
that is delivered from then on would be delivered once more after the next start.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from popsync.errors import LedgerCorrupt, LedgerError
from popsync.ledger.marker import RESCUED_NAME, mark_directory
from popsync.storage import DurableSteps, make_directories


class _Place(NamedTuple):
    device: int
    inode: int


class Presence:
    """What lay under each name when the ledger was opened; what did not is not missed.

    others: files that must not be exchanged either, such as the lock.
    """

    def __init__(self, ledger: Path, *others: Path, token: str, steps: DurableSteps) -> None:
        self._ledger = ledger
        self._token = token
        self._steps = steps
        places = {path: _find(path) for path in (ledger, *_companions(ledger), *others)}
        self._places = {str(path): place for path, place in places.items() if place is not None}

    def check(self) -> None:
        """Raise LedgerCorrupt when one of them has gone, or another file is in its place.

        The directory is then left so that the next start hears of it, too. Blocks.
        """
        for path, place in self._places.items():
            if _find(path) != place:
                lost = self._lost(Path(path))
                self._leave_word()
                raise lost

    def rescue(self, copy: Callable[[Path], None]) -> None:
        """Keep what a ledger held that was taken away, for whoever puts it back. Blocks.

        copy: writes all that is known into an empty file. The log beside it goes: with another
        ledger in that place SQLite would take it for that one's.
        """
        if _find(self._ledger) == self._places[str(self._ledger)]:
            return
        rescued = self._ledger.with_name(RESCUED_NAME)
        with suppress(OSError, LedgerError):
            fresh = rescued.with_name(RESCUED_NAME + ".new")
            fresh.unlink(missing_ok=True)
            self._steps.sync_file(self._steps.write_file(fresh, ()))
            copy(fresh)
            self._steps.sync_path(fresh)
            self._steps.rename(fresh, rescued)
            self._steps.sync_directory(rescued.parent)
            for companion in _companions(self._ledger):
                if _find(companion) == self._places.get(str(companion)):
                    self._steps.unlink(companion)

    def _lost(self, path: Path) -> LedgerCorrupt:
        finding = "was replaced" if path.exists() else "was removed"
        remedy = ""
        if path == self._ledger:
            remedy = f"what it knew is kept as {RESCUED_NAME}: rename that to {path.name}, and "
        return LedgerCorrupt(
            f"{path} {finding} while popsync was running. Nothing is polled any more, because what"
            f" is delivered now would be delivered again; {remedy}start popsync again"
        )

    def _leave_word(self) -> None:
        """Leave the marker in a directory that has lost it, or was itself removed."""
        with suppress(OSError, LedgerCorrupt):
            make_directories(self._ledger.parent, self._steps)
            mark_directory(self._ledger, self._token, self._steps)


def _companions(ledger: Path) -> tuple[Path, Path]:
    """Give the files that SQLite keeps beside it while it is open."""
    return ledger.with_name(ledger.name + "-wal"), ledger.with_name(ledger.name + "-shm")


def _find(path: Path | str) -> _Place | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - before each transaction, and Path takes thrice as long
    except OSError:
        return None
    return _Place(status.st_dev, status.st_ino)
