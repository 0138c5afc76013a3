"""A private Postfix that delivers into Maildirs, and Postfix's smtp-sink that files what it gets.

Fixtures: ``postfix`` is one server for all tests of a worker, ``postfix_user`` an address of it
with an empty mailbox for one test, ``smtp_sink`` and ``lmtp_sink`` are sinks for one test.
"""

import os
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.certificates import Certificate, issue_certificate
from tests.servers.programs import (
    NotStarted,
    PortLease,
    Program,
    accepts,
    give_up,
    require_program,
    short_directory,
    wait_until,
)

START_TRIES = 4
CRLF = b"\r\n"
DOMAIN = "example.org"
USERS = tuple(f"user{number}@{DOMAIN}" for number in range(1, 1_000))
UNUSED = iter(USERS)

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/log
maillog_file_prefixes = {home}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.org
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_header_rewrite_clients =
message_drop_headers =
default_transport = discard:
relay_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_forbid_bare_newline = yes
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate.chain_file}
smtpd_tls_key_file = {certificate.key_file}
tls_random_source = dev:/dev/urandom
message_size_limit = {max_octets}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = texthash:{home}/mailboxes
virtual_uid_maps = static:{owner.pw_uid}
virtual_gid_maps = static:{owner.pw_gid}
virtual_minimum_uid = 1
"""

MASTER = """
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


# The queue's directories, made as Postfix's own post-install would, only without its second.
QUEUE_DIRECTORIES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("maildrop", "pid", "private", "public", "saved", "trace"),
)


class Postfix:
    """One running server; it knows ``USERS`` and refuses every other recipient.

    Nothing leaves it: what it would send elsewhere, bounces too, is discarded.
    """

    max_octets = 30_000_000

    def __init__(self, home: Path, certificate: Certificate, port: int) -> None:
        self.home = home
        self.certificate = certificate
        self.port = port
        self._configure()
        command = [require_program("master"), "-d", "-c", str(home / "etc")]
        self._program = Program(command, home / "output")

    def _configure(self) -> None:
        owner = pwd.getpwnam("mail")
        for name in ("etc", "data", "mail"):
            (self.home / name).mkdir()
        os.chown(self.home / "data", pwd.getpwnam("postfix").pw_uid, -1)
        os.chown(self.home / "mail", owner.pw_uid, owner.pw_gid)
        self._make_queue()
        values = {**vars(self), "max_octets": self.max_octets, "domain": DOMAIN, "owner": owner}
        (self.home / "etc" / "main.cf").write_text(MAIN.format(**values))
        (self.home / "etc" / "master.cf").write_text(MASTER.format(**values))
        (self.home / "mailboxes").write_text("".join(f"{u} {u}/\n" for u in USERS))

    def _make_queue(self) -> None:
        (self.home / "queue").mkdir()
        for name in QUEUE_DIRECTORIES:
            directory = self.home / "queue" / name
            directory.mkdir(mode=0o755 if name in {"pid", "public"} else 0o700)
            os.chown(directory, 0 if name == "pid" else pwd.getpwnam("postfix").pw_uid, -1)

    def wait(self) -> None:
        """Return once the port is served. Raises NotStarted."""
        self._program.wait_for(lambda: accepts(self.port))

    def stop(self) -> None:
        """End the server. Idempotent."""
        self._program.stop()

    def log(self) -> str:
        """What the server has logged so far."""
        log = self.home / "log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def messages(self, address: str) -> list[bytes]:
        """Give what was delivered to the address, any order, with CRLF line ends.

        The trace lines that Postfix put in front are taken off; nothing else is changed.
        """
        return [as_submitted(path.read_bytes()) for path in self._files(address)]

    def wait_for_messages(self, address: str, count: int) -> list[bytes]:
        """Give the messages once ``count`` of them were delivered: Postfix queues first."""
        wait_until(lambda: self.count(address) >= count)
        return self.messages(address)

    def count(self, address: str) -> int:
        """Give the number of messages in the address's mailbox."""
        return len(self._files(address))

    def _files(self, address: str) -> list[Path]:
        new = self.home / "mail" / address / "new"
        return list(new.iterdir()) if new.exists() else []


