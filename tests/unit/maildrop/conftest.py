from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from popsync.maildrop.settings import Deadlines, Pop3Settings
from popsync.net.tls import TlsOptions
from popsync.storage.content import Scratch

PASSWORD = "hunter2 secret"

MakeSettings = Callable[..., Pop3Settings]


async def give_password() -> str:
    """Give the password of every test."""
    return PASSWORD


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Give a maker of settings for a plain server on this machine; keywords override."""

    def make(port: int = 110, **overrides: Any) -> Pop3Settings:
        values: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "tls": TlsOptions(mode="none"),
            "user": "jane",
            "password": give_password,
            "scratch": Scratch(tmp_path),
            "deadlines": Deadlines(),
        }
        return Pop3Settings(**(values | overrides))

    return make
