"""A Maildir keeps the contract."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from popsync.destinations.maildir import MaildirDestination
from popsync.poll.ports import Destination
from tests.contract.destination import DestinationContract


class TestMaildir(DestinationContract):
    """Into a directory that does not exist yet."""

    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        """Give a new Maildir."""
        return MaildirDestination("inbox", tmp_path / "Mail", token="0" * 16, hostname="host")

    @pytest.fixture(autouse=True)
    def _remember(self, tmp_path: Path) -> None:
        self._new = tmp_path / "Mail" / "new"

    def arrived(self, destination: Destination) -> Sequence[bytes]:
        """Read ``new/``."""
        return sorted(path.read_bytes() for path in self._new.iterdir())
