import os
from collections.abc import Callable
from pathlib import Path

import pytest

from popsync.agent.watched_files import WatchedFiles


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, in a directory whose name must be escaped in a glob."""
    path = tmp_path.resolve() / "etc[1]" / "popsync.toml"
    path.parent.mkdir()
    path.write_text("old")
    return path


def _paths(watched: WatchedFiles) -> set[Path]:
    return {directory.path for directory in watched.directories()}


def _to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _to_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _to_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    "change",
    [Path.unlink, _to_directory, _to_pipe, _to_dead_link, _to_link_to_itself],
    ids=lambda change: change.__name__.strip("_"),
)
def test_file_that_cannot_be_read_is_a_state_of_its_own(
    config: Path, change: Callable[[Path], object]
) -> None:
    """Nothing blocks or raises; the fingerprint differs, stays, and comes back with the file."""
    watched = WatchedFiles((config,))
    whole = watched.fingerprint()

    change(config)
    broken = watched.fingerprint()

    assert broken != whole
    assert watched.fingerprint() == broken
    assert _paths(watched) == {config.parent}
    if os.path.lexists(config):
        config.rename(config.with_name("broken"))
    config.write_text("old")
    assert watched.fingerprint() == whole


def test_file_that_is_named_and_missing_counts_as_one_that_is_not_named(config: Path) -> None:
    """So a reload that drops a deleted file from the list is no change."""
    missing = config.with_name("missing.toml")

    assert WatchedFiles((config, missing)).fingerprint() == WatchedFiles((config,)).fingerprint()


def test_file_that_is_named_and_included_counts_once(config: Path) -> None:
    """The list of files and the globs overlap."""
    pattern = f"{config.parent.parent}/etc*/*.toml"
    named = WatchedFiles((config,))

    assert WatchedFiles((config,), (pattern,)).fingerprint() == named.fingerprint()


def test_file_that_gets_another_name_is_a_change(config: Path) -> None:
    """Names count, not only contents: errors name the file."""
    watched = WatchedFiles((), (f"{config.parent.parent}/etc*/*.toml",))
    before = watched.fingerprint()

    config.rename(config.with_name("renamed.toml"))

    assert watched.fingerprint() != before


def test_what_others_may_do_with_a_file_counts(config: Path) -> None:
    """A password may stand in it; what its owner may do changes nothing."""
    watched = WatchedFiles((config,))
    fingerprints = []
    for mode in (0o600, 0o700, 0o604, 0o600):
        config.chmod(mode)
        fingerprints.append(watched.fingerprint())

    assert fingerprints[0] == fingerprints[1] == fingerprints[3] != fingerprints[2]


def test_every_directory_that_holds_a_link_is_watched(config: Path) -> None:
    """Links in the middle, relative, upwards and absolute; directories come without links."""
    top = config.parent.parent
    (top / "a").mkdir()
    (top / "a" / "etc").symlink_to(f"../{config.parent.name}")
    (top / "b").mkdir()
    (top / "b" / "absolute.toml").symlink_to(top / "a" / "etc" / "popsync.toml")

    watched = WatchedFiles((top / "b" / "absolute.toml",))

    assert _paths(watched) == {top / "b", top / "a", config.parent}


def test_directory_under_two_names_is_watched_once(config: Path) -> None:
    """A path with dots in it leads to the same place."""
    roundabout = config.parent / ".." / config.parent.name / "popsync.toml"

    assert _paths(WatchedFiles((config, roundabout))) == {config.parent}


def test_nearest_directory_is_watched_for_what_is_missing(config: Path) -> None:
    """Also where a file stands in the way of a directory."""
    top = config.parent.parent
    missing = (top / "no" / "such" / "file.toml", config / "below" / "file.toml")

    assert _paths(WatchedFiles(missing)) == {top, config.parent}


def test_every_directory_where_a_glob_may_find_more_is_watched(config: Path) -> None:
    """Those that match the middle of it, and the one where more of those may appear."""
    top = config.parent.parent
    for name in ("site-1/accounts.d", "site-2", "elsewhere"):
        (top / name).mkdir(parents=True)

    watched = WatchedFiles((), (f"{top}/site-*/accounts.d/*.toml",))

    assert _paths(watched) == {top, top / "site-1" / "accounts.d", top / "site-2"}


def test_each_link_is_followed_also_beside_other_files(config: Path) -> None:
    """An included file may live elsewhere, as the main one may."""
    accounts = config.parent.parent / "accounts.d"
    accounts.mkdir()
    link, plain = accounts / "link.toml", accounts / "plain.toml"
    link.symlink_to(config)
    plain.write_text("plain")

    assert _paths(WatchedFiles((link, plain))) == {accounts, config.parent}
    assert _paths(WatchedFiles((), (f"{accounts}/*.toml",))) == {accounts, config.parent}


def test_name_that_no_file_can_have_is_watched_without_harm(config: Path) -> None:
    """TOML can write a NUL; nothing will ever match it."""
    watched = WatchedFiles((config,), (f"{config.parent.parent}/\0*.toml",))

    assert watched.fingerprint() == WatchedFiles((config,)).fingerprint()
    assert config.parent in _paths(watched)


def test_directory_put_in_the_place_of_another_is_not_equal(config: Path) -> None:
    """A watch stays with the old one, so the path alone does not tell."""
    watched = WatchedFiles((config,))
    before = watched.directories()

    config.parent.rename(config.parent.with_name("away"))
    config.parent.mkdir()

    assert _paths(watched) == {directory.path for directory in before}
    assert watched.directories() != before
