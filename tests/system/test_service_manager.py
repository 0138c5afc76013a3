"""``popsync run`` as a service manager starts it."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.commands import MAILDIR, TIMEOUT_S, account, delivered, serving, write_config
from tests.system.daemon import running


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager, in ``tmp_path``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(TIMEOUT_S)
        listener.bind(str(tmp_path / "notify"))
        yield listener


def hear(manager: socket.socket, words: str) -> None:
    """Wait until the manager is told these words."""
    while words not in manager.recv(10_000).decode().splitlines():
        pass


def test_service_manager_hears_how_it_goes(tmp_path: Path, manager: socket.socket) -> None:
    """Directory of state, credential and socket are where the environment says."""
    with serving(tmp_path, "jane") as served:
        jane = account("jane", served.pop3_port, 'poll_every = "1d"')
        secret = jane.replace('password = "jane"', 'password = { credential = "jane" }')
        config = write_config(tmp_path / "popsync.toml", MAILDIR + secret)
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "jane").write_text("jane\n")
        served.send("jane", b"Subject: 1\r\n\r\nbody\r\n")
        env = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "200000",
            "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
            "STATE_DIRECTORY": str(tmp_path / "state"),
        }
        with running(config, env=env) as daemon:
            hear(manager, "READY=1")
            daemon.wait_for(" polled ")
            hear(manager, "WATCHDOG=1")
            daemon.signal(signal.SIGHUP)
            hear(manager, "RELOADING=1")
            hear(manager, "READY=1")
            code_at_end = daemon.stop()
            hear(manager, "STOPPING=1")

    assert code_at_end == 0
    assert len(delivered(tmp_path)) == 1
    assert (tmp_path / "state").is_dir()
