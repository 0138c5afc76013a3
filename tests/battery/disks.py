"""Real disks and real permissions: full, limited, read-only, taken away; then all is well again.

While a fault lasts nothing may be lost, altered or shown half; once it is gone everything arrives
once. What needs more rights than the process has is left out, and the reason told.
"""

import ctypes
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

from tests.battery.crash_points import Survival
from tests.battery.scenario import AWAY, Case, Kind, open_desk
from tests.battery.steps import CountedSteps

T = TypeVar("T")
Prepare = Callable[[], None]
"""What the process that polls does first."""

NEXT_DAY_S = 86400.0
LIMITS = (0, 100, 1_000, 4_096, 8_192, 20_000, 40_000, 70_000, 120_000)
ROOM = ("4k", "8k", "12k", "20k", "40k", "80k", "120k")
INODES = (3, 4, 5, 6, 7, 8)
LEDGER_ROOM = ("4k", "20k", "40k", "60k", "80k", "100k", "140k", "200k")
LEDGER_INODES = (2, 3, 4, 5, 6, 7)
PARTS = ("Mail/tmp", "Mail/new", "Mail/cur", "Mail", "state", "state/ledger.sqlite3")


class Fault(NamedTuple):
    """One thing that is wrong for the time of one poll."""

    name: str
    begin: Callable[[Case], AbstractContextManager[Prepare]]
    used_before: bool = False
    """The account has been polled already, and there is new mail."""


def _nothing() -> None:
    """Prepare nothing."""


NAMESPACE = ("unshare", "-Urm")
"""Where a user who is not root may mount."""


# -- file systems ------------------------------------------------------------------------------


def explain_no_mounts(*prefix: str) -> str:
    """Say why nothing can be mounted by a command behind ``prefix``; empty when it can."""
    with TemporaryDirectory() as place:
        script = "mount -t tmpfs tmpfs $0 && umount $0"
        done = subprocess.run(
            [*prefix, "sh", "-c", script, place], capture_output=True, text=True, check=False
        )
    return done.stderr.strip() if done.returncode else ""


