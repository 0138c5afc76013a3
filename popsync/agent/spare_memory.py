"""What the C library keeps of memory that was freed goes back to the system.

It keeps what a burst of mail took, some tens of MB, for the next one, which may be days away.
"""

import ctypes
from collections.abc import Callable


def find_trim() -> Callable[[], object]:
    """Give what makes the C library return what is free, which takes it about a millisecond.

    Only glibc has it (malloc_trim(3)).
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    trim.argtypes = (ctypes.c_size_t,)
    return lambda: trim(0)
