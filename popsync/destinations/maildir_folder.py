"""One Maildir on disk, step by step. Everything blocks; OSError is passed on."""

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum
from itertools import count
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from popsync.destinations.maildir_file import FileNames, base_name, form_file
from popsync.errors import DestinationMisconfigured, DestinationUnavailable
from popsync.model import Parcel
from popsync.storage import DurableSteps, Writing, is_mounted_read_only, make_directories

_Put = Callable[[str, Iterable[bytes]], None]

# Where every file is synced by itself, syncs that come in together share a journal commit of the
# file system: twice as fast as one after the other. A few small messages are not worth a thread.
_THREADS = 8
_LEAST_FOR_A_THREAD = 8
_LEAST_OCTETS_FOR_A_THREAD = 256 * 1024

_FOR_ITS_SIZE = frozenset({errno.EFBIG, errno.ENOSPC, errno.EDQUOT})
"""With these a smaller file may still be written."""


class StagedFile(NamedTuple):
    """A file in ``tmp/``, and the parcel it holds."""

    name: str
    parcel: Parcel


class Found(Enum):
    """Where a staged file turns out to be after a crash."""

    ARRIVED = "in new/ or cur/"
    TAKEN = "in tmp/, and another file has its name in new/"
    ABSENT = "nowhere, so it was moved to new/ and a reader took it, or a cleaner took it first"
    ELSEWHERE = "nowhere, and this is not the directory it was put into"