def _mount(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


def _unmount_below(root: Path) -> None:
    places = [line.split()[1] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    for place in places:
        if root in Path(place).parents:
            subprocess.run(["umount", place], check=True)


@contextmanager
def _small(directory: str, options: str, case: Case) -> Iterator[Prepare]:
    """A file system of its own, too small; it grows when the fault is over."""
    place = case.root / directory
    place.mkdir(mode=0o700)
    _mount("-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(place)).check_returncode()
    yield _nothing
    _mount("-o", "remount,size=64m,nr_inodes=9999", str(place)).check_returncode()


@contextmanager
def _read_only(directory: str, case: Case) -> Iterator[Prepare]:
    """What was there before lies on a file system that takes nothing more."""
    place = case.root / directory
    copy = case.root / "copy"
    shutil.copytree(place, copy)
    _mount("-t", "tmpfs", "-o", "mode=700,size=64m", "tmpfs", str(place)).check_returncode()
    shutil.copytree(copy, place, dirs_exist_ok=True)
    _mount("-o", "remount,ro", str(place)).check_returncode()
    yield _nothing
    _mount("-o", "remount,rw", str(place)).check_returncode()


@contextmanager
def _on_another_disk(case: Case) -> Iterator[Prepare]:
    """``new/`` is a file system of its own, so nothing can be moved into it."""
    new = case.maildir / "new"
    new.mkdir(parents=True, mode=0o700)
    _mount("-t", "tmpfs", "-o", "mode=700", "tmpfs", str(new)).check_returncode()
    yield _nothing
    subprocess.run(["umount", str(new)], check=True)


MOUNTED: Sequence[Fault] = (
    *(Fault(f"Maildir of {size}", partial(_small, "Mail", f"size={size}")) for size in ROOM),
    *(Fault(f"Maildir, {n} inodes", partial(_small, "Mail", f"nr_inodes={n}")) for n in INODES),
    *(Fault(f"ledger, {s}", partial(_small, "state", f"size={s}")) for s in LEDGER_ROOM),
    *(
        Fault(f"ledger, {n} inodes", partial(_small, "state", f"nr_inodes={n}"))
        for n in LEDGER_INODES
    ),
    *(
        Fault(f"{name} read-only", partial(_read_only, name), used_before=True)
        for name in ("Mail", "state")
    ),
    Fault("new/ on another file system", _on_another_disk),
)


# -- limits and permissions --------------------------------------------------------------------


@contextmanager
def _limited(octets: int, case: Case) -> Iterator[Prepare]:
    """No file may become larger."""
    del case
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))


@contextmanager
def _forbidden(part: str, mode: int, case: Case) -> Iterator[Prepare]:
    """Somebody takes the permission away."""
    before = (case.root / part).stat().st_mode
    (case.root / part).chmod(mode)
    try:
        yield _become_powerless
    finally:
        (case.root / part).chmod(before)


def _become_powerless() -> None:
    """Give up what lets root write anything: no capability is left."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # capset(2): version 3, this thread
    if ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()):
        raise RuntimeError("capset failed")


LIMITED: Sequence[Fault] = (
    *(Fault(f"no file above {n} octets", partial(_limited, n)) for n in LIMITS),
    *(
        Fault(f"no file above {n} octets, ledger used", partial(_limited, n), used_before=True)
        for n in LIMITS
    ),
)
FORBIDDEN: Sequence[Fault] = tuple(
    Fault(f"{part} mode {mode:03o}", partial(_forbidden, part, mode), used_before=True)
    for part in PARTS
    for mode in (0o500, 0o000)
)


MOUNTS = "small and read-only file systems"
FAULTS: Mapping[str, Sequence[Fault]] = {
    MOUNTS: MOUNTED,
    "files limited in size": LIMITED,
    "permission taken away": FORBIDDEN,
}

# -- a Maildir that is taken away while popsync runs -------------------------------------------


class Absence(Enum):
    """What happens to a Maildir before a durable step of a poll, and after that poll."""

    REMOVED = "Maildir moved away, then put back"
    REPLACED = "Maildir replaced by another"
    SWAPPED = "Maildir replaced by another, then put back"


class _TakingSteps(CountedSteps):
    """Takes the Maildir away before step ``at``, as somebody else may do at any moment."""

    def __init__(self, at: int, root: Path, *, replaced: bool) -> None:
        super().__init__()
        self._at, self._root, self._replaced = at, root, replaced

    def _around(self, number: int, step: Callable[[], T]) -> T:
        maildir = self._root / "Mail"
        if number == self._at and maildir.exists():
            maildir.rename(self._root / AWAY)
            if self._replaced:
                for part in ("", "tmp", "new", "cur"):
                    (maildir / part).mkdir(mode=0o700)
        return step()


def _taken_away(case: Case, at: int, absence: Absence) -> str:
    away, other = case.root / AWAY, case.root / "Mail.other"
    replaced = absence is not Absence.REMOVED
    case.poll(partial(_TakingSteps, at, case.root, replaced=replaced))
    if not replaced and away.exists() and case.maildir.exists():
        return "it was made again while popsync ran"
    if finding := case.unsafe():
        return finding
    if away.exists() and absence is Absence.REMOVED:
        away.rename(case.maildir)
    elif away.exists() and absence is Absence.SWAPPED:
        case.maildir.rename(other)
        away.rename(case.maildir)
        other.rename(away)
    return _well_again(case, marks_allowed=replaced)


# -- trying them -------------------------------------------------------------------------------


def endure(name: str, kind: Kind, *, every: int = 1) -> Survival:
    """Poll under each fault of FAULTS[name] (or every so manyth), then without it."""
    with open_desk(kind) as desk:
        chosen = FAULTS[name][::every]
        broken = [
            f"{fault.name}: {finding}"
            for fault in chosen
            if (finding := _endured(desk.begin(), fault))
        ]
        return Survival(f"{kind.value}: {name}", len(chosen), broken)


def take_away(absence: Absence, *, every: int = 1) -> Survival:
    """Take the Maildir away before each step (or every so manyth)."""
    with open_desk(Kind.DELETE_MAILDIR) as desk:
        last = desk.begin().count_steps()
        moments = range(1, last + 1, every)
        broken = [
            f"{absence.value}, before step {n} of {last}: {finding}"
            for n in moments
            if (finding := _taken_away(desk.begin(), n, absence))
        ]
        return Survival(absence.value, len(moments), broken)


def _endured(case: Case, fault: Fault) -> str:
    try:
        return _endure(case, fault)
    finally:
        _unmount_below(case.root)


def _endure(case: Case, fault: Fault) -> str:
    if fault.used_before:
        if case.poll():
            return f"it failed before the fault: {case.error}"
        case.refill()
    with fault.begin(case) as limit:
        status = case.poll(prepare=limit)
        if status not in (0, 1):
            return f"it ended with {status}"
        if finding := case.unsafe():
            return finding
    return _well_again(case)


def _well_again(case: Case, *, marks_allowed: bool = False) -> str:
    """Poll the next day, when what was deferred is due again; twice, for the deletions."""
    for days in (1, 2):
        if case.poll(later_s=days * NEXT_DAY_S):
            return f"once the fault was gone: {case.error}"
    return case.unfair(marks_allowed=marks_allowed)
