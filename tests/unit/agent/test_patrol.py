"""What is looked at again and again, and what is returned on the way."""

import asyncio
import ctypes
import sys
from pathlib import Path

import pytest

from popsync.agent.patrol import ROUNDS_BETWEEN_TRIMS, patrol
from popsync.agent.spare_memory import find_trim
from popsync.errors import LedgerCorrupt, LedgerError

PIECE_OCTETS = 64 * 1024
PIECES = 800


async def test_memory_is_returned_now_and_then() -> None:
    """Not at each round; and no more once the ledger has gone, which is told once."""
    happened: list[str] = []
    ended_by: list[LedgerError] = []
    lost = LedgerCorrupt("gone")

    async def check() -> None:
        happened.append("look")
        if happened.count("trim") == 2:
            raise lost

    async with asyncio.timeout(10):
        await patrol(
            lambda: None,
            check,
            ended_by.append,
            trim=lambda: happened.append("trim"),
            every_s=0,
        )

    assert happened == [*[*["look"] * ROUNDS_BETWEEN_TRIMS, "trim"] * 2, "look"]
    assert ended_by == [lost]


def resident_octets() -> int:
    """Give what this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_lies_free_between_what_is_used_is_returned() -> None:
    """A burst of mail leaves such holes: the C library alone gives back only the end."""
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("another C library than glibc")
    pieces = [bytes([n % 256]) * PIECE_OCTETS for n in range(PIECES)]
    used = resident_octets()
    last = pieces[-1]
    del pieces

    find_trim()()

    assert used - resident_octets() > PIECES * PIECE_OCTETS / 2
    assert len(last) == PIECE_OCTETS


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to call, and nothing complains."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    find_trim()()
