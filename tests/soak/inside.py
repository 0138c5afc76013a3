"""``python -m tests.soak.inside ARGS…``: popsync, telling how many tasks it has.

At SIGUSR2 it writes a line to stdout: tasks of the event loop, objects that the collector knows.
"""

import asyncio
import gc
import os
import signal
import sys
from types import FrameType

from popsync.cli import main

TELL = signal.SIGUSR2
STDOUT = 1


def arrange() -> None:
    """Have the signal answered from now on."""

    def tell(_number: int, _frame: FrameType | None) -> None:
        # In the main thread, so between two steps of the event loop or within one.
        tasks = len(asyncio.all_tasks())
        gc.collect()
        os.write(STDOUT, b"%d %d\n" % (tasks, len(gc.get_objects())))

    signal.signal(TELL, tell)


if __name__ == "__main__":
    arrange()
    sys.exit(main())
