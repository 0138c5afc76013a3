"""``popsync status`` beside a running daemon."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.commands import (
    MAILDIR,
    TIMEOUT_S,
    account,
    popsync,
    serving,
    start_popsync,
    write_config,
)
from tests.system.daemon import rewrite, running


def _empty(config: Path) -> None:
    config.write_text("")


def _make_directory(config: Path) -> None:
    config.unlink()
    config.mkdir()


def _make_pipe(config: Path) -> None:
    config.unlink()
    os.mkfifo(config)


SELDOM = 'poll_every = "1d"'
STATE = 'state_dir = "state"\n'


def test_status_of_a_running_daemon(tmp_path: Path) -> None:
    """Since when it runs, next polls, and a pause; the health check is silent."""
    with serving(tmp_path, "jane", "bob") as served:
        tables = [account(name, served.pop3_port, SELDOM) for name in ("jane", "bob")]
        config = write_config(tmp_path / "popsync.toml", STATE + MAILDIR + "".join(tables))
        with running(config):
            popsync("-c", config, "poll")
            popsync("-c", config, "pause", "bob")
            text = popsync("-c", config, "status").stdout.splitlines()
            document = json.loads(popsync("-c", config, "status", "--json").stdout)
            healthy = popsync("-c", config, "status", "--quiet")
        dead = popsync("-c", config, "status", "--quiet")

    assert " runs since " in text[0]
    jane, bob = (line.split() for line in text[3:])
    assert (jane[0], jane[-1]) == ("jane", "ok")
    assert bob[-2:] == ["paused;", "ok"]
    assert document["daemon"]["running"]
    assert document["daemon"]["moving"]
    assert [a["state"] for a in document["accounts"]] == ["waiting", "paused"]
    assert document["accounts"][0]["next_poll_at"] is not None
    assert (healthy.returncode, healthy.stdout, healthy.stderr) == (0, "", "")
    assert (dead.returncode, dead.stdout, dead.stderr) == (69, "", "")


def test_failing_accounts_are_no_reason_to_restart_the_daemon(tmp_path: Path) -> None:
    """The health check looks at the daemon; what its accounts meet is for status to say."""
    text = STATE + MAILDIR + account("jane", 1, SELDOM)
    config = write_config(tmp_path / "popsync.toml", text)
    with running(config):
        popsync("-c", config, "poll")
        healthy = popsync("-c", config, "status", "--quiet")
        shown = popsync("-c", config, "status")

    assert healthy.returncode == 0
    assert "failing for" in shown.stdout


def test_a_broken_edit_is_shown_and_harms_nothing(tmp_path: Path) -> None:
    """The daemon goes on under the configuration before, and status finds it all the same."""
    text = STATE + MAILDIR + account("jane", 1, SELDOM)
    config = write_config(tmp_path / "popsync.toml", text)
    with running(config) as daemon:
        write_config(config, text + "[account.bob")
        daemon.wait_for("the configuration is refused")
        shown = popsync("-c", config, "status")
        healthy = popsync("-c", config, "status", "--quiet")

    assert shown.returncode == 0
    assert f"the one before is in effect: {config}:" in shown.stdout
    assert any(line.startswith("jane ") for line in shown.stdout.splitlines())
    assert healthy.returncode == 0


def test_watch_shows_it_again_until_control_c(tmp_path: Path) -> None:
    """Into a pipe one table after the other, and a quiet end."""
    config = write_config(tmp_path / "popsync.toml", STATE + MAILDIR + account("jane", 1))
    process = start_popsync("-c", config, "status", "--watch")
    assert process.stdout is not None
    shown = 0
    while shown < 2:
        line = process.stdout.readline()
        assert line
        shown += line.startswith("jane ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, errors) == (0, "")


def test_watch_prints_a_document_a_line_for_scripts(tmp_path: Path) -> None:
    """So that whoever reads them needs to know no more than where a line ends."""
    config = write_config(tmp_path / "popsync.toml", STATE + MAILDIR + account("jane", 1))
    process = start_popsync("-c", config, "status", "--watch", "--json")
    assert process.stdout is not None
    documents = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_S)

    assert [d["accounts"][0]["account"] for d in documents] == ["jane", "jane"]
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("spoil", [Path.unlink, _empty, _make_directory, _make_pipe])
def test_a_daemon_is_found_without_its_configuration(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """Gone, emptied or something else, though only the file named the state directory."""
    with serving(tmp_path, "jane") as served:
        text = 'state_dir = "state"\n' + MAILDIR + account("jane", served.pop3_port)
        config = write_config(tmp_path / "popsync.toml", text)
        with running(config) as daemon:
            spoil(config)
            daemon.wait_for("stays in effect")
            commands = [("--quiet", "status"), ("status",), ("poll",), ("pause",), ("resume",)]
            commands += [("log",), ("held", "list")]
            done = [popsync("-c", config, *command) for command in commands]
            reload = popsync("-c", config, "reload")

    assert [one.returncode for one in done] == [0] * 7, done
    assert "jane" in done[1].stdout
    assert "The configuration is refused" in done[1].stdout
    assert reload.returncode == 78


def test_a_daemon_is_found_where_it_was_started(tmp_path: Path) -> None:
    """An edited state_dir counts after a restart; until then it is where it was."""
    config = write_config(tmp_path / "popsync.toml", 'state_dir = "old"\n' + MAILDIR)
    with running(config):
        rewrite(config, 'state_dir = "new"\n' + MAILDIR)
        done = popsync("-c", config, "--quiet", "status")

    assert done.returncode == 0
