"""One instance for each state directory."""

import fcntl
import os
from pathlib import Path

from popsync.errors import LedgerLocked

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class StateLock:
    """The exclusive lock on a state directory; the kernel lets go of it when we die."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> "StateLock":
        """Lock the file at ``path``, making it if need be. Raises LedgerLocked, OSError."""
        descriptor = os.open(path, _FLAGS, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise LedgerLocked(
                f"another popsync (process {holder or 'unknown'}) works with {path.parent}"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others in. Idempotent. The file stays: taking it away would let two in at once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
