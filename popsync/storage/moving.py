"""A move that replaces nothing, in one call where the system has one: renameat2(2) of Linux."""

import errno
import os
from collections.abc import Callable
from functools import cache

_CURRENT_DIRECTORY = -100
_REPLACE_NOTHING = 1

# An old kernel, a filter of system calls, a file system that does not know the flag.
_NOT_OFFERED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM})


def move(old: str, new: str) -> None:
    """Give a file the name ``new``, which nothing has yet.

    Raises FileExistsError when something has it; OSError. Where the system does not offer this,
    it is looked first, and somebody else may still come in between.
    """
    code = _rename_at_once()(os.fsencode(old), os.fsencode(new))
    if code in _NOT_OFFERED:
        code = errno.EEXIST if os.path.lexists(new) else 0
        if not code:
            os.rename(old, new)  # noqa: PTH104 - for each message, and Path takes longer
    if code:
        raise OSError(code, os.strerror(code), new)


@cache
def _rename_at_once() -> Callable[[bytes, bytes], int]:
    """Give what moves and tells the error's number, 0 for none."""
    # Not with the imports above: a poll that brings nothing never needs it.
    import ctypes  # noqa: PLC0415

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        rename = libc.renameat2
    except AttributeError:
        return lambda _old, _new: errno.ENOSYS
    rename.argtypes = (
        *(ctypes.c_int, ctypes.c_char_p),
        *(ctypes.c_int, ctypes.c_char_p),
        ctypes.c_uint,
    )

    def rename_at_once(old: bytes, new: bytes) -> int:
        here = _CURRENT_DIRECTORY
        failed = rename(here, old, here, new, _REPLACE_NOTHING)
        return ctypes.get_errno() if failed else 0

    return rename_at_once
