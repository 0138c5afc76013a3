"""``popsync demo`` as a process."""

import signal
from pathlib import Path

import pytest

from tests.system.commands import popsync, start_popsync


def test_it_proves_itself_and_leaves_nothing(tmp_path: Path) -> None:
    """No configuration, an end by itself, every claim kept, nothing left behind."""
    done = popsync("demo", "--messages", "20", env={"TMPDIR": str(tmp_path)})

    assert (done.returncode, done.stderr) == (0, "")
    claims = done.stdout.partition("\n\n")[2].splitlines()
    assert [line.split()[0] for line in claims] == ["ok"] * 6
    assert "60 messages in, 60 out: each exactly once" in claims[0]
    assert list(tmp_path.iterdir()) == []


def test_kept_on_request(tmp_path: Path) -> None:
    """With --keep everything stays, and it says where; the configuration there works."""
    done = popsync("demo", "--messages", "3", "--keep", env={"TMPDIR": str(tmp_path)})

    (kept,) = tmp_path.iterdir()
    assert f"Everything is in {kept}" in done.stdout
    assert popsync("-c", kept / "popsync.toml", "check").returncode == 0


@pytest.mark.parametrize(("quiet", "lines"), [("-q", 6), ("-qq", 0)])
def test_quietly_it_shows_the_proof_or_nothing(tmp_path: Path, quiet: str, lines: int) -> None:
    """One -q leaves the claims, two leave the exit code."""
    done = popsync("demo", quiet, "--messages", "2", env={"TMPDIR": str(tmp_path)})

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * lines


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_senseless_number_is_refused(number: str) -> None:
    """A usage error, before anything starts."""
    assert popsync("demo", "--messages", number).returncode == 64


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_one_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    """Stopped in the middle it leaves nothing, and shows no traceback."""
    process = start_popsync("demo", "--messages", "500", env={"TMPDIR": str(tmp_path)})
    assert process.stdout is not None
    process.stdout.readline()  # it has begun
    process.send_signal(number)
    _, said = process.communicate(timeout=40)

    assert process.returncode == 130
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
