"""Where the configuration and the state are kept when nobody says so."""

from collections.abc import Mapping
from pathlib import Path

from popsync.errors import ConfigError

SYSTEM_CONFIG = Path("/etc/popsync/popsync.toml")


def config_places(explicit: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """Give the one file that somebody named, else all that would be taken, the first one first."""
    named = explicit or environ.get("POPSYNC_CONFIG")
    if named:
        return [Path(named)]
    places = (_home(environ, "XDG_CONFIG_HOME", "user_config_dir"), SYSTEM_CONFIG.parent)
    return [place / SYSTEM_CONFIG.name for place in places]


def find_config(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """Give the file to read: ``explicit``, ``$POPSYNC_CONFIG``, the user's, the system's.

    The first two are taken at their word, whether they exist or not. Raises ConfigError when
    there is none.
    """
    files = config_places(explicit, environ)
    if len(files) == 1:
        return files[0]
    for file in files:
        if file.exists():
            return file
    listed = " nor ".join(map(str, files))
    raise ConfigError(
        f"no configuration: neither {listed} exists; run popsync init to write one, "
        "or name one with -c FILE or $POPSYNC_CONFIG"
    )


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Give ``$STATE_DIRECTORY`` (systemd's, the first of several), else the user's."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given).absolute()
    return _home(environ, "XDG_STATE_HOME", "user_state_dir")


def _home(environ: Mapping[str, str], variable: str, otherwise: str) -> Path:
    """Give popsync's directory; a relative path in the variable is to be ignored (XDG).

    otherwise: what platformdirs calls the place of such directories.
    """
    home = Path(environ.get(variable, ""))
    if home.is_absolute():
        return home / "popsync"
    from platformdirs.unix import Unix  # noqa: PLC0415 - not where everything is stated

    return Path(getattr(Unix(), otherwise), "popsync")
