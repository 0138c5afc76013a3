"""``popsync status`` and ``popsync held`` as processes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.commands import (
    MAILDIR,
    Served,
    account,
    delivered,
    popsync,
    serving,
    write_config,
)

LARGE = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 1000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Run a server with a small and a large message for jane."""
    with serving(tmp_path, "jane") as running:
        running.send("jane", b"Subject: small\r\n\r\n")
        running.send("jane", LARGE)
        yield running


@pytest.fixture
def config(tmp_path: Path, served: Served) -> Path:
    """Write a configuration to which the large message is too large."""
    table = account("jane", served.pop3_port, 'max_size = "1KB"')
    return write_config(tmp_path / "popsync.toml", MAILDIR + table)


def test_status_before_the_first_poll(config: Path, tmp_path: Path) -> None:
    """Without a ledger nothing is wrong, and none is made by looking."""
    done = popsync("-c", config, "status", env={"XDG_STATE_HOME": str(tmp_path / "s")})

    assert done.returncode == 0
    assert done.stdout.startswith("No popsync runs; ")
    assert done.stdout.splitlines()[3].split()[:2] == ["jane", "never"]
    assert not (tmp_path / "s").exists()


def test_status_after_polls(config: Path, served: Served, tmp_path: Path) -> None:
    """Counts and health for people and for scripts; a failing account says why."""
    env = {"XDG_STATE_HOME": str(tmp_path / "s")}
    popsync("-c", config, "once", env=env)
    good = json.loads(popsync("-c", config, "status", "--json", env=env).stdout)
    served.process.terminate()
    served.process.wait(20)
    popsync("-c", config, "once", env=env)
    bad = popsync("-c", config, "status", env=env)

    (jane,) = good["accounts"]
    assert (jane["new"], jane["total"], jane["held"], jane["error"]) == (1, 1, 1, None)
    assert bad.returncode == 0
    assert "failing for" in bad.stdout


def test_a_held_message_is_shown_and_retried(config: Path, tmp_path: Path) -> None:
    """After retry the next round delivers it, whatever its size."""
    env = {"XDG_STATE_HOME": str(tmp_path / "s")}
    popsync("-c", config, "once", env=env)

    listed = json.loads(popsync("-c", config, "held", "list", "--json", env=env).stdout)
    number = listed["messages"][0]["id"]
    shown = popsync("-c", config, "held", "show", str(number), env=env)
    retried = popsync("-c", config, "held", "retry", "--all", env=env)
    popsync("-c", config, "once", env=env)

    assert listed["messages"][0]["account"] == "jane"
    assert listed["messages"][0]["account_id"] == "jane@127.0.0.1"
    assert "larger than max_size" in shown.stdout
    assert "account:     jane (jane@127.0.0.1)" in shown.stdout
    assert retried.stdout == "1 message will be tried again at the next poll\n"
    assert len(delivered(tmp_path)) == 2
    assert popsync("-c", config, "held", "list", env=env).stdout == "Nothing is held.\n"


def test_a_held_message_is_dropped_only_after_a_yes(config: Path, tmp_path: Path) -> None:
    """A no is no failure, no answer is one; --yes asks nothing; an unknown ID is an error."""
    env = {"XDG_STATE_HOME": str(tmp_path / "s")}
    popsync("-c", config, "once", env=env)
    listed = json.loads(popsync("-c", config, "held", "list", "--json", env=env).stdout)
    number = str(listed["messages"][0]["id"])

    unanswered = popsync("-c", config, "held", "drop", number, env=env)
    refused = popsync("-c", config, "held", "drop", number, answers="n\n", env=env)
    dropped = popsync("-c", config, "held", "drop", "--yes", number, "999", env=env)

    assert (unanswered.returncode, refused.returncode) == (64, 0)
    assert unanswered.stderr.endswith(
        "[y/N]: \npopsync: a question was not answered, the input has ended\n"
    )
    assert refused.stdout == "Nothing was given up\n"
    assert dropped.returncode == 64
    assert dropped.stdout.startswith("1 message given up")
    assert "999 is not held" in dropped.stderr
    assert popsync("-c", config, "held", "list", env=env).stdout == "Nothing is held.\n"


def test_retry_wants_to_know_what(config: Path) -> None:
    """Neither an ID nor --all is a usage error; so is showing what is not held."""
    assert popsync("-c", config, "held", "retry").returncode == 64
    assert popsync("-c", config, "held", "show", "1").returncode == 64
