"""A ledger in a directory of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from popsync.ledger import SqliteLedger, open_ledger


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> HandClock:
    """Give a clock that stands still."""
    return HandClock()


@pytest.fixture
async def ledger(tmp_path: Path, clock: HandClock) -> AsyncIterator[SqliteLedger]:
    """Give an open, empty ledger."""
    opened = await open_ledger(tmp_path / "state", clock=clock)
    yield opened
    await opened.close()
