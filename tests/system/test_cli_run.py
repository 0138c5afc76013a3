"""``popsync run`` as a process, against the bundled server; polls are asked for by signal."""

import signal
import socket
from io import RawIOBase
from pathlib import Path

from tests.system.commands import (
    MAILDIR,
    Served,
    account,
    delivered,
    popsync,
    serving,
    write_config,
)
from tests.system.daemon import Daemon, rewrite, running

MESSAGE = b"Subject: %d\r\n\r\nbody\r\n"
SELDOM = 'poll_every = "1d"'
"""After the first poll at once, only a signal brings another."""


def subjects(root: Path) -> list[bytes]:
    """Give the subjects that were delivered, sorted."""
    return sorted(m.partition(b"Subject: ")[2].split()[0] for m in delivered(root))


def test_mail_that_arrives_is_delivered_when_a_signal_asks(tmp_path: Path) -> None:
    """The first poll is at once, the next at SIGUSR1; SIGTERM ends it with 0."""
    with serving(tmp_path, "jane") as served:
        text = MAILDIR + account("jane", served.pop3_port, SELDOM, mode="delete")
        config = write_config(tmp_path / "popsync.toml", text)
        served.send("jane", MESSAGE % 1)
        with running(config) as daemon:
            daemon.wait_for(" polled ")
            served.send("jane", MESSAGE % 2)
            daemon.signal(signal.SIGUSR1)
            daemon.wait_for(" polled ")
            code = daemon.stop()

    assert code == 0
    assert subjects(tmp_path) == [b"1", b"2"]
    assert [line for line in daemon.said if "Traceback" in line or " error " in line] == []


def test_the_interval_alone_brings_polls(tmp_path: Path) -> None:
    """Nobody asks, and mail comes."""
    with serving(tmp_path, "jane") as served:
        text = MAILDIR + account("jane", served.pop3_port, 'poll_every = "1s"')
        config = write_config(tmp_path / "popsync.toml", text)
        with running(config) as daemon:
            for number in range(3):
                served.send("jane", MESSAGE % number)
                daemon.wait_for(" polled ")
            code = daemon.stop()

    assert code == 0
    assert subjects(tmp_path) == [b"0", b"1", b"2"]


def test_a_reload_adds_an_account(tmp_path: Path) -> None:
    """After SIGHUP the new account is polled at once, and the one that was there is left alone."""
    with serving(tmp_path, "jane", "bob") as served:
        jane = MAILDIR + account("jane", served.pop3_port, SELDOM)
        config = write_config(tmp_path / "popsync.toml", jane)
        served.send("jane", MESSAGE % 1)
        served.send("bob", MESSAGE % 2)
        with running(config) as daemon:
            daemon.wait_for(" polled ")
            rewrite(config, jane + account("bob", served.pop3_port, SELDOM))
            daemon.signal(signal.SIGHUP)
            reloaded = daemon.wait_for("configuration reloaded")
            polled = daemon.wait_for(" polled ")
            code = daemon.stop()

    assert code == 0
    assert "accounts_added=bob" in reloaded
    assert "account=bob" in polled
    assert subjects(tmp_path) == [b"1", b"2"]


def test_an_edit_needs_no_signal(tmp_path: Path) -> None:
    """A mistake is told, and once it is mended the account that it was about is polled (P5)."""
    with serving(tmp_path, "jane") as served:
        config = write_config(tmp_path / "popsync.toml", MAILDIR)
        served.send("jane", MESSAGE % 1)
        with running(config) as daemon:
            rewrite(config, MAILDIR + "[account.jane]\nhots = 1\n")
            daemon.wait_for("stays in effect")
            rewrite(config, MAILDIR + account("jane", served.pop3_port, SELDOM))
            daemon.wait_for("accounts_added=jane")
            daemon.wait_for("polled account=jane")
            code = daemon.stop()

    assert code == 0
    assert subjects(tmp_path) == [b"1"]


def test_a_broken_edit_changes_nothing(tmp_path: Path) -> None:
    """It is logged with its line, and polls go on as before (P5)."""
    with serving(tmp_path, "jane") as served:
        text = MAILDIR + account("jane", served.pop3_port, SELDOM)
        config = write_config(tmp_path / "popsync.toml", text)
        with running(config, "-v") as daemon:
            daemon.wait_for("polled, nothing new")
            rewrite(config, text + "[account.x]\nhots = 1\n")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for(": account.x.hots: ")
            daemon.wait_for("stays in effect")
            served.send("jane", MESSAGE % 1)
            daemon.signal(signal.SIGUSR1)
            daemon.wait_for(" polled ")
            code = daemon.stop()

    assert code == 0
    assert len(delivered(tmp_path)) == 1


def test_an_account_that_is_taken_out_is_polled_no_more(tmp_path: Path) -> None:
    """Its mail stays where it is, the other account's is fetched."""
    with serving(tmp_path, "jane", "bob") as served:
        jane = MAILDIR + account("jane", served.pop3_port, SELDOM)
        both = jane + account("bob", served.pop3_port, SELDOM)
        config = write_config(tmp_path / "popsync.toml", both)
        with running(config, "-v") as daemon:
            daemon.wait_for("polled, nothing new")
            daemon.wait_for("polled, nothing new")
            rewrite(config, jane)
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("accounts_removed=bob")
            served.send("bob", MESSAGE % 1)
            served.send("jane", MESSAGE % 2)
            daemon.signal(signal.SIGUSR1)
            daemon.wait_for(" polled ")
            code = daemon.stop()

    assert code == 0
    assert subjects(tmp_path) == [b"2"]


