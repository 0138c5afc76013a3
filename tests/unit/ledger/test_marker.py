"""A ledger that was there once is never made anew in silence."""

from pathlib import Path

import pytest

from popsync.errors import LedgerCorrupt, LedgerUnavailable
from popsync.ledger import look_at_ledger, open_ledger, read_ledger
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen
from tests.doubles.steps import Death, Died, ScriptedSteps

REMEDY = "would be delivered again. Put the ledger back from a backup; or, .* remove "


async def make_ledger(state_dir: Path) -> str:
    """Make a ledger that knows one message, cleanly closed; give its token."""
    ledger = await open_ledger(state_dir)
    await ledger.record([make_seen(make_key(b"u1"))], [])
    await ledger.close()
    return ledger.token


async def test_a_lost_ledger_stops_everything(tmp_path: Path) -> None:
    """To begin afresh would deliver everything on the servers again; the error says so."""
    await make_ledger(tmp_path)
    (tmp_path / "ledger.sqlite3").unlink()

    for _ in range(2):
        with pytest.raises(LedgerCorrupt, match=rf"is gone, and .*{REMEDY}.*ledger\.token"):
            await open_ledger(tmp_path)
    with pytest.raises(LedgerCorrupt, match="is gone"):
        await open_ledger(tmp_path, beside_daemon=True)
    assert not (tmp_path / "ledger.sqlite3").exists()


async def test_those_who_only_look_hear_of_the_loss_too(tmp_path: Path) -> None:
    """``status`` and a dry run do not pass it off as an empty ledger."""
    await make_ledger(tmp_path)
    (tmp_path / "ledger.sqlite3").unlink()

    with pytest.raises(LedgerCorrupt, match=r"is gone, and .*ledger\.token shows that"):
        read_ledger(tmp_path)
    (tmp_path / "ledger.sqlite3-wal").write_bytes(b"x")
    with pytest.raises(LedgerCorrupt, match=r"ledger\.token and .*-wal show that there was one"):
        read_ledger(tmp_path)
    with pytest.raises(LedgerCorrupt, match="is gone"):
        await look_at_ledger(tmp_path)


async def test_removing_the_marker_begins_afresh(tmp_path: Path) -> None:
    """That is the operator's to decide, and the new ledger is as safe as the first."""
    before = await make_ledger(tmp_path)
    (tmp_path / "ledger.sqlite3").unlink()
    (tmp_path / "ledger.token").unlink()
    ledger = await open_ledger(tmp_path)
    messages = (await ledger.memory(ACCOUNT)).messages
    await ledger.close()

    assert (messages, ledger.token != before) == ({}, True)
    assert (tmp_path / "ledger.token").read_text() == f"{ledger.token}\n"


async def test_a_backup_is_welcome_back(tmp_path: Path) -> None:
    """It has the token that the marker remembers."""
    await make_ledger(tmp_path)
    backup = (tmp_path / "ledger.sqlite3").rename(tmp_path / "backup")
    with pytest.raises(LedgerCorrupt):
        await open_ledger(tmp_path)
    backup.rename(tmp_path / "ledger.sqlite3")
    ledger = await open_ledger(tmp_path)

    assert len((await ledger.memory(ACCOUNT)).messages) == 1
    await ledger.close()


async def test_a_ledger_from_elsewhere_is_refused(tmp_path: Path) -> None:
    """It knows nothing of what was delivered from here, so it is no better than an empty one."""
    await make_ledger(tmp_path / "here")
    await make_ledger(tmp_path / "there")
    (tmp_path / "there" / "ledger.sqlite3").rename(tmp_path / "here" / "ledger.sqlite3")

    with pytest.raises(LedgerCorrupt, match=rf"not the one that .*{REMEDY}"):
        await open_ledger(tmp_path / "here")


async def test_a_write_ahead_log_alone_is_a_loss_too(tmp_path: Path) -> None:
    """SQLite would read the old log into a new ledger."""
    (tmp_path / "ledger.sqlite3-wal").write_bytes(b"frames")

    with pytest.raises(LedgerCorrupt, match=rf"{REMEDY}.*ledger\.sqlite3-wal"):
        await open_ledger(tmp_path)


async def test_a_ledger_without_marker_gets_one(tmp_path: Path) -> None:
    """It may be older than the marker, or a crash came between the two."""
    token = await make_ledger(tmp_path)
    (tmp_path / "ledger.token").unlink()
    await (await open_ledger(tmp_path)).close()

    assert (tmp_path / "ledger.token").read_text() == f"{token}\n"


@pytest.mark.parametrize("death", list(Death), ids=lambda death: death.name)
async def test_dying_at_any_step_of_the_making_is_no_loss(tmp_path: Path, death: Death) -> None:
    """The marker never outlives a ledger that was not durable (P4)."""
    steps = ScriptedSteps()
    await (await open_ledger(tmp_path / "whole", steps=steps)).close()

    for at in range(1, len(steps.log) + 1):
        state_dir = tmp_path / str(at)
        with pytest.raises(Died):
            await open_ledger(state_dir, steps=ScriptedSteps(at, death=death))
        ledger = await open_ledger(state_dir)
        await ledger.close()
        assert (state_dir / "ledger.token").read_text() == f"{ledger.token}\n", steps.log[at - 1]


async def test_a_refusal_at_any_step_of_the_making_is_mended_by_the_next_start(
    tmp_path: Path,
) -> None:
    """A full disk leaves nothing that would look like a loss."""
    steps = ScriptedSteps()
    await (await open_ledger(tmp_path / "whole", steps=steps)).close()

    for at in range(1, len(steps.log) + 1):
        state_dir = tmp_path / str(at)
        with pytest.raises(LedgerUnavailable, match="No space"):
            await open_ledger(state_dir, steps=ScriptedSteps(at, error=OSError(28, "No space")))
        await make_ledger(state_dir)
