"""``popsync check`` as a process."""

from pathlib import Path

import pytest

from tests.system.commands import MAILDIR, account, popsync, serving, write_config


def test_a_good_configuration_is_summed_up(tmp_path: Path) -> None:
    """How many accounts and destinations, and in which file."""
    config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", 9))

    done = popsync("check", "-c", config)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"OK: 1 account, 1 destination in {config}\n"


def test_every_mistake_is_shown_at_once(tmp_path: Path) -> None:
    """Not only the first one; each with file, line and column."""
    text = MAILDIR + account("jane", 9, 'poll_evry = "5m"') + account("bob", 9, mode="keeep")
    config = write_config(tmp_path / "popsync.toml", text)

    done = popsync("check", "-c", config)

    assert (done.returncode, done.stdout) == (78, "")
    assert "did you mean" in done.stderr
    assert "account.bob.mode" in done.stderr
    assert done.stderr.count("popsync.toml:") >= 2


def test_what_is_not_there_is_a_mistake_too(tmp_path: Path) -> None:
    """Nothing that a poll would fail for passes as sound."""
    text = MAILDIR + account("jane", 9, 'ca_file = "ca.pem"').replace('"none"', '"implicit"')
    config = write_config(tmp_path / "popsync.toml", text)

    done = popsync("check", "-c", config)

    assert (done.returncode, done.stdout) == (78, "")
    assert "popsync.toml:11:1: account.jane.ca_file: " in done.stderr


def test_a_configuration_without_accounts_is_sound_but_idle(tmp_path: Path) -> None:
    """A warning says so, unless there is a server to run."""
    config = write_config(tmp_path / "popsync.toml", MAILDIR)

    done = popsync("check", "-c", config)

    assert done.returncode == 0
    assert done.stderr == f"popsync: warning: {config} has no account, nothing is fetched\n"


@pytest.mark.parametrize("name", ["", "none.toml"])
def test_a_named_file_that_is_none_is_a_mistake_of_the_configuration(
    tmp_path: Path, name: str
) -> None:
    """A directory as well as a missing file."""
    done = popsync("check", "-c", tmp_path / name)

    assert done.returncode == 78
    assert done.stderr.startswith(f"{tmp_path / name}: ")


def test_no_configuration_at_all_says_where_it_looked() -> None:
    """And how to make one."""
    done = popsync("check")

    assert done.returncode == 78
    assert "popsync init" in done.stderr


def test_every_door_is_tried(tmp_path: Path) -> None:
    """A line for each account and destination; the refused one decides the exit code."""
    with serving(tmp_path, "jane", "bob") as served:
        served.send("jane", b"Subject: x\r\n\r\n")
        wrong = account("bob", served.pop3_port).replace('password = "bob"', 'password = "no"')
        config = write_config(
            tmp_path / "popsync.toml", MAILDIR + account("jane", served.pop3_port) + wrong
        )
        every = popsync("check", "-c", config, "--login")
        one = popsync("check", "-c", config, "--login", "jane")

    assert every.returncode == 77
    lines = every.stdout.splitlines()
    assert lines[0].startswith("ok     account jane: 1 message, ")
    assert lines[1].startswith("failed account bob: ")
    assert lines[2] == "ok     destination inbox: takes mail"
    assert (one.returncode, "bob" in one.stdout) == (0, False)


def test_a_destination_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """Accounts that let us in do not make up for it."""
    with serving(tmp_path, "jane") as served:
        smtp = '[destination.mta]\ntype = "lmtp"\nsocket = "nobody"\nrecipients = ["jane"]\n'
        config = write_config(tmp_path / "popsync.toml", smtp + account("jane", served.pop3_port))
        done = popsync("check", "-c", config, "--login")

    assert done.returncode == 69
    assert "failed destination mta: " in done.stdout
