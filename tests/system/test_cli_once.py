"""``popsync once`` as a process, against the bundled server."""

import json
import signal
import socket
from pathlib import Path

from tests.system.commands import (
    MAILDIR,
    account,
    delivered,
    popsync,
    serving,
    start_popsync,
    write_config,
)

MESSAGE = b"Subject: %d\r\n\r\nbody\r\n"


def test_a_round_brings_what_is_new_and_only_that(tmp_path: Path) -> None:
    """First the mail, with a summary and a log line each; then silence."""
    with serving(tmp_path, "jane", "bob") as served:
        text = MAILDIR + account("jane", served.pop3_port)
        text += account("bob", served.pop3_port, mode="delete")
        config = write_config(tmp_path / "popsync.toml", text)
        served.send("jane", MESSAGE % 1)
        served.send("bob", MESSAGE % 2)

        first = popsync("-c", config, "once")
        second = popsync("-c", config, "once")

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.splitlines()[0].startswith("jane: 1 message delivered (")
    assert first.stdout.splitlines()[1].endswith("1 deleted from the server")
    assert sum(" delivered " in line for line in first.stderr.splitlines()) == 2
    assert (second.stdout, second.stderr) == ("", "")
    assert len(delivered(tmp_path)) == 2


def test_the_json_document_stands_alone_on_stdout(tmp_path: Path) -> None:
    """What a script reads is one document; only named accounts are polled."""
    with serving(tmp_path, "jane", "bob") as served:
        tables = [account(name, served.pop3_port) for name in ("jane", "bob")]
        config = write_config(tmp_path / "popsync.toml", MAILDIR + "".join(tables))
        served.send("jane", MESSAGE % 1)

        done = popsync("-c", config, "once", "--json", "-q", "ja*")

    document = json.loads(done.stdout)
    assert [(a["account"], a["delivered"]) for a in document["accounts"]] == [("jane", 1)]
    assert (document["exit_code"], done.returncode, done.stderr) == (0, 0, "")


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says what would be done; a later round still does it."""
    with serving(tmp_path, "jane") as served:
        config = write_config(
            tmp_path / "popsync.toml", MAILDIR + account("jane", served.pop3_port, mode="delete")
        )
        served.send("jane", MESSAGE % 1)

        planned = popsync("-c", config, "once", "--dry-run")
        document = json.loads(popsync("-c", config, "once", "--dry-run", "--json").stdout)
        nothing = delivered(tmp_path)
        done = popsync("-c", config, "once")

    assert planned.stdout.splitlines()[1].split()[:3] == ["jane", "1", "1"]
    assert [m["action"] for m in document["accounts"][0]["messages"]] == ["retrieve"]
    assert nothing == []
    assert (done.returncode, len(delivered(tmp_path))) == (0, 1)


def test_a_refused_login_costs_one_account(tmp_path: Path) -> None:
    """The others are polled, and the exit code says that a login was refused (P5)."""
    with serving(tmp_path, "jane", "bob") as served:
        wrong = account("bob", served.pop3_port).replace('password = "bob"', 'password = "no"')
        config = write_config(
            tmp_path / "popsync.toml", MAILDIR + wrong + account("jane", served.pop3_port)
        )
        served.send("jane", MESSAGE % 1)

        done = popsync("-c", config, "once")

    assert done.returncode == 77
    assert "bob: failed: " in done.stdout
    assert "jane: 1 message delivered" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """Nobody listens: 69, in words."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", port))

        done = popsync("-c", config, "once")

    assert done.returncode == 69
    assert "jane: failed: " in done.stdout


def test_an_account_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    """With the nearest name as a suggestion; nothing is polled."""
    config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", 9))

    done = popsync("-c", config, "once", "jnae")

    assert done.returncode == 64
    assert "did you mean 'jane'?" in done.stderr


def test_a_broken_configuration_is_78(tmp_path: Path) -> None:
    """Every problem, each with its line; nothing is polled."""
    config = write_config(tmp_path / "popsync.toml", MAILDIR + "[account.x]\nhots = 1\n")

    done = popsync("-c", config, "once")

    assert done.returncode == 78
    assert "popsync.toml:5:1: account.x.hots" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_enabled_account_is_said(tmp_path: Path) -> None:
    """A round over nothing is a success, but hardly what was meant."""
    config = write_config(
        tmp_path / "popsync.toml", MAILDIR + account("jane", 9, "enabled = false")
    )

    done = popsync("-c", config, "once")

    assert done.returncode == 0
    assert done.stderr == f"popsync: {config}: nothing to poll, no account of it is enabled\n"


def test_a_configuration_of_a_server_alone_polls_nothing(tmp_path: Path) -> None:
    """There is no account, and no door to try; both are said."""
    mailbox = '[server.mailbox.jane]\npassword = "x"\naddresses = ["jane@example.org"]\n'
    config = write_config(tmp_path / "popsync.toml", mailbox)

    once = popsync("-c", config, "once")
    checked = popsync("-c", config, "check", "--login")

    assert (once.returncode, checked.returncode) == (0, 0)
    assert once.stderr == f"popsync: {config}: nothing to poll, it has no account\n"
    assert checked.stdout == f"OK: 0 accounts, 0 destinations in {config}\n"


def test_the_first_signal_ends_a_round_properly(tmp_path: Path) -> None:
    """What is in hand is finished; the next round brings the rest, and nothing twice (P4)."""
    with serving(tmp_path, "jane") as served:
        config = write_config(
            tmp_path / "popsync.toml",
            MAILDIR + account("jane", served.pop3_port, 'pipelining = "off"', mode="delete"),
        )
        for number in range(60):
            served.send("jane", MESSAGE % number + b"x" * 200_000 + b"\r\n")
        first = start_popsync("-c", config, "once")
        assert first.stderr is not None
        first.stderr.readline()  # the first delivery
        first.send_signal(signal.SIGTERM)
        _, said = first.communicate(timeout=40)
        second = popsync("-c", config, "once")

    assert (first.returncode, second.returncode) == (0, 0)
    assert "popsync: stopped early; what is left is fetched next time\n" in said
    assert "stopped early" not in second.stderr
    subjects = {message.partition(b"Subject: ")[2].split()[0] for message in delivered(tmp_path)}
    assert len(delivered(tmp_path)) == len(subjects) == 60


def test_a_second_signal_ends_a_round_at_once(tmp_path: Path) -> None:
    """Even one that waits for a silent server; meanwhile no other round can begin."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", port))
        first = start_popsync("-c", config, "once")
        connection, _ = silent.accept()
        with connection:
            second = popsync("-c", config, "once")
            first.send_signal(signal.SIGTERM)
            first.send_signal(signal.SIGINT)
            _, said = first.communicate(timeout=20)

    assert second.returncode == 75
    # Which of two signals at once is seen second is open.
    assert first.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert "nothing is lost" in said
    assert "Traceback" not in said
