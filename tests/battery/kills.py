"""A program is started over and over, with new mail before each start, and mostly killed.

When to kill follows how long its runs take. After every few kills one run is left alone; at the
end two are.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

RUN_TIMEOUT_S = 120
LEFT_ALONE_EVERY = 10
PER_RUN = 60
"""New messages before each run."""


class Reader(threading.Thread):
    """Somebody who moves new mail to ``cur/`` and deletes some, while it comes in.

    keep: gives what is remembered of a message.
    """

    def __init__(self, mail: Path, seed: int, keep: Callable[[bytes], bytes]) -> None:
        super().__init__(daemon=True)
        self._mail = mail
        self._keep = keep
        self._random = random.Random(seed)
        self._over = threading.Event()
        self.deleted: list[bytes] = []

    def run(self) -> None:
        """Look again and again until ``finish``."""
        while not self._over.wait(0.01):
            for path in self._files("new"):
                if self._random.random() < 0.3:
                    path.rename(self._mail / "cur" / f"{path.name}:2,S")
            for path in self._files("cur"):
                if self._random.random() < 0.05:
                    self.deleted.append(self._keep(path.read_bytes()))
                    path.unlink()

    def finish(self) -> list[bytes]:
        """Stop; give everything that ever came."""
        self._over.set()
        self.join()
        there = [path for name in ("new", "cur") for path in self._files(name)]
        return [*self.deleted, *(self._keep(path.read_bytes()) for path in there)]

    def arrivals(self) -> int:
        """Give how many messages have come so far; not exact while the reader is at work."""
        return len(self.deleted) + sum(len(self._files(name)) for name in ("new", "cur"))

    def staged(self) -> frozenset[str]:
        """Give the names in ``tmp/``."""
        return frozenset(path.name for path in self._files("tmp"))

    def _files(self, name: str) -> list[Path]:
        directory = self._mail / name
        return list(directory.iterdir()) if directory.exists() else []


class Arrivals(NamedTuple):
    """Where the messages come out: its table, how many so far, and all of them."""

    table: str
    so_far: Callable[[], int]
    staged: Callable[[], frozenset[str]]
    """What is written and not visible to a reader yet."""
    everything: Callable[[], list[bytes]]


class _Moment:
    """When to kill: mostly some time after the first arrival, sometimes just anywhere."""

    def __init__(self, seed: int, run_s: float) -> None:
        self._random = random.Random(seed)
        self._run_s = run_s
        self._work_s = run_s / 4

    def wait(self, over: Callable[[], bool], begun: Callable[[], bool]) -> None:
        """Return when the moment has come, or the run is over."""
        if self._random.random() < 0.3:
            self._pass(self._random.uniform(0, self._run_s), over)
            return
        while not over() and not begun():
            time.sleep(0.001)
        self._pass(self._random.uniform(0, self._work_s), over)

    def learn(self, *, ended: bool) -> None:
        """Come earlier next time when the run was over, else later."""
        self._work_s *= 0.9 if ended else 1.03

    def _pass(self, time_s: float, over: Callable[[], bool]) -> None:
        end = time.monotonic() + time_s
        while time.monotonic() < end and not over():
            time.sleep(0.001)


class Killing:
    """The kills of one program; ``start`` starts it once, ``make`` gives the n-th message."""

    def __init__(
        self,
        start: Callable[[], Popen[bytes]],
        arrivals: Arrivals,
        fill: Callable[[list[bytes]], None],
        make: Callable[[int], bytes],
        *,
        keep: Callable[[bytes], bytes],
        seed: int,
        successes: Collection[int] = (),
    ) -> None:
        """Successes: how a run may end that is left alone; empty when that does not matter."""
        self._start, self._arrivals, self._fill, self._make = start, arrivals, fill, make
        self._keep = keep
        self._seed, self._successes = seed, successes
        self.sent: list[bytes] = []
        """What ``keep`` gives of each message: of thousands that is little."""
        self.in_the_middle = 0
        """Kills that left some new messages staged, or delivered and others not."""
        self.ends_of_runs: list[int] = []
        """How many messages had come at the end of each run."""

    def kill(self, times: int) -> None:
        """Kill so often, and leave it alone in between and at the end."""
        self._send_more()
        began = time.monotonic()
        self._leave_alone()
        moment = _Moment(self._seed, time.monotonic() - began)
        for number in range(1, times + 1):
            self._send_more()
            self._kill_once(moment)
            if number % LEFT_ALONE_EVERY == 0:
                self._leave_alone()
        self._leave_alone()
        self._leave_alone()

    def _send_more(self) -> None:
        first = len(self.sent)
        new = [self._make(n) for n in range(first, first + PER_RUN)]
        self.sent += map(self._keep, new)
        self._fill(new)

    def _kill_once(self, moment: _Moment) -> None:
        arrivals = self._arrivals
        before = arrivals.so_far(), arrivals.staged()
        process = self._start()
        moment.wait(lambda: process.poll() is not None, partial(_differs, arrivals, before))
        ended = process.poll() is not None
        # With everything that it has started: they would all go down with the machine.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        self.ends_of_runs.append(arrivals.so_far())
        delivered = arrivals.so_far() - before[0]
        partly = 0 < delivered < PER_RUN or arrivals.staged() - before[1]
        self.in_the_middle += bool(not ended and partly)
        moment.learn(ended=ended)

    def _leave_alone(self) -> None:
        process = self._start()
        _, errors = process.communicate(timeout=RUN_TIMEOUT_S)
        if self._successes and process.returncode not in self._successes:
            raise RuntimeError(f"it failed ({process.returncode}): {errors.decode()}")
        self.ends_of_runs.append(self._arrivals.so_far())


def _differs(arrivals: Arrivals, before: tuple[int, frozenset[str]]) -> bool:
    """Whether something has been staged or has arrived since."""
    return (arrivals.so_far(), arrivals.staged()) != before
