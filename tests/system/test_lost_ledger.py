"""``popsync run`` while somebody takes its ledger away."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.commands import MAILDIR, account, delivered, popsync, serving, write_config
from tests.system.daemon import running


def _remove_file(state: Path) -> None:
    (state / "ledger.sqlite3").unlink()


def _replace_file(state: Path) -> None:
    copy = state / "copy"
    shutil.copy2(state / "ledger.sqlite3", copy)
    copy.replace(state / "ledger.sqlite3")


def _remove_log(state: Path) -> None:
    (state / "ledger.sqlite3-wal").unlink()


WAYS: list[Callable[[Path], object]] = [_remove_file, _replace_file, _remove_log, shutil.rmtree]


@pytest.mark.parametrize("take", WAYS, ids=lambda way: way.__name__.strip("_"))
@pytest.mark.parametrize("every", ["1s", "1d"])
def test_what_was_delivered_is_not_delivered_again(
    tmp_path: Path, take: Callable[[Path], object], every: str
) -> None:
    """It ends with one line and 74, and so does the next start, until what it knew is back."""
    state = tmp_path / "state"
    with serving(tmp_path, "jane") as served:
        text = f'state_dir = "state"\n{MAILDIR}' + account(
            "jane", served.pop3_port, f'poll_every = "{every}"', mode="keep"
        )
        config = write_config(tmp_path / "popsync.toml", text)
        served.send("jane", b"Subject: 1\r\n\r\nbody\r\n")
        with running(config) as daemon:
            daemon.wait_for(" polled ")
            take(state)
            daemon.wait_for("while popsync was running")
            code = daemon.end()
        again = popsync("-c", config, "once")
        with suppress(FileNotFoundError):
            (state / "ledger.rescued.sqlite3").replace(state / "ledger.sqlite3")
        restored = popsync("-c", config, "once")

    told = [line for line in daemon.said if " info " not in line]
    assert code == 74
    assert len(told) == 1, told
    assert "start popsync again" in told[0]
    assert again.returncode == (0 if take is _remove_log else 74)
    assert restored.returncode == 0
    assert len(delivered(tmp_path)) == 1
