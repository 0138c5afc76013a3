"""What a process takes of the machine, as Linux tells it."""

import os
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
