"""Configurations that several modules of tests begin with."""

from pathlib import Path

import pytest

from popsync.config.model import Config
from tests.unit.agent.accounts import table
from tests.unit.config.files import INBOX, load


@pytest.fixture
def jane(tmp_path: Path) -> Config:
    """One account."""
    return load(tmp_path, INBOX + table("jane"))


@pytest.fixture
def both(tmp_path: Path) -> Config:
    """Two accounts, and a third that is switched off."""
    off = table("off", "enabled = false")
    return load(tmp_path, INBOX + table("jane") + table("bob") + off)
