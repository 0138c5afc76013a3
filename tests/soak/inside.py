"""``python inside.py FILE ARGS…``: popsync, telling how many tasks it has.

At SIGUSR2 it adds a line to FILE: tasks of the event loop, objects that the collector knows.
"""

import asyncio
import gc
import signal
import sys
from pathlib import Path
from types import FrameType

from popsync.cli import main

TELL = signal.SIGUSR2


def arrange(report: Path) -> None:
    """Have the signal answered from now on."""

    def tell(_number: int, _frame: FrameType | None) -> None:
        # In the main thread, so between two steps of the event loop or within one.
        tasks = len(asyncio.all_tasks())
        gc.collect()
        with report.open("a") as file:
            file.write(f"{tasks} {len(gc.get_objects())}\n")

    signal.signal(TELL, tell)


if __name__ == "__main__":
    arrange(Path(sys.argv[1]))
    sys.argv[:2] = ["popsync"]
    sys.exit(main())