def test_a_poll_under_way_outlives_its_account(tmp_path: Path) -> None:
    """The account is gone, and its last poll goes on to its end, whatever that is."""
    with socket.create_server(("127.0.0.1", 0)) as slow:
        port = slow.getsockname()[1]
        text = MAILDIR + account("jane", port, SELDOM)
        config = write_config(tmp_path / "popsync.toml", text)
        with running(config) as daemon:
            connection, _ = slow.accept()
            with connection:
                rewrite(config, MAILDIR)
                daemon.wait_for("accounts_removed=jane")
                connection.sendall(b"-ERR [SYS/TEMP] come back later\r\n")
                ended = daemon.wait_for("poll ended early")
            code = daemon.stop()

    assert code == 0
    assert "account=jane" in ended


def test_trouble_is_said_once_and_its_end_too(tmp_path: Path) -> None:
    """A wrong password suspends at the third refusal; the corrected one is tried at once."""
    with serving(tmp_path, "jane", "bob") as served:
        good = MAILDIR + account("bob", served.pop3_port, SELDOM)
        jane = account("jane", served.pop3_port, SELDOM)
        config = write_config(
            tmp_path / "popsync.toml", good + jane.replace('password = "jane"', 'password = "no"')
        )
        served.send("bob", MESSAGE % 1)
        with running(config, "-v") as daemon:
            refuse_three_logins(daemon)
            rewrite(config, good + jane)
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("accounts_changed=jane")
            served.send("jane", MESSAGE % 2)
            daemon.signal(signal.SIGUSR1)
            daemon.wait_for("polled account=jane")
            code = daemon.stop()

    assert code == 0
    assert sum(" error " in line and "account=jane" in line for line in daemon.said) == 1
    assert subjects(tmp_path) == [b"1", b"2"]


def refuse_three_logins(daemon: Daemon) -> None:
    """Have jane's login refused until she is suspended; the second refusal is not news."""
    daemon.wait_for("backs off")
    daemon.signal(signal.SIGUSR1)
    daemon.wait_for("failed again")
    daemon.signal(signal.SIGUSR1)
    daemon.wait_for("suspended until its configuration or password changes")


def test_a_stop_in_the_middle_leaves_nothing_half_done(tmp_path: Path) -> None:
    """What is in hand is finished; the next start brings the rest, and nothing twice (P4)."""
    with serving(tmp_path, "jane") as served:
        lines = (SELDOM, 'pipelining = "off"')
        text = MAILDIR + account("jane", served.pop3_port, *lines, mode="delete")
        config = write_config(tmp_path / "popsync.toml", text)
        send_many(served, 60)
        with running(config) as first:
            first.wait_for(" delivered ")
            first_code = first.stop()
        between = subjects(tmp_path)
        partial = list((tmp_path / "Mail" / "tmp").iterdir())
        with running(config) as second:
            second.wait_for(" polled ")
            second_code = second.stop()

    assert (first_code, second_code, partial) == (0, 0, [])
    assert 0 < len(between) < 60
    assert subjects(tmp_path) == sorted(b"%d" % number for number in range(60))


def send_many(served: Served, messages: int) -> None:
    """Fill jane's mailbox with messages that take a while."""
    for number in range(messages):
        served.send("jane", MESSAGE % number + b"x" * 300_000 + b"\r\n")


def test_one_signal_ends_it_while_a_server_keeps_silent(tmp_path: Path) -> None:
    """Nothing is in hand before a session has begun, so there is nothing to be patient for."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", port, SELDOM))
        with running(config) as daemon:
            connection, _ = silent.accept()
            with connection:
                daemon.signal(signal.SIGTERM)
                code = daemon.end()

    assert code == 0
    assert not any("stopped in the middle" in line for line in daemon.said)


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Even while a server keeps silent in a session; nothing is lost by it (P4)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config = write_config(tmp_path / "popsync.toml", MAILDIR + account("jane", port, SELDOM))
        with running(config) as daemon:
            connection, _ = server.accept()
            with connection, connection.makefile("rwb", buffering=0) as lines:
                let_in(lines)
                daemon.signal(signal.SIGTERM)
                daemon.signal(signal.SIGINT)
                code = daemon.end()

    assert code in {128 + signal.SIGINT, 128 + signal.SIGTERM}  # which came second is open
    assert "nothing is lost" in daemon.said[-1]


def let_in(lines: RawIOBase) -> None:
    """Greet and log in whoever comes; return when the first command of the session is there."""
    lines.write(b"+OK\r\n")
    for command in iter(lines.readline, b""):
        verb = command.split()[0].upper()
        if verb == b"STAT":
            return
        lines.write(b"-ERR\r\n" if verb == b"CAPA" else b"+OK\r\n")


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    """One ledger, one popsync: 75, because the other one may be gone later."""
    config = write_config(
        tmp_path / "popsync.toml", MAILDIR + account("jane", 9, "enabled = false")
    )
    with running(config) as first:
        second = popsync("-c", config, "run")
        code = first.stop()

    assert (second.returncode, code) == (75, 0)
    assert len(second.stderr.splitlines()) == 1
