"""A message's content: small ones in memory, large ones in a file that has no name."""

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from popsync.errors import ScratchUnavailable
from popsync.model import Content, Digest
from popsync.storage.steps import write_fully

CHUNK_OCTETS = 256 * 1024
MEMORY_OCTETS = 2 * 1024 * 1024
UNFINISHED_OCTETS = 4 * 1024 * 1024
"""What all contents that still arrive may have in memory; what exceeds it goes to files early."""

_CLOSED = "the content was closed"

# Some file systems (NFS, older overlayfs, FUSE) know no unnamed files.
_NO_UNNAMED_FILES = frozenset(
    {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS}
)


class Scratch:
    """Makes contents; ``memory_octets`` is the largest that is kept in memory.

    ``unfinished_octets``: the most of all that arrive at the same time. ``directory`` must exist.
    Nothing is left in it, even by a crash: the files have no names.
    """

    def __init__(
        self,
        directory: Path,
        *,
        memory_octets: int = MEMORY_OCTETS,
        unfinished_octets: int = UNFINISHED_OCTETS,
    ) -> None:
        self._directory = directory
        self._memory_octets = memory_octets
        self._unfinished = _Unfinished(unfinished_octets)

    def from_bytes(self, octets: bytes) -> Content:
        """Give the content that consists of ``octets``. Raises ScratchUnavailable, if large."""
        if len(octets) <= self._memory_octets:
            return _MemoryContent([octets], Digest(sha256(octets).digest()))
        writer = self.new_content()
        try:
            writer.write(octets)
            return writer.finish()
        except BaseException:
            writer.discard()
            raise

    def read_file(self, path: Path) -> Content:
        """Give the content that a file holds now; it stays readable when the name goes.

        Raises OSError.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            octets = os.fstat(descriptor).st_size
            if octets > self._memory_octets:
                digest = _digest(descriptor)
                return _FileContent(os.dup(descriptor), octets, digest)
            return self.from_bytes(os.pread(descriptor, self._memory_octets, 0))
        finally:
            os.close(descriptor)

    def new_content(self) -> "ContentWriter":
        """Begin a content that arrives piece by piece."""
        return ContentWriter(self._directory, self._unfinished, self._memory_octets)


class _Unfinished:
    """What all contents that still arrive have in memory."""

    def __init__(self, most: int) -> None:
        self.octets = 0
        self._most = most

    @property
    def is_too_much(self) -> bool:
        return self.octets > self._most


class ContentWriter:
    """Takes a content piece by piece, hashing on the way; ends by ``finish`` or ``discard``."""

    def __init__(self, directory: Path, unfinished: _Unfinished, memory_octets: int) -> None:
        self._directory = directory
        self._unfinished = unfinished
        self._memory_octets = memory_octets
        self._octets = 0
        self._in_memory = 0
        self._hash = sha256()
        self._pieces: list[bytes] = []
        self._descriptor: int | None = None

    def write(self, octets: bytes) -> None:
        """Append ``octets``. Raises ScratchUnavailable; ``discard`` it then."""
        self._octets += len(octets)
        self._hash.update(octets)
        self._pieces.append(octets)
        self._in_memory += len(octets)
        self._unfinished.octets += len(octets)
        if self._spills():
            with _translated(self._directory):
                self._spill()

    def finish(self) -> Content:
        """Give the content; nothing can be appended any more."""
        digest = Digest(self._hash.digest())
        if self._descriptor is None:
            content = _MemoryContent(self._pieces, digest)
            self._forget_pieces()
            return content
        descriptor, self._descriptor = self._descriptor, None
        return _FileContent(descriptor, self._octets, digest)

    def discard(self) -> None:
        """Give back what was taken. Idempotent, and harmless after ``finish``."""
        self._forget_pieces()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _spills(self) -> bool:
        return (
            self._descriptor is not None
            or self._octets > self._memory_octets
            or self._unfinished.is_too_much
        )

    def _forget_pieces(self) -> None:
        self._pieces.clear()
        self._unfinished.octets -= self._in_memory
        self._in_memory = 0

    def _spill(self) -> None:
        if self._descriptor is None:
            self._descriptor = _open_unnamed(self._directory)
        for piece in self._pieces:
            write_fully(self._descriptor, piece)
        self._forget_pieces()


class _MemoryContent:
    """A content that lives in memory, in the pieces that it came in."""

    def __init__(self, pieces: Sequence[bytes], digest: Digest) -> None:
        self._pieces: Sequence[bytes] | None = [p for piece in pieces for p in _cut(piece)]
        self.octets = sum(map(len, self._pieces))
        self.digest = digest

    def chunks(self) -> Iterator[bytes]:
        if self._pieces is None:
            raise ValueError(_CLOSED)
        return iter(self._pieces)

    def close(self) -> None:
        self._pieces = None


def _cut(octets: bytes) -> Sequence[bytes]:
    if 0 < len(octets) <= CHUNK_OCTETS:  # as it comes off the wire
        return (octets,)
    return [octets[at : at + CHUNK_OCTETS] for at in range(0, len(octets), CHUNK_OCTETS)]


class _FileContent:
    """A content that lives in an unnamed file.

    The lock keeps a reader in another thread from reading a descriptor that was closed under it
    and may by then belong to something else.
    """

    def __init__(self, descriptor: int, octets: int, digest: Digest) -> None:
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()
        self.octets = octets
        self.digest = digest

    def chunks(self) -> Iterator[bytes]:
        offset = 0
        while offset < self.octets:
            chunk = self._read(offset)
            offset += len(chunk)
            yield chunk

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _read(self, offset: int) -> bytes:
        with self._lock:
            if self._descriptor is None:
                raise ValueError(_CLOSED)
            chunk = os.pread(self._descriptor, CHUNK_OCTETS, offset)
        if not chunk:
            raise OSError(errno.EIO, "a spilled message became shorter")
        return chunk


def _digest(descriptor: int) -> Digest:
    hashed, offset = sha256(), 0
    while chunk := os.pread(descriptor, CHUNK_OCTETS, offset):
        hashed.update(chunk)
        offset += len(chunk)
    return Digest(hashed.digest())


@contextmanager
def _translated(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = f"{directory}: a large message cannot be put down here: {error.strerror}"
        raise ScratchUnavailable(said) from error


def _open_unnamed(directory: Path) -> int:
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
    import tempfile  # noqa: PLC0415 - for such file systems alone

    descriptor, name = tempfile.mkstemp(prefix="popsync-", dir=directory)
    Path(name).unlink()
    return descriptor
