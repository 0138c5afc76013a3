from pathlib import Path

import pytest

from popsync.config import find
from popsync.config.find import default_state_dir, find_config
from popsync.errors import ConfigError


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a stand-in for the system's file, which is not there yet."""
    path = tmp_path / "etc" / "popsync.toml"
    path.parent.mkdir()
    monkeypatch.setattr(find, "SYSTEM_CONFIG", path)
    return path


def test_explicit_file_wins(system: Path) -> None:
    """What is on the command line is taken at its word."""
    assert find_config(Path("/x"), {"POPSYNC_CONFIG": "/y"}) == Path("/x")


def test_variable_comes_second(system: Path) -> None:
    """Even when the file is missing: another one would be a surprise."""
    assert find_config(None, {"POPSYNC_CONFIG": "/y"}) == Path("/y")


def test_users_file_comes_before_the_systems(system: Path, tmp_path: Path) -> None:
    """The user's own is nearer."""
    own = tmp_path / "popsync" / "popsync.toml"
    own.parent.mkdir()
    system.touch()
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}

    assert find_config(None, environ) == system
    own.touch()
    assert find_config(None, environ) == own


def test_without_any_file_both_places_and_init_are_named(system: Path) -> None:
    """The user learns where to put one."""
    with pytest.raises(ConfigError, match="popsync init") as caught:
        find_config(None, {"XDG_CONFIG_HOME": "/nowhere"})

    assert "/nowhere/popsync/popsync.toml" in str(caught.value)
    assert str(system) in str(caught.value)


def test_relative_xdg_home_is_ignored(tmp_path: Path) -> None:
    """The XDG specification says so."""
    state = default_state_dir({"XDG_STATE_HOME": "relative"})

    assert state.is_absolute()
    assert state.name == "popsync"


def test_state_is_where_the_service_manager_says() -> None:
    """Systemd may list several directories."""
    assert default_state_dir({"STATE_DIRECTORY": "/var/lib/a:/b"}) == Path("/var/lib/a")


def test_state_is_below_xdg_state_home() -> None:
    """Without a service manager it is the user's."""
    assert default_state_dir({"XDG_STATE_HOME": "/s"}) == Path("/s/popsync")
