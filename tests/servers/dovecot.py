"""A private Dovecot: POP3, POP3 with STLS, POP3S and LMTP on the loopback interface.

The fixture ``dovecot`` is one server for all tests of a worker; ``dovecot_user`` is a user with an
empty mailbox for one test. A test that stops the server starts its own with ``run_dovecot``.
"""

import base64
import grp
import itertools
import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers.certificates import Certificate, issue_certificate
from tests.servers.programs import (
    NotStarted,
    PortLease,
    Program,
    accepts,
    greets,
    require_program,
    short_directory,
)

PASSWORD = "correct horse: battery staple"
START_TRIES = 4
CRLF = b"\r\n"
FILLED = "filled"  # stands where a Maildir name has its host
USER_NUMBERS = itertools.count(1)

CONFIG = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
instance_name = {home}
listen = 127.0.0.1
protocols = pop3 lmtp
ssl = yes
ssl_cert = <{certificate.chain_file}
ssl_key = <{certificate.key_file}
ssl_dh =
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_username_format = %u
mail_location = maildir:{home}/mail/%u
mail_uid = {owner}
mail_gid = {group}
first_valid_uid = 0
first_valid_gid = 0
mail_fsync = never
mail_save_crlf = yes
pop3_lock_session = {lock_session}
mail_max_userip_connections = 0
maildir_very_dirty_syncs = no
lmtp_add_received_header = no
lmtp_hdr_delivery_address = none
passdb {{
  driver = passwd-file
  args = {home}/users/%u
}}
userdb {{
  driver = static
  args = uid={owner} gid={group} home={home}/home/%u
}}
default_vsz_limit = 0
default_client_limit = 1000
default_process_limit = 200
service anvil {{
  client_limit = 3000
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 5000
}}
service pop3-login {{
  service_count = 0
  process_limit = 4
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = {pop3s_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
"""

UNPRIVILEGED = """
default_internal_user = {owner}
default_internal_group = {group_name}
default_login_user = {owner}
service anvil {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
"""


class Dovecot:
    """One running server; every user's password is PASSWORD."""

    def __init__(
        self, home: Path, certificate: Certificate, ports: list[int], *, locks_sessions: bool
    ) -> None:
        self.home = home
        self.certificate = certificate
        self.pop3_port, self.pop3s_port, self.lmtp_port = ports
        self.lock_session = "yes" if locks_sessions else "no"
        self.lmtp_socket = home / "run" / "lmtp"
        self._mailbox_owner = mailbox_owner()
        self._numbers = itertools.count()
        self._configure()
        command = [require_program("dovecot"), "-F", "-c", str(home / "dovecot.conf")]
        self._program = Program(command, home / "dovecot.log")

    def _configure(self) -> None:
        owner = self._mailbox_owner
        template = CONFIG if os.geteuid() == 0 else CONFIG + UNPRIVILEGED
        values = {"owner": owner.pw_name, "group": owner.pw_gid, **vars(self)}
        text = template.format(**values, group_name=group_name(owner.pw_gid))
        (self.home / "dovecot.conf").write_text(text)
        (self.home / "users").mkdir()
        for name in ("mail", "home"):
            (self.home / name).mkdir()
            self._hand_over(self.home / name)

    def _hand_over(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._mailbox_owner.pw_uid, self._mailbox_owner.pw_gid)

    def wait(self) -> None:
        """Return once every port is served. Raises NotStarted.

        A Dovecot that is ended before its first greeting takes six seconds to end.
        """
        self._program.wait_for(
            lambda: (
                greets(self.pop3_port, b"+OK")
                and greets(self.lmtp_port, b"220")
                and accepts(self.pop3s_port)
                and self.lmtp_socket.exists()
            )
        )

    def stop(self) -> None:
        """End the server. Idempotent."""
        self._program.stop()

    def log(self) -> str:
        """What the server has logged so far."""
        return (self.home / "dovecot.log").read_text("utf-8", "replace")

    def processes(self, *names: str) -> list[int]:
        """Give the ids of the server's processes that have one of these names."""
        found = []
        for about in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has just ended
                pid, _, rest = about.read_text().partition(" (")
                name, _, fields = rest.rpartition(") ")
                if name in names and fields.split()[1] == str(self._program.pid):
                    found.append(int(pid))
        return found

    def add_user(self, user: str, password: str = PASSWORD) -> None:
        """Make a user with an empty mailbox, known to POP3 and to LMTP at once."""
        self.introduce(user, password)
        for name in ("", "cur", "new", "tmp"):
            directory = self._mailbox(user) / name
            directory.mkdir()
            self._hand_over(directory)

    def introduce(self, user: str, password: str = PASSWORD) -> None:
        """Make a user whose mailbox comes into being with the first login."""
        # A file for each: Dovecot looks at a file it knows once a second only.
        encoded = base64.b64encode(password.encode()).decode()
        (self.home / "users" / user).write_text(f"{user}:{{PLAIN.b64}}{encoded}\n")

    def _mailbox(self, user: str) -> Path:
        return self.home / "mail" / user

    def fill(self, user: str, messages: Iterable[bytes]) -> None:
        """Put messages, with CRLF line ends, into the user's mailbox, in this order."""
        for message in messages:
            number = next(self._numbers)
            # S and W are the sizes on disk and on the wire: LIST needs no look into the file.
            served = len(message) + message.count(b"\n") - message.count(CRLF)
            name = f"{1_700_000_000 + number}.M{number}.{FILLED},S={len(message)},W={served}"
            path = self._mailbox(user) / "tmp" / name
            path.write_bytes(message)
            self._hand_over(path)
            path.rename(self._mailbox(user) / "new" / name)

    def messages(self, user: str) -> list[bytes]:
        """Give what the mailbox holds, in order of arrival, with CRLF line ends.

        The Return-Path line that LMTP put in front is taken off; nothing else is changed.
        """
        return [read_message(path) for path in self._files(user)]

    def count(self, user: str) -> int:
        """Give the number of messages in the mailbox."""
        return len(self._files(user))

    def _files(self, user: str) -> list[Path]:
        found = [
            path
            for name in ("new", "cur")
            for path in (self._mailbox(user) / name).iterdir()
            if "T" not in path.name.partition(":2,")[2]
        ]
        return sorted(found, key=arrival)


def arrival(path: Path) -> tuple[int, ...]:
    """Sort key of a Maildir file: seconds, then microseconds (or our running number)."""
    seconds, rest = path.name.split(".")[:2]
    return int(seconds), int(rest.lstrip("M").partition("P")[0])


def read_message(path: Path) -> bytes:
    """Give a file's message without the line that final delivery put in front (RFC 5321 §4.4)."""
    message = path.read_bytes()
    return message if f".{FILLED}," in path.name else message.partition(CRLF)[2]


def as_served(message: bytes) -> bytes:
    """Give what RETR brings of a message that was filled in: every line ends with CRLF.

    LIST does not count the line end that RETR puts behind a last line without one.
    """
    served = message.replace(CRLF, b"\n").replace(b"\n", CRLF)
    return served if served.endswith(CRLF) else served + CRLF


def mailbox_owner() -> pwd.struct_passwd:
    """Who owns the mailboxes: a system user where we are root, else ourselves."""
    return pwd.getpwnam("mail") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def group_name(group: int) -> str:
    """The group's name."""
    return grp.getgrgid(group).gr_name


@contextmanager
def run_dovecot(*, locks_sessions: bool = False) -> Iterator[Dovecot]:
    """Start a Dovecot and end it; a port that somebody took meanwhile means another try.

    locks_sessions: one POP3 session at a time has a mailbox; the others wait ten seconds for it.
    """
    require_program("dovecot")
    for remaining in reversed(range(START_TRIES)):
        with short_directory() as home:
            lease = PortLease(3)
            certificate = issue_certificate(home)
            server = Dovecot(home, certificate, lease.ports, locks_sessions=locks_sessions)
            try:
                server.wait()
                yield server
            except NotStarted:
                if not remaining:
                    raise
            else:
                return
            finally:
                server.stop()
                lease.release()


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """One Dovecot for all tests of a worker."""
    with run_dovecot() as server:
        yield server


@pytest.fixture
def dovecot_user(dovecot: Dovecot) -> str:
    """Give a user of that Dovecot with an empty mailbox, for one test."""
    user = f"user{next(USER_NUMBERS)}@example.org"
    dovecot.add_user(user)
    return user
