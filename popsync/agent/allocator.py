"""Keeps the C library from hoarding the memory of a busy hour.

glibc gives each thread an arena of its own, up to eight for each processor, and whenever a large
block is freed it takes blocks of that size into the arenas from then on. What is free there lies
between blocks that live on, so it goes back to nobody: a daemon with worker threads and messages
of up to a megabyte grows by it for hours. See mallopt(3).
"""

import ctypes
from collections.abc import Callable

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8

_ARENAS = 2
_LARGE_OCTETS = 256 << 10
"""Blocks of this size are mapped and given back one by one: each connection with TLS has one."""


def bound_allocator() -> bool:
    """Have the memory of this process follow its need; False where there is no glibc.

    Threads that run already keep their arenas.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    obeyed = (
        set_option(_ARENA_MAX, _ARENAS),
        set_option(_MMAP_THRESHOLD, _LARGE_OCTETS),
        set_option(_TRIM_THRESHOLD, 2 * _LARGE_OCTETS),
    )
    return all(obeyed)


def find_trim() -> Callable[[], object]:
    """Give what makes the C library return all that is free, which takes it about a millisecond.

    Of smaller blocks, those that a burst of mail took lie between others, too. See malloc_trim(3),
    which only glibc has.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda: None
    trim.argtypes = (ctypes.c_size_t,)
    return lambda: trim(0)
