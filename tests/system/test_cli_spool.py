"""``popsync held`` for what waits in the spool, without a daemon and beside one."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

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
from tests.system.daemon import running

MAIL = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nSubject: folded\r\n  once\r\n\r\nbody\r\n"
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Run a server with a message for jane, and a mailbox that takes mail for desk."""
    with serving(tmp_path, "jane", "desk") as running_server:
        running_server.send("jane", MAIL)
        yield running_server


class Office:
    """An account that is delivered to a Maildir, and to somebody at the server."""

    def __init__(self, root: Path, served: Served) -> None:
        self._root, self._served = root, served
        self.config = root / "popsync.toml"
        self.write(recipient="nobody")

    def write(self, *, recipient: str, port: int = 0) -> None:
        """Write the configuration; port: another one than the server's."""
        relay = (
            '[destination.relay]\ntype = "smtp"\nhost = "127.0.0.1"\n'
            f"port = {port or self._served.smtp_port}\n"
            f'recipients = ["{recipient}@example.org"]\n'
        )
        table = account("jane", self._served.pop3_port, 'deliver_to = ["inbox", "relay"]')
        write_config(self.config, f'state_dir = "state"\n{MAILDIR}{relay}{table}')

    def held(self) -> list[dict[str, Any]]:
        """Give what ``held list`` tells scripts."""
        done = popsync("-c", self.config, "held", "list", "--json")
        messages = json.loads(done.stdout)["messages"]
        assert isinstance(messages, list)
        return messages

    @property
    def copies(self) -> list[Path]:
        """The files in the spool."""
        return list((self._root / "state" / "spool").iterdir())

    @property
    def at_desk(self) -> int:
        """How many messages have reached desk."""
        mailbox = self._root / "served" / "mailstore" / "desk"
        return sum(len(list((mailbox / name).glob("*"))) for name in ("new", "cur"))


@pytest.fixture
def office(tmp_path: Path, served: Served) -> Office:
    """Give the account, with a recipient whom the server refuses."""
    return Office(tmp_path, served)


def test_a_refused_message_is_shown_with_its_header(office: Office, tmp_path: Path) -> None:
    """Which message it is, why it is held, in whose words, how often, and where it is."""
    assert popsync("-c", office.config, "once").returncode == 75
    (held,) = office.held()
    number = str(held["id"])
    shown = popsync("-c", office.config, "held", "show", number)
    document = json.loads(popsync("-c", office.config, "held", "show", number, "--json").stdout)
    listed = popsync("-c", office.config, "held", "list")

    assert len(delivered(tmp_path)) == 1
    assert (held["spooled"], held["on_server"]) == (True, True)
    assert [d["state"] for d in held["deliveries"]] == ["held"]
    assert "From:        Jürgen <j@example.org>" in shown.stdout
    assert "Subject:     folded once" in shown.stdout
    assert "where:       here and on the server" in shown.stdout
    assert "550" in shown.stdout
    assert "tried:     1 time" in shown.stdout
    assert "its text" not in shown.stdout
    assert document["messages"][0]["header"]["Subject"] == "folded once"
    assert "relay nobody@example.org" in listed.stdout


def test_a_held_message_is_retried_from_the_spool(office: Office, tmp_path: Path) -> None:
    """Once somebody takes it, it is delivered from its copy, and nobody gets it twice."""
    popsync("-c", office.config, "once")
    (held,) = office.held()
    retried = popsync("-c", office.config, "held", "retry", str(held["id"]))
    office.write(recipient="desk")
    once = popsync("-c", office.config, "once", "--json")

    assert retried.stdout == "1 message will be tried again at the next poll\n"
    assert json.loads(once.stdout)["accounts"][0]["delivered"] == 1
    assert office.held() == []
    assert office.at_desk == 1
    assert len(delivered(tmp_path)) == 1
    assert office.copies == []


def test_a_message_in_the_spool_is_retried_beside_the_daemon(
    office: Office, tmp_path: Path
) -> None:
    """The daemon, asked to poll, offers it again: once more refused, in the server's words."""
    with running(office.config) as daemon:
        daemon.wait_for("550")
        popsync("-c", office.config, "held", "retry", "--all")
        (waiting,) = office.held()
        popsync("-c", office.config, "poll")
        daemon.wait_for("550")
        (held,) = office.held()

    assert [d["state"] for d in waiting["deliveries"]] == ["waiting"]
    assert [d["state"] for d in held["deliveries"]] == ["held"]
    assert len(delivered(tmp_path)) == 1


@pytest.mark.parametrize("beside_daemon", [False, True])
def test_a_message_in_the_spool_is_dropped(office: Office, *, beside_daemon: bool) -> None:
    """After a yes; its copy goes at once, and nobody gets it any more."""
    popsync("-c", office.config, "once")
    (held,) = office.held()
    number = str(held["id"])
    with running(office.config) if beside_daemon else nullcontext():
        refused = popsync("-c", office.config, "held", "drop", number, answers="n\n")
        assert len(office.copies) == 1
        dropped = popsync("-c", office.config, "held", "drop", number, answers="y\n")
        assert office.copies == []
        popsync("-c", office.config, "poll" if beside_daemon else "once")

    assert refused.returncode == 0
    assert "Never deliver 1 held message?" in refused.stderr
    assert dropped.stdout == "1 message given up; on the server nothing changes\n"
    assert office.held() == []


def test_what_waits_for_a_destination_that_is_down_is_listed(
    office: Office, tmp_path: Path
) -> None:
    """The other destination has it; the one that is down is told, and gets it later."""
    office.write(recipient="desk", port=1)
    once = popsync("-c", office.config, "once")
    (held,) = office.held()

    assert once.returncode == 75
    assert "waits in the spool" in once.stderr
    assert [d["state"] for d in held["deliveries"]] == ["waiting"]
    assert "waits for its destination" in popsync("-c", office.config, "held", "list").stdout
    assert "1" in popsync("-c", office.config, "status").stdout
    assert len(delivered(tmp_path)) == 1

    office.write(recipient="desk")
    assert popsync("-c", office.config, "once").returncode == 0
    assert office.at_desk == 1
    assert len(delivered(tmp_path)) == 1


def test_a_damaged_copy_is_shown_as_that(office: Office) -> None:
    """What is known of the message is shown all the same."""
    popsync("-c", office.config, "once")
    (held,) = office.held()
    office.copies[0].unlink()
    shown = popsync("-c", office.config, "held", "show", str(held["id"]))

    assert shown.returncode == 0
    assert "the copy in the spool cannot be read" in shown.stderr
    assert "550" in shown.stdout
