"""The files of a configuration on disk: what they say now, and where a change would show."""

import glob
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from popsync.config.files import FileRefused, read_regular_file
from popsync.config.source import MAX_FILE_OCTETS

_ALL_BUT_OWNER = 0o077
_MAX_LINKS = 40  # as many as Linux follows before it says ELOOP


class Directory(NamedTuple):
    """A directory as it was found; another one put in its place is not equal."""

    path: Path
    """Without symbolic links."""
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class WatchedFiles:
    """``files`` and ``include`` of a Config: absolute paths, and absolute globs."""

    files: tuple[Path, ...]
    include: tuple[str, ...] = ()

    def fingerprint(self) -> bytes:
        """Hash names, contents and permissions of all files there are now. Blocks, never raises.

        A file that cannot be read counts with the reason why. One that is missing does not count,
        so that its fingerprint stays the same when a reload has ceased to name it.
        """
        digest = sha256()
        for path in sorted(self._existing(), key=str):
            digest.update(b"%b\0%b" % (os.fsencode(path), _hash_file(path)))
        return digest.digest()

    def directories(self) -> frozenset[Directory]:
        """Give every directory in which a change can alter the fingerprint. Blocks, never raises.

        They are those of the files, those in which a glob may find more, and all that hold a
        symbolic link on the way there. For what is missing it is the nearest one that exists.
        """
        paths = [*self.files, *(path for pattern in self.include for path in _places(pattern))]
        ways = {path.parent: path for path in paths}.values()
        links = [path for path in paths if _read_link(path)]
        found = {directory for path in (*ways, *links) for directory in _directories_to(path)}
        return frozenset(filter(None, map(_identify, found)))

    def _existing(self) -> set[Path]:
        included = (path for pattern in self.include for path in glob.glob(pattern))  # noqa: PTH207
        return {*filter(os.path.lexists, self.files), *map(Path, included)}


def _hash_file(path: Path) -> bytes:
    try:
        file = read_regular_file(path, max_octets=MAX_FILE_OCTETS)
    except FileRefused as refusal:
        return sha256(b"refused: " + str(refusal).encode()).digest()
    trust = b"%o %d" % (file.permissions & _ALL_BUT_OWNER, file.owner)
    return sha256(b"content: %b %b" % (trust, file.octets)).digest()


def _places(pattern: str) -> Iterator[Path]:
    """Give what ``pattern`` finds, and a path in each directory where it may find more."""
    root, *parts = Path(pattern).parts
    reached = [Path(root)]
    for part in parts:
        if glob.has_magic(part):
            yield from (directory / part for directory in reached)
            reached = [
                directory / name
                for directory in reached
                for name in glob.glob(part, root_dir=directory)  # noqa: PTH207 - hides dot files
            ]
        else:
            reached = [directory / part for directory in reached]
    yield from reached


def _directories_to(path: Path) -> Iterator[Path]:
    """Give the directories that hold a link on the way to ``path``, and the one where it ends."""
    here = Path(path.anchor)
    ahead = deque(path.parts[1:])
    links = 0
    while ahead:
        name = ahead.popleft()
        step = here.parent if name == ".." else here / name
        target = _read_link(step) if links < _MAX_LINKS else None
        if target:
            yield here
            links += 1
            ahead.extendleft(reversed(target.parts))  # an absolute one leads back to the root
        elif ahead and _identify(step):
            here = step
        else:
            yield here
            return


def _read_link(path: Path) -> Path | None:
    try:
        return path.readlink()
    except (OSError, ValueError):  # a glob may hold a NUL
        return None


def _identify(directory: Path) -> Directory | None:
    try:
        status = directory.stat()
    except (OSError, ValueError):
        return None
    is_directory = stat.S_ISDIR(status.st_mode)
    return Directory(directory, status.st_dev, status.st_ino) if is_directory else None
