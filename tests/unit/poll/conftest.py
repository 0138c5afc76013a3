from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.destination import OneShotDestination, TwoPhaseDestination
from tests.doubles.polling import Desk


@pytest.fixture
def inbox() -> TwoPhaseDestination:
    """A destination that takes a message exactly once."""
    return TwoPhaseDestination("inbox")


@pytest.fixture
def relay() -> OneShotDestination:
    """A destination whose reply can be lost."""
    return OneShotDestination("relay")


@pytest.fixture
async def desk(tmp_path: Path, inbox: TwoPhaseDestination) -> AsyncIterator[Desk]:
    """An account that is delivered to ``inbox``."""
    desk = Desk(tmp_path, inbox)
    await desk.open()
    yield desk
    await desk.close()


@pytest.fixture
async def relayed(tmp_path: Path, relay: OneShotDestination) -> AsyncIterator[Desk]:
    """An account that is delivered to ``relay``."""
    desk = Desk(tmp_path, relay)
    await desk.open()
    yield desk
    await desk.close()


@pytest.fixture
async def both(
    tmp_path: Path, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> AsyncIterator[Desk]:
    """An account that is delivered to ``inbox`` and to ``relay``."""
    desk = Desk(tmp_path, inbox, relay)
    await desk.open()
    yield desk
    await desk.close()
