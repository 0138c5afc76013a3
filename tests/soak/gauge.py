"""What a process takes of the machine, as Linux tells it."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

MIB = 1 << 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """One look at one process."""

    resident_octets: int
    descriptors: int
    threads: int
    cpu_s: float
    """User and system time since it began; without that of its children."""


class Run(NamedTuple):
    """One process from its start to its exit."""

    status: int
    took_s: float
    cpu_s: float
    """User and system time."""
    most_octets: int
    """Resident, at its largest."""


# A process begins with the largest memory of the one that it was forked from, so a small one
# stands between.
_MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
"""


def measure(command: Sequence[str]) -> Run:
    """Run ``command``, without what it prints, and give what it took."""
    began_at = time.monotonic()
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    took_s = time.monotonic() - began_at
    status, cpu_s, most_octets = measured.stdout.split()
    return Run(int(status), took_s, float(cpu_s), int(most_octets))


def look_at(pid: int) -> Usage:
    """Give what the process takes now."""
    about = Path("/proc", str(pid))
    status = dict(
        line.split(":", 1) for line in (about / "status").read_text().splitlines() if ":" in line
    )
    # Behind the name, which may contain anything: utime and stime are fields 14 and 15 of proc(5).
    fields = (about / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        resident_octets=int(status["VmRSS"].split()[0]) * 1024,
        descriptors=len(list((about / "fd").iterdir())),
        threads=int(status["Threads"]),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
    )
