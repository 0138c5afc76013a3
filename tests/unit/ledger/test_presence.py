"""A ledger that is taken away while it is in use is not written to any more."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from popsync.errors import LedgerCorrupt
from popsync.ledger import open_ledger
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen

SEEN = [make_seen(make_key(b"u1"))]
NAMES = ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm", "lock")


def remove(path: Path) -> None:
    """As ``rm`` does."""
    path.unlink()


def replace(path: Path) -> None:
    """As a backup that is put back does: the same content, another file."""
    copy = path.with_suffix(".copy")
    shutil.copy2(path, copy)
    copy.replace(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("take", "words"), [(remove, "was removed"), (replace, "was replaced")])
async def test_what_is_no_longer_there_is_not_written(
    tmp_path: Path, name: str, take: Callable[[Path], None], words: str
) -> None:
    """No intent, receipt or DELE is recorded that the next start would not find (P1, P2)."""
    ledger = await open_ledger(tmp_path)
    await ledger.record(SEEN, [])
    await ledger.check()
    take(tmp_path / name)

    said = rf"{name} {words} while popsync was running\. .*start popsync again"
    with pytest.raises(LedgerCorrupt, match=said):
        await ledger.check()
    with pytest.raises(LedgerCorrupt, match=said):
        await ledger.note_deletions(ACCOUNT, [])
    await ledger.close()


@pytest.mark.parametrize("name", NAMES[1:])
async def test_what_stands_beside_the_ledger_can_be_lost(tmp_path: Path, name: str) -> None:
    """All that was recorded is in the ledger by the end, and the next start goes on."""
    ledger = await open_ledger(tmp_path)
    await ledger.record(SEEN, [])
    (tmp_path / name).unlink()
    with pytest.raises(LedgerCorrupt):
        await ledger.check()
    await ledger.close()
    ledger = await open_ledger(tmp_path)

    assert len((await ledger.memory(ACCOUNT)).messages) == 1
    await ledger.close()


@pytest.mark.parametrize("put_back", [False, True])
async def test_a_directory_that_was_removed_is_no_fresh_start(
    tmp_path: Path, *, put_back: bool
) -> None:
    """A service manager starts popsync again, and that must not deliver everything anew (P4)."""
    state_dir = tmp_path / "state"
    ledger = await open_ledger(state_dir)
    shutil.rmtree(state_dir)
    if put_back:
        state_dir.mkdir()
    with pytest.raises(LedgerCorrupt, match=r"was removed .* put it back, from a backup"):
        await ledger.check()
    await ledger.close()

    with pytest.raises(LedgerCorrupt, match=r"ledger\.sqlite3 is gone, and .*ledger\.token"):
        await open_ledger(state_dir)


async def test_another_ledger_in_its_place_is_refused_by_the_next_start(tmp_path: Path) -> None:
    """Even when the whole directory was exchanged for one that has no marker yet."""
    here, there = tmp_path / "here", tmp_path / "there"
    await (await open_ledger(there)).close()
    (there / "ledger.token").unlink()
    ledger = await open_ledger(here)
    here.rename(tmp_path / "elsewhere")
    there.rename(here)
    with pytest.raises(LedgerCorrupt, match="was replaced"):
        await ledger.check()
    await ledger.close()

    with pytest.raises(LedgerCorrupt, match="is not the one that"):
        await open_ledger(here)