class MaildirFolder:
    """``tmp/``, ``new/`` and ``cur/`` of one Maildir, and the steps between them."""

    def __init__(self, path: Path, names: FileNames, *, steps: DurableSteps) -> None:
        self.path = path
        self._tmp = path / "tmp"
        self._new = path / "new"
        self._cur = path / "cur"
        self._names = names
        self._steps = steps
        # The system lets one at a time into a directory, and the others wait for it at full speed.
        self._turn = Lock()

    # -- the directories ---------------------------------------------------------------------

    def create(self) -> None:
        """Make what is missing, for its owner only."""
        for directory in (self._new, self._cur, self._tmp):
            make_directories(directory, self._steps)

    def probe(self) -> None:
        """Make sure that it is a Maildir that is ours, or can be made. Raises as ``check``."""
        if self.path.exists():
            self.check()
            return
        ancestor = next(place for place in self.path.parents if place.exists())
        if not os.access(ancestor, os.W_OK | os.X_OK):
            raise DestinationUnavailable(
                f"Maildir {self.path}: it does not exist and cannot be made in {ancestor};"
                f" {_explain_refusal(ancestor)}"
            )

    def check(self) -> None:
        """Make sure that it is a Maildir and ours to write to.

        Raises DestinationMisconfigured, DestinationUnavailable, OSError.
        """
        devices = {self._check_directory(place) for place in (self._tmp, self._new, self._cur)}
        if len(devices) > 1:
            raise DestinationMisconfigured(
                f"Maildir {self.path}: tmp, new and cur are not on one file system, so no message"
                " can be moved between them in one step"
            )

    def _check_directory(self, place: Path) -> int:
        """Give the device it is on."""
        status = place.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise DestinationMisconfigured(
                f"Maildir {self.path}: {place.name} is not a directory but a link or a file"
            )
        if os.geteuid() == 0 and status.st_uid != 0:
            raise DestinationMisconfigured(
                f"Maildir {self.path}: it belongs to another user (number {status.st_uid}), who"
                " could not touch what root delivers there; run popsync as that user"
            )
        if not os.access(place, os.W_OK | os.X_OK):
            raise DestinationUnavailable(
                f"Maildir {self.path}: {place.name} cannot be written to;"
                f" {_explain_refusal(place)}"
            )
        return status.st_dev

    # -- delivery ----------------------------------------------------------------------------

    def stage(
        self, parcels: Sequence[Parcel], staged: list[StagedFile], writing: Writing
    ) -> Sequence[tuple[Parcel, OSError]]:
        """Write a file in ``tmp/`` for each parcel, adding it to ``staged`` at once.

        Files and names are durable, or are so after ``writing.sync`` where that is shared. Gives
        those that are too large for this file system, or for what room it has left: others may
        fit (P5). Raises OSError when none can be written now; the caller then takes ``staged``
        back.
        """
        octets = sum([parcel.content.octets for parcel in parcels])
        writing.begin(str(self._tmp), files=len(parcels), octets=octets)
        inode = self._inode()
        if writing.shares:
            with self._turn:
                too_large = self._stage_share(parcels, staged, inode, self._steps.leave_file)
        else:
            too_large = self._stage_synced(parcels, staged, inode)
        if not staged:
            _raise_if_full(too_large)
        if self._inode() != inode:
            # Put back, the directory before would miss files, and that would pass for arrival.
            raise OSError(errno.ESTALE, "it was replaced while messages were written")
        return too_large

    def _stage_synced(
        self, parcels: Sequence[Parcel], staged: list[StagedFile], inode: int
    ) -> list[tuple[Parcel, OSError]]:
        size = -(-len(parcels) // _threads_for(parcels))
        shares = [parcels[start : start + size] for start in range(0, len(parcels), size)]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="popsync-maildir") as threads:
            work = [
                threads.submit(self._stage_share, share, staged, inode, self._put_synced)
                for share in shares
            ]
        too_large = [refused for done in work for refused in done.result()]
        # POSIX lets a power cut take a synced file's name, and absence would pass for arrival.
        self._steps.sync_directory(self._tmp)
        return too_large

    def _stage_share(
        self, parcels: Iterable[Parcel], staged: list[StagedFile], inode: int, put: _Put
    ) -> list[tuple[Parcel, OSError]]:
        too_large: list[tuple[Parcel, OSError]] = []
        for parcel in parcels:
            try:
                name = self._write(parcel, inode, put)
            except OSError as error:
                if error.errno not in _FOR_ITS_SIZE:
                    raise
                too_large.append((parcel, error))
            else:
                staged.append(StagedFile(name, parcel))
        return too_large

    def _write(self, parcel: Parcel, inode: int, put: _Put) -> str:
        """Give the name of the file that holds the parcel now.

        A file of the same name may be left from a try whose end is unknown, and the ledger may
        still speak of it; so it is left alone.
        """
        octets, chunks = form_file(parcel)
        for attempt in count():
            name = self._names.make(parcel, octets=octets, inode=inode, attempt=attempt)
            try:
                put(f"{self._tmp}/{name}", chunks)
            except FileExistsError:
                continue
            except OSError:
                self.discard([name])
                raise
            return name
        raise AssertionError  # count() has no end

    def _put_synced(self, path: str, chunks: Iterable[bytes]) -> None:
        self._steps.sync_file(self._steps.write_file(path, chunks))

    def publish(self, names: Sequence[str], writing: Writing | None = None) -> frozenset[str]:
        """Move files from ``tmp/`` to ``new/``; give the names that were taken there.

        The moves are durable, or are so after ``writing.sync`` where that is shared.
        """
        with self._turn:
            taken = frozenset(name for name in names if not self._move(name))
        if writing is None or not writing.shares:
            self.sync()
        return taken

    def _move(self, name: str) -> bool:
        try:
            self._steps.move(f"{self._tmp}/{name}", f"{self._new}/{name}")
        except FileExistsError:
            return False
        return True

    def sync(self) -> None:
        """Make every move so far durable, ours and those of a reader."""
        for directory in (self._new, self._cur, self._tmp):
            self._steps.sync_directory(directory)

    def discard(self, names: Iterable[str]) -> None:
        """Take files out of ``tmp/`` as far as that can be done; what stays has no meaning."""
        for name in names:
            with suppress(OSError):
                self._steps.unlink(f"{self._tmp}/{name}")

    def _inode(self) -> int:
        return self._tmp.stat().st_ino

    # -- recovery ----------------------------------------------------------------------------

    def resume(self, names: Sequence[str]) -> Mapping[str, Found]:
        """Finish the moves that a crash left open, and say where each file is."""
        waiting = [name for name in names if (self._tmp / name).is_file()]
        for name in waiting:
            self._steps.sync_path(self._tmp / name)
        taken = self.publish(waiting)
        found = dict.fromkeys(waiting, Found.ARRIVED) | dict.fromkeys(taken, Found.TAKEN)
        missing = [name for name in names if name not in found]
        return found | (self._search(missing) if missing else {})

    def _search(self, names: Sequence[str]) -> dict[str, Found]:
        """Say where files are that are not in ``tmp/``."""
        visible = {
            base_name(path.name) for place in (self._new, self._cur) for path in place.iterdir()
        }
        inode = self._inode()
        found: dict[str, Found] = {}
        for name in names:
            absent = Found.ABSENT if self._names.belongs_to(name, inode) else Found.ELSEWHERE
            found[name] = Found.ARRIVED if base_name(name) in visible else absent
        return found

    def sweep(self, keep: Collection[str]) -> int:
        """Take our own files out of ``tmp/`` but those in ``keep``; give how many went."""
        try:
            names = [path.name for path in self._tmp.iterdir()]
        except FileNotFoundError:
            return 0
        stray = [name for name in names if self._names.is_ours(name) and name not in keep]
        self.discard(stray)
        return len(stray)


def _raise_if_full(too_large: Iterable[tuple[Parcel, OSError]]) -> None:
    """Raise the error of a disk without room; that a message is too large for it is none."""
    for _, error in too_large:
        if error.errno != errno.EFBIG:
            raise error


def _threads_for(parcels: Sequence[Parcel]) -> int:
    """Give how many threads should share the work, never more than there are parcels."""
    octets = sum(parcel.content.octets for parcel in parcels)
    worth = max(len(parcels) // _LEAST_FOR_A_THREAD, octets // _LEAST_OCTETS_FOR_A_THREAD)
    return max(1, min(_THREADS, worth, len(parcels)))


def _explain_refusal(place: Path) -> str:
    """Say why we may not write there, or what to do."""
    if is_mounted_read_only(place):
        return "its file system is mounted read-only"
    return "give the user that popsync runs as write access"
