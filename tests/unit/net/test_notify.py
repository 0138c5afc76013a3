"""What is sent to the service manager, and where."""

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from popsync.net.notify import ServiceManager, find_service_manager


@pytest.fixture(params=["path", "abstract"])
def listener(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket and its name in the environment."""
    name = str(tmp_path / "notify")
    address = "@" + secrets.token_hex(16) if request.param == "abstract" else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind(address.replace("@", "\0", 1))
        yield manager, address


def test_assignments_arrive_together(listener: tuple[socket.socket, str]) -> None:
    """A line each, in one datagram, at a path or in the abstract namespace."""
    manager, address = listener
    found = find_service_manager({"NOTIFY_SOCKET": address})
    assert found is not None
    found.tell("READY=1", "STATUS=2 accounts ok")

    assert manager.recv(1000) == b"READY=1\nSTATUS=2 accounts ok"


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    """Mail is polled all the same."""
    ServiceManager(str(tmp_path / "gone")).tell("READY=1")


def test_manager_that_reads_nothing_blocks_nobody(listener: tuple[socket.socket, str]) -> None:
    """What it has no room for is given up."""
    _, address = listener
    manager = ServiceManager(address)
    for _ in range(2000):
        manager.tell("WATCHDOG=1")


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1"])
def test_without_a_usable_address_there_is_none(address: str | None) -> None:
    """As on a terminal."""
    environ = {} if address is None else {"NOTIFY_SOCKET": address}

    assert find_service_manager(environ) is None


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
    ],
)
def test_watchdog_is_that_of_this_process(
    environ: dict[str, str], watchdog_s: float | None
) -> None:
    """Another process's is none of ours."""
    found = find_service_manager({"NOTIFY_SOCKET": "/run/notify", **environ})

    assert found is not None
    assert found.watchdog_s == watchdog_s
