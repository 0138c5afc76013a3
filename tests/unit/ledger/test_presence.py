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


def names_in(directory: Path) -> list[str]:
    """Give what lies there."""
    return sorted(path.name for path in directory.iterdir())


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
    with pytest.raises(LedgerCorrupt, match=r"was removed .* rename that to"):
        await ledger.check()
    await ledger.close()

    with pytest.raises(LedgerCorrupt, match="was taken away while popsync was running"):
        await open_ledger(state_dir)
    (state_dir / "ledger.rescued.sqlite3").unlink()
    with pytest.raises(LedgerCorrupt, match=r"ledger\.sqlite3 is gone, and .*ledger\.token"):
        await open_ledger(state_dir)


async def test_what_was_known_is_kept_and_can_be_put_back(tmp_path: Path) -> None:
    """All of it, the log included; and the log never meets the ledger that replaced it (P4)."""
    older = tmp_path / "older"
    ledger = await open_ledger(tmp_path)
    await ledger.close()
    shutil.copy2(tmp_path / "ledger.sqlite3", older)
    ledger = await open_ledger(tmp_path)
    await ledger.record(SEEN, [])
    older.replace(tmp_path / "ledger.sqlite3")
    rescued = r"kept as ledger\.rescued\.sqlite3: rename that to ledger\.sqlite3, and start"
    with pytest.raises(LedgerCorrupt, match=rescued):
        await ledger.check()
    await ledger.close()
    left = names_in(tmp_path)
    with pytest.raises(LedgerCorrupt, match=r"Rename .*rescued\.sqlite3 to ledger\.sqlite3, it"):
        await open_ledger(tmp_path)
    kept = (tmp_path / "ledger.rescued.sqlite3").replace(tmp_path / "ledger.sqlite3")
    ledger = await open_ledger(tmp_path)

    assert left == ["ledger.rescued.sqlite3", "ledger.sqlite3", "ledger.token", "lock"]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len((await ledger.memory(ACCOUNT)).messages) == 1
    await ledger.close()


async def test_a_ledger_that_is_where_it_was_is_not_kept_twice(tmp_path: Path) -> None:
    """Whatever else has gone, and after every orderly end."""
    ledger = await open_ledger(tmp_path)
    (tmp_path / "lock").unlink()
    await ledger.close()

    assert not (tmp_path / "ledger.rescued.sqlite3").exists()


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

    with pytest.raises(LedgerCorrupt, match="was taken away while popsync was running"):
        await open_ledger(here)
    (here / "ledger.rescued.sqlite3").unlink()
    with pytest.raises(LedgerCorrupt, match="is not the one that"):
        await open_ledger(here)
