"""What the process keeps of the memory that it has given back."""

import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from popsync.agent.allocator import bound_allocator, find_trim

MIB = 1 << 20
PIECE_OCTETS = 64 << 10
PIECES = 800

# Each thread frees what is large while something small that came after it lives on.
BUSY_HOUR = """
import ctypes, sys
from threading import Barrier, Thread

if sys.argv[1] == "bounded":
    from popsync.agent.allocator import bound_allocator
    assert bound_allocator()

class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
all_there = Barrier(8)
lives_on = []

def work():
    all_there.wait()  # a thread that ends hands its arena on
    for size in range(300, 1300, 10):
        large = bytearray(size << 10)
        lives_on.append(bytearray(3000))
        del large
    all_there.wait()

threads = [Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(libc.mallinfo2().fordblks)
"""


def free_octets(mode: str) -> int:
    """Give what a process still holds, unused, after a busy hour."""
    command = [sys.executable, "-c", BUSY_HOUR, mode]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=50).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that hoards")
def test_little_stays_behind_of_a_busy_hour() -> None:
    """Eight threads with messages of a megabyte leave a few MiB; unbounded, many times that."""
    bounded, as_it_is = free_octets("bounded"), free_octets("as it is")

    assert bounded < 4 * MIB
    assert as_it_is > 2 * bounded


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of Alpine has no such option, and does not hoard."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())

    assert not bound_allocator()
    find_trim()()


def resident_octets() -> int:
    """Give what this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that hoards")
def test_what_lies_free_between_what_is_used_is_returned() -> None:
    """A burst of mail leaves such holes: the C library alone gives back only the end."""
    pieces = [bytes([n % 256]) * PIECE_OCTETS for n in range(PIECES)]
    used = resident_octets()
    last = pieces[-1]
    del pieces

    find_trim()()

    assert used - resident_octets() > PIECES * PIECE_OCTETS / 2
    assert len(last) == PIECE_OCTETS
