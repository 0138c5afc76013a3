"""The power fails after the n-th durable step: of what was not synced, any part may be gone.

For every n, every subset of the unsynced contents, names, moves and removals is taken back
(sampled beyond 64 subsets), then popsync is started again. A commit that has returned counts as
durable, as SQLite says; in the middle of one, its part of the write-ahead log is cut off anywhere.
"""

import json
import os
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.battery.crash_points import Survival, end_well
from tests.battery.scenario import Case, Kind, open_desk
from tests.battery.steps import DIED, CountedSteps, DeadlySteps, When

T = TypeVar("T")
MOST_SUBSETS = 64
LOG_LENGTHS = 4


class Unsynced(NamedTuple):
    """One thing that a power cut may take back."""

    what: str
    """``content``, ``name``, ``move`` or ``removal``."""
    old: str
    new: str
    """Where it was moved to; of a removal, where the file is kept."""

    def take_back(self) -> None:
        """Undo it, where it still can be seen."""
        if self.what == "content" and Path(self.old).exists():
            Path(self.old).write_bytes(b"")
        elif self.what == "name":
            Path(self.old).unlink(missing_ok=True)
        elif self.what == "move":
            with suppress(FileNotFoundError):
                Path(self.new).rename(self.old)
        elif self.what == "removal" and not Path(self.old).exists():
            Path(self.new).rename(self.old)


