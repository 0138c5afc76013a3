"""The main job on real servers: from one file to a Maildir, an MTA and an LMTP server."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.corpus import degenerate_messages, digests, varied_messages
from tests.servers.dovecot import PASSWORD, Dovecot, as_served
from tests.servers.postfix import Postfix
from tests.system.commands import popsync, start_popsync, write_config

if TYPE_CHECKING:
    import subprocess

CRLF = b"\r\n"
MESSAGES = 500

pytestmark = pytest.mark.timeout(300)


class Mailboxes(NamedTuple):
    """Three maildrops of one Dovecot, and what is in them."""

    dovecot: Dovecot
    users: tuple[str, str, str]
    messages: tuple[bytes, ...]

    def accounts(self, *lines: str) -> str:
        """Give a table for each: plain, STLS, POP3S."""
        ca_file = f'ca_file = "{self.dovecot.certificate.ca_file}"'
        ways = (
            ('tls = "none"', f"port = {self.dovecot.pop3_port}"),
            ('tls = "starttls"', f"port = {self.dovecot.pop3_port}", ca_file),
            ('tls = "implicit"', f"port = {self.dovecot.pop3s_port}", ca_file),
        )
        return "\n".join(
            "\n".join((f"[account.{number}]", f'user = "{user}"', *way, *lines, ""))
            for number, (user, way) in enumerate(zip(self.users, ways, strict=True))
        )

    def left(self) -> int:
        """Give how many messages are still on the server."""
        return sum(self.dovecot.count(user) for user in self.users)


@pytest.fixture
def mailboxes(dovecot: Dovecot, request: pytest.FixtureRequest) -> Mailboxes:
    """Fill three mailboxes with 500 messages of many shapes, one of 20 MB among them."""
    name = request.node.name.replace("_", "")[:40]
    users = (f"plain.{name}", f"stls.{name}", f"tls.{name}")
    odd = degenerate_messages()
    messages = [*odd, *varied_messages(MESSAGES - len(odd), huge=True)]
    for first, user in enumerate(users):
        dovecot.add_user(user)
        dovecot.fill(user, messages[first :: len(users)])
    return Mailboxes(dovecot, users, tuple(map(as_served, messages)))


def settings(root: Path, mode: str, destination: str, accounts: str) -> Path:
    """Write a configuration with its state below ``root``."""
    defaults = f'[defaults]\nhost = "localhost"\npassword = "{PASSWORD}"\nmode = "{mode}"\n'
    text = f'state_dir = "state"\n{defaults}trace = false\n{destination}\n{accounts}'
    return write_config(root / "popsync.toml", text)


def maildir_contents(path: Path) -> list[bytes]:
    """Give every message of a Maildir that a reader can see, with CRLF line ends again."""
    files = [*(path / "new").iterdir(), *(path / "cur").iterdir()]
    return [file.read_bytes().replace(b"\n", CRLF) for file in files]


def as_in_maildir(messages: Iterable[bytes]) -> Counter[str]:
    """Give the digests of messages as ``maildir_contents`` brings them back."""
    return digests(m.replace(CRLF, b"\n").replace(b"\n", CRLF) for m in messages)


def test_keep_mode_brings_every_message_once_into_a_maildir(
    mailboxes: Mailboxes, tmp_path: Path
) -> None:
    """Plain, STLS and POP3S: 500 messages arrive once, byte for byte, and stay on the server."""
    destination = '[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'
    config = settings(tmp_path, "keep", destination, mailboxes.accounts())

    first = popsync("-c", config, "once")
    second = popsync("-c", config, "once")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert second.stderr == ""
    assert digests(maildir_contents(tmp_path / "Mail")) == as_in_maildir(mailboxes.messages)
    assert mailboxes.left() == MESSAGES
    assert list((tmp_path / "Mail" / "tmp").iterdir()) == []
    modes = {f.stat().st_mode & 0o777 for f in (tmp_path / "Mail" / "new").iterdir()}
    assert modes == {0o600}


def test_delete_mode_brings_every_message_once_through_postfix(
    mailboxes: Mailboxes, postfix: Postfix, postfix_user: str, tmp_path: Path
) -> None:
    """500 messages reach a Postfix mailbox once with the right bytes, and Dovecot is empty."""
    destination = (
        f'[destination.mta]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {postfix.port}\n'
        f'recipients = ["{postfix_user}"]\n'
    )
    config = settings(tmp_path, "delete", destination, mailboxes.accounts())

    first = popsync("-c", config, "once")
    second = popsync("-c", config, "once")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert mailboxes.left() == 0
    arrived = postfix.wait_for_messages(postfix_user, MESSAGES)
    assert digests(arrived) == as_in_maildir(map(as_filed_by_postfix, mailboxes.messages))


def as_filed_by_postfix(message: bytes) -> bytes:
    """Give a message as Postfix keeps it: a text without a header is parted from its trace."""
    has_header = re.match(rb"[!-9;-~]+:|\r\n", message)
    return message if has_header else CRLF + message


def test_lmtp_gives_each_recipient_an_outcome_of_its_own(
    dovecot: Dovecot, dovecot_user: str, tmp_path: Path
) -> None:
    """Dovecot refuses one of two recipients: the other has each message, none is deleted."""
    dovecot.add_user("inbox@lmtp.example.org")
    messages = varied_messages(20)
    dovecot.fill(dovecot_user, messages)
    destination = (
        f'[destination.store]\ntype = "lmtp"\nsocket = "{dovecot.lmtp_socket}"\n'
        'recipients = ["inbox@lmtp.example.org", "nobody@lmtp.example.org"]\n'
    )
    account = f'[account.a]\nuser = "{dovecot_user}"\nport = {dovecot.pop3_port}\ntls = "none"\n'
    config = settings(tmp_path, "delete", destination, account)

    first = popsync("-c", config, "once")
    second = popsync("-c", config, "once")
    held = popsync("-c", config, "held", "list")

    assert first.returncode == 75, first.stderr
    assert second.returncode == 0, second.stderr
    stored = dovecot.messages("inbox@lmtp.example.org")
    assert digests(stored) == digests(map(as_served, messages))
    assert dovecot.count(dovecot_user) == len(messages)
    rows = [row for row in held.stdout.splitlines() if "nobody@lmtp.example.org" in row]
    assert len(rows) == len(messages)


@pytest.mark.parametrize(("place", "files"), [("tmp", 1), ("new", 1), ("new", 300)], ids=str)
def test_kill_in_the_middle_of_a_fetch_loses_and_doubles_nothing(
    dovecot: Dovecot, dovecot_user: str, tmp_path: Path, place: str, files: int
) -> None:
    """After kill -9 with some of 500 messages on disk the next round brings each exactly once."""
    messages = varied_messages(MESSAGES)
    dovecot.fill(dovecot_user, messages)
    destination = '[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'
    account = f'[account.a]\nuser = "{dovecot_user}"\nport = {dovecot.pop3_port}\ntls = "none"\n'
    config = settings(tmp_path, "keep", destination, account)

    process = start_popsync("-q", "-c", config, "once")
    killed = kill_once_there_are(process, tmp_path / "Mail" / place, files)
    arrived_before = len(maildir_contents(tmp_path / "Mail"))
    after = popsync("-c", config, "once")
    last = popsync("-c", config, "once")

    assert killed == -9
    assert arrived_before < MESSAGES
    assert (after.returncode, last.returncode) == (0, 0), after.stderr
    assert digests(maildir_contents(tmp_path / "Mail")) == as_in_maildir(map(as_served, messages))


def kill_once_there_are(process: "subprocess.Popen[str]", place: Path, files: int) -> int:
    """Send SIGKILL as soon as a directory holds so many files; give the exit status."""
    try:
        # Looking without a pause: a batch is in tmp/ for some hundredths of a second only.
        while process.poll() is None and not holds(place, files):
            pass
    finally:
        process.kill()
        process.communicate()
    return process.returncode


def holds(place: Path, files: int) -> bool:
    """Whether a directory holds at least so many files."""
    try:
        return len(os.listdir(place)) >= files  # noqa: PTH208 - the fastest look there is
    except FileNotFoundError:
        return False