# Return-Path, X-Original-To and Delivered-To, then one Received field with its folded lines.
TRACE = re.compile(
    rb"(?:(?:Return-Path|X-Original-To|Delivered-To): [^\n]*\n)*"
    rb"Received: [^\n]*\n(?:[ \t][^\n]*\n)*"
)


def as_submitted(filed: bytes) -> bytes:
    """Take Postfix's trace lines off a Maildir file and give it CRLF line ends again."""
    return TRACE.sub(b"", filed, count=1).replace(b"\n", CRLF)


@contextmanager
def run_postfix() -> Iterator[Postfix]:
    """Start a Postfix and end it; a port that somebody took meanwhile means another try."""
    require_program("postfix")
    if os.geteuid() != 0:
        give_up("Postfix starts as root only")
    for remaining in reversed(range(START_TRIES)):
        with short_directory() as home:
            lease = PortLease(1)
            server = Postfix(home, issue_certificate(home), lease.ports[0])
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
def postfix() -> Iterator[Postfix]:
    """One Postfix for all tests of a worker."""
    with run_postfix() as server:
        yield server


@pytest.fixture
def postfix_user(postfix: Postfix) -> str:
    """Give an address of that Postfix with an empty mailbox, for one test."""
    return next(UNUSED)


# -- smtp-sink -------------------------------------------------------------------------------


class SunkMessage(NamedTuple):
    """One transaction that smtp-sink filed."""

    reverse_path: bytes
    recipients: tuple[bytes, ...]
    content: bytes
    """With CRLF line ends."""


class SmtpSink:
    """smtp-sink: takes everything, announces PIPELINING, files each transaction."""

    def __init__(self, home: Path, port: int, *options: str) -> None:
        self.home = home
        self.port = port
        (home / "dump").mkdir()
        command = [require_program("smtp-sink"), *options, "-d", "dump/"]
        if os.geteuid() == 0:
            command += ["-u", "mail"]
            owner = pwd.getpwnam("mail")
            os.chown(home / "dump", owner.pw_uid, owner.pw_gid)
        command += [f"127.0.0.1:{port}", "100"]
        self._program = Program(command, home / "output", cwd=home)

    def wait(self) -> None:
        """Return once the port is served. Raises NotStarted."""
        self._program.wait_for(lambda: accepts(self.port))

    def stop(self) -> None:
        """End it. Idempotent."""
        self._program.stop()

    def messages(self) -> list[SunkMessage]:
        """Give what was received whole, any order."""
        return [read_dump(path.read_bytes()) for path in (self.home / "dump").iterdir()]


# What smtp-sink writes first: the transaction, then a Received field of three lines.
DUMP = re.compile(
    rb"(?:X-Client-[^\n]*\n|X-Helo-[^\n]*\n)*X-Mail-Args: <([^>\n]*)>[^\n]*\n"
    rb"((?:X-Rcpt-Args: [^\n]*\n)+)Received: [^\n]*\n(?:\t[^\n]*\n){2}"
)


def read_dump(dump: bytes) -> SunkMessage:
    """Read one of smtp-sink's files; it leaves out every CR and puts a last LF behind."""
    head = DUMP.match(dump)
    if head is None:
        raise AssertionError(f"not a dump of smtp-sink: {dump[:200]!r}")
    recipients = re.findall(rb"<([^>\n]*)>", head[2])
    return SunkMessage(head[1], tuple(recipients), dump[head.end() : -1].replace(b"\n", CRLF))


@contextmanager
def run_smtp_sink(*options: str) -> Iterator[SmtpSink]:
    """Start a sink with smtp-sink's own options (``-L`` for LMTP) and end it."""
    require_program("smtp-sink")
    for remaining in reversed(range(START_TRIES)):
        with short_directory() as home:
            lease = PortLease(1)
            sink = SmtpSink(home, lease.ports[0], *options)
            try:
                sink.wait()
                yield sink
            except NotStarted:
                if not remaining:
                    raise
            else:
                return
            finally:
                sink.stop()
                lease.release()


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    """A sink that speaks SMTP."""
    with run_smtp_sink() as sink:
        yield sink


@pytest.fixture
def lmtp_sink() -> Iterator[SmtpSink]:
    """A sink that speaks LMTP; it answers the final dot once for each recipient."""
    with run_smtp_sink("-L") as sink:
        yield sink
