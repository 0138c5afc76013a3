from pathlib import Path

from popsync.config.diff import ConfigChanges, compare_configs
from tests.unit.config.files import GMX, INBOX, load

WORK = GMX.replace("gmx", "work")


def changes(directory: Path, old: str, new: str) -> ConfigChanges:
    """Compare two texts."""
    before = load(directory, old)
    return compare_configs(before, load(directory, new))


def test_same_text_changes_nothing(tmp_path: Path) -> None:
    """A touched file is no change."""
    assert not changes(tmp_path, INBOX + GMX, "# touched\n" + INBOX + GMX)


def test_accounts_are_told_by_name(tmp_path: Path) -> None:
    """Each account is added, removed, changed or none of them (P5)."""
    other = GMX.replace("gmx", "other")
    found = changes(
        tmp_path, INBOX + GMX + WORK, INBOX + other + WORK.replace("s3cret", "n3w")
    ).accounts

    assert found.added == {"other"}
    assert found.removed == {"gmx"}
    assert found.changed == {"work"}


def test_changed_destination_touches_the_accounts_that_deliver_there(tmp_path: Path) -> None:
    """An account with another destination is left alone (P5)."""
    old = INBOX + INBOX.replace("inbox", "box") + GMX + 'deliver_to = ["inbox"]\n' + WORK
    old += 'deliver_to = ["box"]\n'

    found = changes(tmp_path, old, old.replace('"Mail"', '"Post"', 1))

    assert found.destinations.changed == {"inbox"}
    assert found.accounts.changed == {"gmx"}


def test_other_settings_are_told_by_key(tmp_path: Path) -> None:
    """A reload can say what needs a restart."""
    found = changes(tmp_path, INBOX, 'state_dir = "x"\n' + INBOX + '[log]\nlevel = "debug"\n')

    assert found.settings == {"state_dir", "server", "log"}  # the mailstore is in state_dir
    assert found
    assert not found.accounts
