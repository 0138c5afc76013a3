"""The real durable steps."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from popsync.storage import DurableSteps

STEPS = DurableSteps()


def test_a_new_file_is_its_owners_only(tmp_path: Path) -> None:
    """Mail is nobody else's business, whatever the umask."""
    path = tmp_path / "mail"
    STEPS.sync_file(STEPS.write_file(path, [b"one ", b"two"]))

    assert path.read_bytes() == b"one two"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_name_that_is_taken_is_never_written_to(tmp_path: Path) -> None:
    """Neither a file nor a symbolic link is followed or overwritten."""
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "file").write_bytes(b"old")

    for name in ("link", "file"):
        with pytest.raises(FileExistsError):
            STEPS.write_file(tmp_path / name, [b"new"])
    assert not target.exists()
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_kernel_that_takes_little_at_a_time_gets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write is continued where it ended."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, octets: real(fd, bytes(octets)[:7]))
    monkeypatch.setattr(os, "writev", lambda fd, pieces: real(fd, b"".join(pieces)[:7]))
    STEPS.sync_file(STEPS.write_file(tmp_path / "mail", [b"x" * 20, b"y"]))

    assert (tmp_path / "mail").read_bytes() == b"x" * 20 + b"y"


@pytest.mark.parametrize("piece", [1, 100, 300_000, 2_000_000])
def test_pieces_of_any_size_are_written_in_their_order(tmp_path: Path, piece: int) -> None:
    """More pieces than one call takes, more octets, and one piece that is more than that."""
    pieces = [bytes([n % 251]) * piece for n in range(200 if piece < 1000 else 5)]
    STEPS.sync_file(STEPS.write_file(tmp_path / "mail", iter(pieces)))

    assert (tmp_path / "mail").read_bytes() == b"".join(pieces)


def descriptors() -> int:
    """Count this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("call", ["writev", "fsync"])
def test_a_failed_step_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """After a failed fsync the descriptor is useless, so it is closed and not asked again."""

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    before = descriptors()
    monkeypatch.setattr(os, call, fail)

    with pytest.raises(OSError, match="Input/output"):
        STEPS.sync_file(STEPS.write_file(tmp_path / "mail", [b"x"]))
    assert descriptors() == before


def test_names_change_as_told(tmp_path: Path) -> None:
    """Directories are made, files renamed, names and contents synced, names taken away."""
    box = tmp_path / "box"
    STEPS.make_directory(box)
    (box / "a").write_bytes(b"x")
    STEPS.sync_path(box / "a")
    STEPS.rename(box / "a", box / "b")
    STEPS.sync_directory(box)

    assert [path.name for path in box.iterdir()] == ["b"]
    assert box.stat().st_mode & 0o777 == 0o700
    STEPS.unlink(box / "b")
    assert list(box.iterdir()) == []


def test_commit_ends_the_transaction() -> None:
    """What was inserted stays."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("CREATE TABLE t (x); BEGIN; INSERT INTO t VALUES (1)")
    STEPS.commit(connection)

    assert not connection.in_transaction
    connection.close()
