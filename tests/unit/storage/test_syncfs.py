"""syncfs(2), and where it can be relied on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from popsync.storage.syncfs import keeps_promise, sync_file_system


@pytest.fixture
def here(tmp_path: Path) -> Iterator[int]:
    """Give an open directory."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def uname(release: str, system: str = "Linux") -> os.uname_result:
    """Give a kernel of that name and version."""
    return os.uname_result((system, "host", release, "", "x86_64"))


def test_a_file_system_can_be_synced(here: int) -> None:
    """Without an error, that is."""
    sync_file_system(here)


def test_an_error_is_raised() -> None:
    """The kernel's own."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_file_system(-1)


@pytest.mark.parametrize(
    ("release", "promise"),
    [
        ("5.16.20-generic", False),
        ("5.17.0", True),
        ("6.1.0-28-amd64", True),
        ("4.19.0", False),
        ("none", False),
    ],
)
def test_only_a_kernel_that_tells_of_every_failure_is_believed(
    monkeypatch: pytest.MonkeyPatch, release: str, *, promise: bool
) -> None:
    """Before 5.17 names and moves could be lost in silence (P2)."""
    monkeypatch.setattr(os, "uname", lambda: uname(release))
    memory = os.open("/dev/shm", os.O_RDONLY)  # noqa: S108 - tmpfs, which is on the list
    try:
        assert keeps_promise(memory) is promise
    finally:
        os.close(memory)


def test_another_system_is_not_believed(monkeypatch: pytest.MonkeyPatch, here: int) -> None:
    """Whatever number it gives."""
    monkeypatch.setattr(os, "uname", lambda: uname("24.1.0", "Darwin"))

    assert not keeps_promise(here)


def test_an_unknown_file_system_is_not_believed() -> None:
    """FUSE and NFS do not pass the call on; /proc stands for them here."""
    descriptor = os.open("/proc", os.O_RDONLY)
    try:
        assert not keeps_promise(descriptor)
    finally:
        os.close(descriptor)


def test_what_is_not_open_is_not_believed() -> None:
    """Its file system cannot be told."""
    assert not keeps_promise(-1)
