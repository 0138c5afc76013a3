"""The note by which commands find a daemon that its configuration does not lead to."""

import os
from pathlib import Path

import pytest

from popsync.cli.whereabouts import find_whereabouts, noting_whereabouts

STATE = Path("/var/lib/popsync/ä\udcff")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Give an environment with a runtime directory, as a login has."""
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_STATE_HOME": str(tmp_path / "state")}


def test_a_note_lasts_as_long_as_its_daemon(tmp_path: Path, environ: dict[str, str]) -> None:
    """The file it is about need not be there."""
    config = tmp_path / "gone" / "popsync.toml"
    with noting_whereabouts(config, STATE, environ):
        found = find_whereabouts(config, environ)
        other = find_whereabouts(tmp_path / "popsync.toml", environ)

    assert (found, other) == (STATE, None)
    assert find_whereabouts(config, environ) is None
    assert list((tmp_path / "run" / "popsync").iterdir()) == []


def test_a_note_that_a_kill_left_is_not_believed(tmp_path: Path, environ: dict[str, str]) -> None:
    """Nobody holds its lock; the next daemon takes it over."""
    config = tmp_path / "popsync.toml"
    with noting_whereabouts(config, STATE, environ):
        (note,) = (tmp_path / "run" / "popsync").iterdir()
        kept = note.read_bytes()
    note.write_bytes(kept * 2)
    left = find_whereabouts(config, environ)
    with noting_whereabouts(config, STATE, environ):
        taken = find_whereabouts(config, environ)

    assert (left, taken) == (None, STATE)


def test_each_way_to_the_same_directory_leads_to_the_note(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative, or through a link."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "link").symlink_to("etc")
    monkeypatch.chdir(tmp_path)
    with noting_whereabouts(tmp_path / "etc" / "popsync.toml", STATE, environ):
        ways = ("etc/popsync.toml", "link/popsync.toml", "etc/../link/popsync.toml")
        found = {find_whereabouts(Path(way), environ) for way in ways}

    assert found == {STATE}


def test_what_a_service_manager_gives_comes_first_and_what_cannot_be_made_is_skipped(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """Without any place there is no note, and nothing is wrong."""
    config = tmp_path / "popsync.toml"
    given = tmp_path / "given"
    nowhere = {"XDG_STATE_HOME": "/proc/nowhere", "RUNTIME_DIRECTORY": "/proc/nowhere"}
    with noting_whereabouts(config, STATE, {"RUNTIME_DIRECTORY": f"{given}:/b", **environ}):
        assert len(list(given.iterdir())) == 1
    with noting_whereabouts(config, STATE, {**nowhere, "XDG_RUNTIME_DIR": str(given)}):
        assert find_whereabouts(config, {"XDG_RUNTIME_DIR": str(given)}) == STATE
    with noting_whereabouts(config, STATE, nowhere):
        assert find_whereabouts(config, nowhere) is None


def test_a_note_is_its_owners_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    """And a link or a pipe in its place is not followed, nor waited for."""
    config = tmp_path / "popsync.toml"
    with noting_whereabouts(config, STATE, environ):
        (note,) = (tmp_path / "run" / "popsync").iterdir()
        modes = (note.stat().st_mode & 0o777, note.parent.stat().st_mode & 0o777)
    note.symlink_to(tmp_path / "elsewhere")
    with noting_whereabouts(config, STATE, environ):
        through = find_whereabouts(config, {"XDG_RUNTIME_DIR": environ["XDG_RUNTIME_DIR"]})
    note.unlink()
    os.mkfifo(note)

    assert modes == (0o600, 0o700)
    assert through is None
    assert not (tmp_path / "elsewhere").exists()
    assert find_whereabouts(config, environ) is None
