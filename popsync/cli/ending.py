"""The end of the process, which no thread may keep from coming.

Python waits for its threads, and one may hang for ever in a system call that a dead disk does not
answer. By then all that matters is done, and what is not is a cut like any other (P4).
"""

import gc
import os
import sys
import threading
from typing import NoReturn

TIDYING_S = 3.0


def exit_process(code: int) -> NoReturn:
    """Exit with ``code``, whatever other threads do."""
    if threading.active_count() > 1:
        LastResort().begin(code)
    gc.freeze()  # Python would look for cycles in all that is about to go, for 70 ms
    sys.exit(code)


class LastResort:
    """Ends the process when tidying up takes too long."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, code: int) -> None:
        """Reckon from now; ``code`` is what the process would end with."""
        self._timer = threading.Timer(TIDYING_S, os._exit, [code])
        self._timer.daemon = True
        self._timer.start()

    def forget(self) -> None:
        """All is tidy."""
        if self._timer is not None:
            self._timer.cancel()
