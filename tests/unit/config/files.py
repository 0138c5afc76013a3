"""Writes configurations for tests and gives what loading them says."""

from pathlib import Path

import pytest

from popsync.config.load import load_config
from popsync.config.model import AccountConfig, Config
from popsync.errors import ConfigError

INBOX = """
[destination.inbox]
type = "maildir"
path = "Mail"
"""
GMX = """
[account.gmx]
host = "pop.gmx.net"
user = "jane@gmx.net"
password = "s3cret"
mode = "keep"
"""


def write(directory: Path, text: str, *, name: str = "popsync.toml", mode: int = 0o600) -> Path:
    """Write ``text`` to a file that only its owner may read, unless ``mode`` says otherwise."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def load(directory: Path, text: str) -> Config:
    """Load ``text`` as a configuration."""
    return load_config(write(directory, text))


def load_account(directory: Path, keys: str, *, around: str = INBOX) -> AccountConfig:
    """Load ``keys`` added to an account that is otherwise complete."""
    return load(directory, around + GMX + keys).accounts["gmx"]


def problems(directory: Path, text: str) -> list[str]:
    """Give the first line of each problem of ``text``, from the line number on."""
    path = write(directory, text)
    return problems_of(path)


def problems_of(path: Path) -> list[str]:
    """Give the first line of each problem, without the directory."""
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return [
        problem.splitlines()[0].removeprefix(f"{path.parent}/").removeprefix("popsync.toml:")
        for problem in caught.value.problems
    ]
