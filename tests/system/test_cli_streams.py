"""``popsync`` as a process whose standard streams are closed, full or left."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.commands import (
    MAILDIR,
    TIMEOUT_S,
    account,
    delivered,
    serving,
    write_config,
)


def popsync_in_shell(
    *args: str | Path, redirect: str, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command with the redirections that a shell would make."""
    line = f"{shlex.join([sys.executable, '-m', 'popsync', *map(str, args)])} {redirect}"
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(cwd)},
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a configuration whose account nobody serves."""
    return write_config(
        tmp_path / "popsync.toml", 'state_dir = "state"\n' + MAILDIR + account("jane", 9)
    )


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("status",), 0),
        (("check",), 0),
        (("once",), 69),
        (("once", "--dry-run"), 69),
        (("schema",), 0),
        (("onec",), 64),
        (("--version",), 0),
        (("check", "-c", "nope.toml"), 78),
    ],
)
def test_a_stream_that_nobody_reads_changes_no_exit_code(
    tmp_path: Path, config: Path, redirect: str, args: tuple[str, ...], code: int
) -> None:
    """Cron jobs and services may be started without any of the three, or with a full log."""
    done = popsync_in_shell("-c", config, *args, redirect=redirect, cwd=tmp_path)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_a_demonstration_without_streams_still_proves_itself(tmp_path: Path) -> None:
    """Its exit code is the proof then."""
    done = popsync_in_shell("demo", "--messages", "1", redirect="<&- >&- 2>&-", cwd=tmp_path)

    assert done.returncode == 0


@pytest.mark.parametrize("redirect", ["<&- >&- 2>&-", "2>/dev/full", "-vv 2>/dev/full"])
def test_mail_is_fetched_whether_or_not_anybody_listens(tmp_path: Path, redirect: str) -> None:
    """No socket and no ledger becomes descriptor 1 or 2, and a full log disturbs no poll."""
    with serving(tmp_path, "jane") as served:
        served.send("jane", b"Subject: 1\r\n\r\nbody\r\n")
        text = 'state_dir = "state"\n' + MAILDIR + account("jane", served.pop3_port)
        config = write_config(tmp_path / "popsync.toml", text)

        first = popsync_in_shell("-c", config, "once", redirect=redirect, cwd=tmp_path)
        again = popsync_in_shell("-c", config, "once", redirect=redirect, cwd=tmp_path)

    assert (first.returncode, again.returncode) == (0, 0)
    assert len(delivered(tmp_path)) == 1


@pytest.mark.parametrize(
    "args", [("status", "--json"), ("once", "--dry-run"), ("schema",), ("--help",)]
)
def test_output_that_cannot_be_written_is_an_io_error(
    tmp_path: Path, config: Path, args: tuple[str, ...]
) -> None:
    """What was asked for was not given, and one line says so."""
    done = popsync_in_shell("-c", config, *args, redirect=">/dev/full", cwd=tmp_path)

    assert done.returncode == 74
    assert done.stderr == "popsync: the output cannot be written: No space left on device\n"
