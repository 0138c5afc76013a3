"""syncfs(2): one call that makes everything on a file system durable.

For Linux it "provides the same guarantees as fsync called on every file in the file system".
Since 5.8 it tells of contents that could not be written, since 5.17 also of names and moves that
could not; before that a failure would pass for success. Where files live elsewhere (NFS, FUSE, 9p)
it does not reach them at all.
"""

import os
import re

_FIRST_LINUX = (5, 17)

# By statfs(2): ext2 to ext4, XFS, Btrfs, tmpfs.
_FILE_SYSTEMS = frozenset({0xEF53, 0x58465342, 0x9123683E, 0x01021994})

_STATFS_OCTETS = 256
"""More than any kernel's ``struct statfs``, whose first member is the type."""


def keeps_promise(descriptor: int) -> bool:
    """Tell whether ``sync_file_system`` does all that an fsync of each file would do."""
    return _is_new_enough(os.uname()) and _type_of(descriptor) in _FILE_SYSTEMS


def sync_file_system(descriptor: int) -> None:
    """Make durable what lies on the file system of an open file or directory.

    Raises OSError, also for what anybody wrote since it was opened and the disk did not take.
    """
    # Not with the imports above: most polls bring a few messages and never need it.
    import ctypes  # noqa: PLC0415

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _is_new_enough(system: os.uname_result) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", system.release)
    if system.sysname != "Linux" or numbers is None:
        return False
    return (int(numbers[1]), int(numbers[2])) >= _FIRST_LINUX


def _type_of(descriptor: int) -> int:
    """Give the file system's number, or 0 when it cannot be had."""
    import ctypes  # noqa: PLC0415 - as above

    status = ctypes.create_string_buffer(_STATFS_OCTETS)
    if ctypes.CDLL(None).fstatfs(descriptor, status) != 0:
        return 0
    return int(ctypes.c_long.from_buffer(status).value)
