"""``popsync check`` as a process."""

from pathlib import Path

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
