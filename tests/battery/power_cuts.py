"""The power fails after the n-th durable step: of what was not synced, any part may be gone.

For every n, every subset of the unsynced contents, names and moves is taken back (sampled
beyond 64 subsets), then popsync is started again. A commit counts as durable, as SQLite says.
"""

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.battery.crash_points import Survival, end_well
from tests.battery.scenario import Case, Desk, Kind, open_desk
from tests.battery.steps import DIED, CountedSteps

T = TypeVar("T")
MOST_SUBSETS = 64


class Unsynced(NamedTuple):
    """One thing that a power cut may take back."""

    what: str
    """``content``, ``name`` or ``move``."""
    old: str
    new: str

    def take_back(self) -> None:
        """Undo it, where it still can be seen."""
        if self.what == "content" and Path(self.old).exists():
            Path(self.old).write_bytes(b"")
        elif self.what == "name":
            Path(self.old).unlink(missing_ok=True)
        elif self.what == "move":
            with suppress(FileNotFoundError):
                Path(self.new).rename(self.old)


class CutSteps(CountedSteps):
    """Ends the process after step ``at``, having noted what was not synced by then."""

    def __init__(self, at: int, note: Path) -> None:
        super().__init__()
        self._at, self._note = at, note
        self._unsynced: list[Unsynced] = []
        self._written: dict[int, str] = {}

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Write; content and name are at risk."""

        def write() -> int:
            descriptor = super(CountedSteps, self).write_file(path, chunks)
            self._written[descriptor] = str(path)
            self._risk_file(str(path))
            return descriptor

        return self._take(write)

    def leave_file(self, path: Path | str, chunks: Iterable[bytes]) -> None:
        """Write; content and name are at risk."""

        def leave() -> None:
            super(CountedSteps, self).leave_file(path, chunks)
            self._risk_file(str(path))

        self._take(leave)

    def sync_file_system(self, descriptor: int) -> None:
        """Sync; all that was written, named or moved before it began is safe."""
        at_risk = tuple(self._unsynced)
        super().sync_file_system(descriptor)
        self._keep(lambda u: u not in at_risk)

    def sync_file(self, descriptor: int) -> None:
        """Sync; the content is safe."""
        super().sync_file(descriptor)
        path = self._written.pop(descriptor, "")
        self._keep(lambda u: not (u.what == "content" and u.old == path))

    def sync_path(self, path: Path | str) -> None:
        """Sync; the content is safe."""
        super().sync_path(path)
        self._keep(lambda u: not (u.what == "content" and u.old == str(path)))

    def sync_directory(self, path: Path | str) -> None:
        """Sync; names made there and moves into it are safe."""
        super().sync_directory(path)
        self._keep(lambda u: u.what == "content" or Path(u.new or u.old).parent != Path(path))

    def rename(self, old: Path | str, new: Path | str) -> None:
        """Move; the move is at risk."""

        def rename() -> None:
            super(CountedSteps, self).rename(old, new)
            self._unsynced.append(Unsynced("move", str(old), str(new)))

        self._take(rename)

    def _risk_file(self, path: str) -> None:
        self._unsynced += [Unsynced("name", path, ""), Unsynced("content", path, "")]

    def _keep(self, still_at_risk: Callable[[Unsynced], bool]) -> None:
        with self._lock:
            self._unsynced = [u for u in self._unsynced if still_at_risk(u)]

    def _around(self, number: int, step: Callable[[], T]) -> T:
        # Dies on entering the next step: by then what this one synced has been crossed off.
        if number == self._at + 1:
            self._note.write_text(json.dumps(self._unsynced))
            os._exit(DIED)
        return step()


def cut(kind: Kind, *, every: int = 1) -> Survival:
    """Cut the power after every step (or every so manyth), with every subset lost."""
    with open_desk(kind) as desk:
        last = desk.begin().count_steps()
        results = [
            (f"after step {n} of {last}, {finding}" if finding else "")
            for n in range(1, last, every)
            for finding in _every_subset(desk, n)
        ]
        return Survival(kind.value, len(results), [r for r in results if r])


def _every_subset(desk: Desk, at: int) -> Iterator[str]:
    chance = random.Random(at)
    unsynced = _cut_at(desk.begin(), at)
    subsets: Sequence[int] = range(1 << len(unsynced))
    if len(subsets) > MOST_SUBSETS:
        whole = len(subsets) - 1
        subsets = [0, whole, *chance.sample(range(1, whole), MOST_SUBSETS - 2)]
    for subset in subsets:
        case = desk.begin()
        lost = [u for i, u in enumerate(_cut_at(case, at)) if subset >> i & 1]
        # Contents first, while each file has the name that it was written under or moved to.
        lost.reverse()
        lost.sort(key=lambda u: u.what != "content")
        for one in lost:
            one.take_back()
        finding = end_well(case)
        yield f"{finding} without {lost}" if finding else ""


def _cut_at(case: Case, at: int) -> list[Unsynced]:
    note = case.root / "unsynced"
    if (status := case.poll(partial(CutSteps, at, note))) != DIED:
        raise RuntimeError(f"step {at + 1} was never taken: the run ended with {status}")
    return [Unsynced(*one) for one in json.loads(note.read_text())]
