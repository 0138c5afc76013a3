"""``popsync run`` while its configuration is edited in every way, and broken in every way."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.system.commands import MAILDIR, account, write_config
from tests.system.daemon import Daemon, rewrite, running

QUICK_S = 4.0
"""Less than the daemon takes to look without any event; usually it is a tenth of that."""

# Root reads what nobody may read, unless it gives up that right.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def config_with(name: str) -> str:
    """Give a configuration whose only account, which is never polled, has this name."""
    return MAILDIR + account(name, 9, "enabled = false")


def reloads(daemon: Daemon) -> int:
    """Count them."""
    return sum("configuration reloaded" in line for line in daemon.said)


def refusals(daemon: Daemon) -> int:
    """Count what was said of them."""
    return sum("stays in effect" in line for line in daemon.said)


# -- ways to edit ----------------------------------------------------------------------------


def write_in_place(config: Path, text: str) -> None:
    """As ``>`` in a shell."""
    config.write_text(text)


def sed_in_place(config: Path, text: str) -> None:
    """Sed writes a new file and renames it."""
    old, new = (
        next(line for line in lines.splitlines() if line.startswith("[account."))
        for lines in (config.read_text(), text)
    )
    escaped = (name.replace("[", r"\[").replace("]", r"\]") for name in (old, new))
    subprocess.run(["sed", "-i", "s/{}/{}/".format(*escaped), config], check=True)


def vim_copying(config: Path, text: str) -> None:
    """Vim with backupcopy=yes keeps the file and copies the old content."""
    backup = config.with_name(config.name + "~")
    shutil.copy2(config, backup)
    config.write_text(text)
    backup.unlink()


def vim_renaming(config: Path, text: str) -> None:
    """Vim with backupcopy=no renames the old file and writes a new one."""
    backup = config.with_name(config.name + "~")
    config.rename(backup)
    write_config(config, text)
    backup.unlink()


def delete_and_create(config: Path, text: str) -> None:
    """As some synchronisers do."""
    config.unlink()
    write_config(config, text)


def replace_directory(config: Path, text: str) -> None:
    """As a deployment does."""
    fresh = config.parent.with_name("fresh")
    fresh.mkdir()
    write_config(fresh / config.name, text)
    config.parent.rename(config.parent.with_name("stale"))
    fresh.rename(config.parent)


WAYS = [
    *(write_in_place, sed_in_place, rewrite, vim_copying, vim_renaming),
    *(delete_and_create, replace_directory, write_in_place),
]


def reload_in_time(daemon: Daemon, name: str, edit: Callable[[], object]) -> None:
    """Edit, and see the account of this name come in due time."""
    began = time.monotonic()
    edit()
    daemon.wait_for(f"accounts_added={name} ")

    assert time.monotonic() - began < QUICK_S


def test_every_way_to_edit_reloads_exactly_once(tmp_path: Path) -> None:
    """One after the other, with one daemon; the last one comes after the directory was swapped."""
    directory = tmp_path / "etc"
    directory.mkdir()
    config = write_config(directory / "popsync.toml", config_with("first"))
    with running(config, env={"STATE_DIRECTORY": str(tmp_path / "state")}) as daemon:
        for number, way in enumerate(WAYS):
            name = f"a{number}"
            reload_in_time(daemon, name, partial(way, config, config_with(name)))
        code = daemon.stop()

    assert (code, reloads(daemon), refusals(daemon)) == (0, len(WAYS), 0)


def test_swap_of_a_config_map_reloads_exactly_once(tmp_path: Path) -> None:
    """Kubernetes writes a new directory and swaps the link to it; the file has no event."""
    mount = tmp_path / "mount"
    for name in ("first", "second", "third"):
        (mount / f"..{name}").mkdir(parents=True)
        write_config(mount / f"..{name}" / "popsync.toml", config_with(name))
    (mount / "..data").symlink_to("..first")
    (mount / "popsync.toml").symlink_to("..data/popsync.toml")

    def swap(name: str) -> None:
        (mount / "..data_tmp").symlink_to(f"..{name}")
        (mount / "..data_tmp").replace(mount / "..data")

    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    with running(mount / "popsync.toml", env=env) as daemon:
        reload_in_time(daemon, "second", lambda: swap("second"))
        reload_in_time(daemon, "third", lambda: swap("third"))
        code = daemon.stop()

    assert (code, reloads(daemon), refusals(daemon)) == (0, 2, 0)


def test_link_to_a_file_elsewhere_is_followed(tmp_path: Path) -> None:
    """As people keep their dotfiles; both the file behind it and the link itself may change."""
    home, files = tmp_path / "home", tmp_path / "dotfiles"
    for directory in (home, files):
        directory.mkdir()
    behind = write_config(files / "popsync.toml", config_with("first"))
    other = write_config(files / "other.toml", config_with("third"))
    link = home / "popsync.toml"
    link.symlink_to(behind)

    def relink() -> None:
        (home / "fresh").symlink_to(other)
        (home / "fresh").replace(link)

    with running(link, env={"STATE_DIRECTORY": str(tmp_path / "state")}) as daemon:
        reload_in_time(daemon, "second", lambda: rewrite(behind, config_with("second")))
        reload_in_time(daemon, "third", relink)
        code = daemon.stop()

    assert (code, reloads(daemon), refusals(daemon)) == (0, 2, 0)


# -- ways to break ---------------------------------------------------------------------------

GOOD = config_with("jane")


def _put(config: Path, make: Callable[[Path], object]) -> None:
    config.unlink()
    make(config)


def _mend(config: Path) -> None:
    if config.is_dir():
        config.rmdir()
    rewrite(config, GOOD)


BREAKS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "nobody may read it": (lambda c: c.chmod(0), lambda c: c.chmod(0o600)),
    "others may read the password": (lambda c: c.chmod(0o644), lambda c: c.chmod(0o600)),
    "include of nothing": (lambda c: rewrite(c, 'include = ["no.toml"]\n' + GOOD), _mend),
    "half written": (lambda c: c.write_text(GOOD[: len(GOOD) // 2]), _mend),
    "empty": (lambda c: c.write_text(""), _mend),
    "nothing but a comment": (lambda c: rewrite(c, "# nothing\n"), _mend),
    "a directory": (lambda c: _put(c, Path.mkdir), _mend),
    "missing": (lambda c: c.unlink(), _mend),
    "a pipe": (lambda c: _put(c, os.mkfifo), _mend),
    "zeros, as after a power cut": (lambda c: c.write_bytes(bytes(100)), _mend),
}


@contextmanager
def running_in_order(tmp_path: Path) -> Iterator[tuple[Path, Daemon]]:
    """Run the daemon as somebody whom permissions bind."""
    under = AS_ANYBODY if os.geteuid() == 0 else []
    config = write_config(tmp_path / "popsync.toml", GOOD)
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    with running(config, under=under, env=env) as daemon:
        yield config, daemon


@pytest.mark.parametrize("way", BREAKS)
def test_broken_file_is_told_once_and_mended_without_asking(tmp_path: Path, way: str) -> None:
    """Whatever happens to the file, the daemon stays up and comes back by itself (P5)."""
    spoil, mend = BREAKS[way]
    with running_in_order(tmp_path) as (config, daemon):
        spoil(config)
        daemon.wait_for("stays in effect")
        mend(config)
        daemon.wait_for("configuration reloaded, nothing changed")
        code = daemon.stop()

    assert (code, refusals(daemon)) == (0, 1)
    assert not any("Traceback" in line for line in daemon.said)


def test_broken_include_is_told_once_and_mended_without_asking(tmp_path: Path) -> None:
    """Also a file that no configuration in effect has ever named."""
    with running_in_order(tmp_path) as (config, daemon):
        more = tmp_path / "more" / "bob.toml"
        more.parent.mkdir()
        write_config(more, "[account.bob]\nhots = 1\n")
        rewrite(config, 'include = ["more/*.toml"]\n' + GOOD)
        daemon.wait_for("stays in effect")
        write_config(more, account("bob", 9, "enabled = false"))
        daemon.wait_for("accounts_added=bob")
        code = daemon.stop()

    assert (code, refusals(daemon)) == (0, 1)


def test_thirty_broken_edits_change_nothing(tmp_path: Path) -> None:
    """Each is refused, and the account that was there is there in the end (P5)."""
    with running_in_order(tmp_path) as (config, daemon):
        for number in range(30):
            rewrite(config, GOOD + f"[account.x{number}]\nhots = {number}\n")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for(f"account.x{number}.hots")
        _mend(config)
        daemon.wait_for("configuration reloaded, nothing changed")
        code = daemon.stop()

    assert code == 0
    assert not any("accounts_" in line for line in daemon.said)
