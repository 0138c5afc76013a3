"""Other people's POP3 clients, run once against a server on loopback."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.programs import require_program

TIMEOUT_S = 60.0
UNPRIVILEGED = ("--reuid=nobody", "--regid=nogroup", "--clear-groups")


class Fetcher:
    """One program with a directory of its own, where it leaves what it fetched."""

    program = ""

    def __init__(self, directory: Path, port: int, *, keep: bool = True) -> None:
        self.path = require_program(self.program)
        self.directory = directory / self.program
        self.directory.mkdir()
        self.port = port
        self.keep = keep
        self.inbox = self.directory / "inbox"
        for part in ("", "tmp", "new", "cur"):
            (self.inbox / part).mkdir()

    def command(self) -> Sequence[str]:
        """What to run."""
        raise NotImplementedError

    async def fetch(self) -> list[bytes]:
        """Run the program, give all messages it has fetched so far, in order."""
        done = await asyncio.to_thread(
            subprocess.run,
            self.command(),
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            env={**os.environ, "HOME": str(self.directory), "LC_ALL": "C"},
        )
        assert done.returncode in (0, 1), done.stderr.decode("utf-8", "replace")
        files = sorted((self.inbox / "new").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_bytes() for path in files]


class Mpop(Fetcher):
    """mpop, into a Maildir; it pipelines when CAPA says so."""

    program = "mpop"
    tls: tuple[str, ...] = ("--host=127.0.0.1", "--tls=off", "--auth=user")

    def command(self) -> list[str]:
        """All on the command line, no files but the list of unique-ids."""
        return [
            self.path,
            *self.tls,
            f"--port={self.port}",
            "--user=jane",
            "--passwordeval=echo secret word",
            "--received-header=off",
            f"--keep={'on' if self.keep else 'off'}",
            f"--uidls-file={self.directory}/uidls",
            f"--delivery=maildir,{self.inbox}",
        ]

    @staticmethod
    def written(message: bytes) -> bytes:
        """Give what it makes of a message: LF line ends, nothing else."""
        return message.replace(b"\r\n", b"\n")


class Fetchmail(Fetcher):
    """fetchmail, to a program that writes down each message."""

    program = "fetchmail"

    def command(self) -> list[str]:
        """A configuration that forbids it all it can do to a message."""
        agent = self.directory / "agent"
        agent.write_text(f'#!/bin/sh\nexec cat >"$(mktemp {self.inbox}/new/XXXXXXXX)"\n')
        agent.chmod(0o755)
        config = self.directory / "fetchmailrc"
        config.touch(0o600)
        config.write_text(
            f"poll 127.0.0.1 service {self.port} protocol pop3 uidl auth password "
            f'user "jane" password "secret word" is "jane" here '
            f"no rewrite pass8bits fetchall {'keep' if self.keep else 'no keep'} "
            f'no mimedecode no stripcr no forcecr no dropstatus sslproto "" mda "{agent}"\n'
        )
        return [
            self.path,
            *("-f", str(config), "--invisible", "--nodetach", "--nosyslog"),
            *("--pidfile", str(self.directory / "pid"), "-i", str(self.directory / "ids")),
        ]

    @staticmethod
    def written(message: bytes) -> bytes:
        """Give what it makes of a message: a blank line after a header without a body."""
        return message if b"\r\n\r\n" in message else message + b"\r\n"


class Getmail(Fetcher):
    """getmail, into a Maildir; it refuses to do that as root."""

    program = "getmail"

    def command(self) -> list[str]:
        """A configuration without additions to the header."""
        config = self.directory / "getmailrc"
        config.write_text(
            f"[retriever]\ntype=SimplePOP3Retriever\nserver=127.0.0.1\nport={self.port}\n"
            f"username=jane\npassword=secret word\n"
            f"[destination]\ntype=Maildir\npath={self.inbox}/\n"
            f"[options]\nread_all=true\ndelete={str(not self.keep).lower()}\n"
            f"delivered_to=false\nreceived=false\n"
        )
        options = ["-g", str(self.directory), "-r", str(config)]
        if os.geteuid() != 0:
            return [self.path, *options]
        for path in (self.directory, *self.directory.rglob("*")):
            shutil.chown(path, "nobody", "nogroup")
        return [require_program("setpriv"), *UNPRIVILEGED, "--", self.path, *options]

    @staticmethod
    def written(message: bytes) -> bytes:
        """Give what it makes of a message: LF for CRLF and bare CR, a blank line as fetchmail.

        It also puts a Return-Path in front of a message that has none.
        """
        whole = message if b"\r\n\r\n" in message else message + b"\r\n"
        lines = whole.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n")
        return lines.replace(b"\r", b"\n")