class CutSteps(CountedSteps):
    """Ends the process after step ``at``, having noted what was not synced by then.

    at_once: as soon as the step has been taken, before anything can follow from it.
    """

    def __init__(self, at: int, root: Path, *, at_once: bool = False) -> None:
        super().__init__()
        self._at, self._root, self._at_once = at, root, at_once
        self._log = Path(f"{root}/state/ledger.sqlite3-wal")
        self._logged: list[int] = []
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
        self._keep(lambda u: u.what == "content" or not _is_named_in(u, Path(path)))

    def rename(self, old: Path | str, new: Path | str) -> None:
        """Rename; that is at risk."""
        self._rename(super(CountedSteps, self).rename, str(old), str(new))

    def move(self, old: str, new: str) -> None:
        """Move; the move is at risk."""
        self._rename(super(CountedSteps, self).move, old, new)

    def _rename(self, step: Callable[[str, str], None], old: str, new: str) -> None:
        def rename() -> None:
            step(old, new)
            self._unsynced.append(Unsynced("move", old, new))

        self._take(rename)

    def _risk_file(self, path: str) -> None:
        self._unsynced += [Unsynced("name", path, ""), Unsynced("content", path, "")]

    def unlink(self, path: Path | str) -> None:
        """Remove; the removal is at risk."""

        def unlink() -> None:
            kept = self._root / "removed" / Path(path).name
            kept.parent.mkdir(exist_ok=True)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(path)
            super(CountedSteps, self).unlink(path)
            self._unsynced.append(Unsynced("removal", str(path), str(kept)))

        self._take(unlink)

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit; note how long the write-ahead log was before and after."""

        def commit() -> None:
            before = self._log_octets()
            super(CountedSteps, self).commit(connection)
            self._logged = [before, self._log_octets()]

        self._take(commit)

    def _log_octets(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def _keep(self, still_at_risk: Callable[[Unsynced], bool]) -> None:
        with self._lock:
            self._unsynced = [u for u in self._unsynced if still_at_risk(u)]

    def _around(self, number: int, step: Callable[[], T]) -> T:
        # Dies on entering the next step: by then what this one synced has been crossed off.
        if number == self._at + 1:
            self._die()
        self._logged = []
        result = step()
        if number == self._at and self._at_once:
            self._die()
        return result

    def _die(self) -> None:
        note = {"unsynced": self._unsynced, "logged": self._logged}
        (self._root / "note").write_text(json.dumps(note))
        os._exit(DIED)


def _is_named_in(unsynced: Unsynced, directory: Path) -> bool:
    """Whether syncing the directory makes a name, move or removal durable."""
    name = unsynced.new if unsynced.what == "move" else unsynced.old
    return Path(name).parent == directory


def cut(kind: Kind, *, every: int = 1) -> Survival:
    """Cut the power after every step (or every so manyth), with every subset lost."""
    with open_desk(kind) as desk:
        last = desk.begin().count_steps()
        moments = range(1, last, every)
        results = [
            (f"after step {n} of {last}, {finding}" if finding else "")
            for n in moments
            for finding in _every_loss(desk.begin, n)
        ]
        return Survival(kind.value, len(results), [r for r in results if r])


def cut_recovery(kind: Kind, *, every: int = 1) -> Survival:
    """The process dies at every step (or every so manyth); the power fails in the run after it."""
    with open_desk(kind) as desk:
        last = desk.begin().count_steps()
        results = [
            (f"died at {n} of {last}, then after step {m}, {finding}" if finding else "")
            for n in range(1, last + 1, every)
            for m in range(1, _count_after_death(desk.begin(), n), every)
            for finding in _every_loss(partial(_dead_at, desk.begin, n), m)
        ]
        name = f"{kind.value}, recovering"
        return Survival(name, len(results), [r for r in results if r])


def _dead_at(begin: Callable[[], Case], step: int) -> Case:
    case = begin()
    case.poll(partial(DeadlySteps, step, When.AFTER))
    return case


def _count_after_death(case: Case, step: int) -> int:
    case.poll(partial(DeadlySteps, step, When.AFTER))
    return case.count_steps()


class _Note(NamedTuple):
    """What a cut left behind."""

    unsynced: list[Unsynced]
    logged: list[int]
    """Octets of the write-ahead log before and after a commit that was the last step."""


def _every_loss(begin: Callable[[], Case], at: int) -> Iterator[str]:
    chance = random.Random(at)
    for subset in _subsets(len(_cut_at(begin(), at).unsynced), chance):
        case = begin()
        note = _cut_at(case, at)
        _take_back([u for i, u in enumerate(note.unsynced) if subset >> i & 1])
        finding = end_well(case)
        yield f"{finding} without {subset:b} of {note.unsynced}" if finding else ""
    for number in range(LOG_LENGTHS):
        case = begin()
        # Of this very run: with two destinations the next one may take its steps in another order.
        lengths = _log_lengths(_cut_at(case, at, at_once=True).logged, chance)
        if not lengths:
            return
        _shorten_log(case, lengths[number])
        finding = end_well(case)
        yield f"{finding}, the log cut to {lengths[number]}" if finding else ""


def _subsets(size: int, chance: random.Random) -> Sequence[int]:
    """Give every subset of so many things as bits, or a sample of them."""
    subsets = range(1 << size)
    if len(subsets) <= MOST_SUBSETS:
        return subsets
    whole = len(subsets) - 1
    return [0, whole, *chance.sample(range(1, whole), MOST_SUBSETS - 2)]


def _take_back(lost: list[Unsynced]) -> None:
    # Contents first, while each file has the name that it was written under or moved to.
    lost.reverse()
    lost.sort(key=lambda u: u.what != "content")
    for one in lost:
        one.take_back()


def _log_lengths(logged: list[int], chance: random.Random) -> Sequence[int]:
    """Give lengths at which a commit's part of the log may be cut off: none, some, all but one."""
    if not logged or logged[0] >= logged[1]:
        return ()
    before, after = logged
    return (before, after - 1, *(chance.randrange(before, after) for _ in range(LOG_LENGTHS - 2)))


def _shorten_log(case: Case, octets: int) -> None:
    """Cut the log; what SQLite keeps in memory beside it does not outlive a power cut."""
    os.truncate(f"{case.ledger}-wal", octets)
    Path(f"{case.ledger}-shm").unlink(missing_ok=True)


def _cut_at(case: Case, at: int, *, at_once: bool = False) -> _Note:
    steps = partial(CutSteps, at, case.root, at_once=at_once)
    if (status := case.poll(steps)) != DIED:
        raise RuntimeError(f"step {at + 1} was never taken: the run ended with {status}")
    note = json.loads((case.root / "note").read_text())
    return _Note([Unsynced(*one) for one in note["unsynced"]], note["logged"])
