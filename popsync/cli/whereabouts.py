"""Where a running daemon keeps its state, for commands that its configuration does not tell.

The file may be gone, empty or edited by then, and a service manager may have given the daemon a
directory that nobody else is told of. So the daemon leaves a note, under the name of its file, in
a directory for such things; it is believed as long as its writer holds a lock on it.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from popsync.config.find import default_state_dir

_OPEN = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAX_OCTETS = 8192  # twice the longest path on Linux
_SYSTEM = Path("/run/popsync")
"""What systemd makes for the unit of the whole machine."""


@contextmanager
def noting_whereabouts(
    config: Path, state_dir: Path, environ: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """Leave a note as long as the block lasts; without a place for it, there is none."""
    with ExitStack() as stack:
        for directory in _places_to_write(environ):
            with suppress(OSError):
                stack.enter_context(_note(directory / _name_for(config), state_dir))
                break
        yield


def find_whereabouts(config: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the state directory of the daemon that runs with ``config``; None without a note."""
    for directory in (*_places_to_write(environ), _user_runtime(), _SYSTEM):
        with suppress(OSError):
            if found := _read(directory / _name_for(config)):
                return found
    return None


def _places_to_write(environ: Mapping[str, str]) -> Iterator[Path]:
    given = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        yield Path(given)
    home = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if home.is_absolute():
        yield home / "popsync"
    yield default_state_dir(environ)


def _user_runtime() -> Path:
    return Path(f"/run/user/{os.getuid()}/popsync")


def _name_for(config: Path) -> str:
    """Give the note's name: the same for each way to the directory that the file is in."""
    path = config.absolute()
    place = os.path.realpath(path.parent) + "/" + path.name
    return f"{sha256(os.fsencode(place)).hexdigest()[:32]}.daemon"


@contextmanager
def _note(path: Path, state_dir: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, _OPEN, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, os.fsencode(state_dir.absolute()), 0)
        yield
        with suppress(OSError):
            path.unlink()
    finally:
        os.close(descriptor)


def _read(path: Path) -> Path | None:
    descriptor = os.open(path, _LOOK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # its writer lives
        return Path(os.fsdecode(os.pread(descriptor, _MAX_OCTETS, 0)))
    finally:
        os.close(descriptor)
    return None
