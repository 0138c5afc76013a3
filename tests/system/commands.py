"""The ``popsync`` command as its users meet it: in processes of its own, over real sockets."""

import os
import smtplib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

TIMEOUT_S = 50


class Served(NamedTuple):
    """A running ``popsync serve``."""

    process: subprocess.Popen[str]
    smtp_port: int
    pop3_port: int

    def send(self, mailbox: str, content: bytes) -> None:
        """Hand a message for ``mailbox`` to the server."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=TIMEOUT_S) as client:
            client.sendmail("sender@example.org", [f"{mailbox}@example.org"], content)


def popsync(
    *args: str | Path, answers: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; ``answers`` is what stands on its stdin."""
    return subprocess.run(
        [sys.executable, "-m", "popsync", *map(str, args)],
        input=answers,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **(env or {})},
    )


def start_popsync(
    *args: str | Path, under: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a command, as an argument of the program ``under``, and leave it running."""
    return subprocess.Popen(
        [*under, sys.executable, "-m", "popsync", *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )


@contextmanager
def serving(root: Path, *mailboxes: str) -> Iterator[Served]:
    """Run ``popsync serve`` on free ports; every mailbox's password is its own name."""
    tables = [
        f'[server.mailbox.{name}]\npassword = "{name}"\naddresses = ["{name}@example.org"]\n'
        for name in mailboxes
    ]
    listen = 'smtp_listen = "127.0.0.1:0"\npop3_listen = "127.0.0.1:0"\n'
    config = write_config(
        root / "server.toml", f'state_dir = "served"\n[server]\n{listen}' + "".join(tables)
    )
    process = start_popsync("-c", config, "serve")
    try:
        yield Served(process, smtp_port=_read_port(process), pop3_port=_read_port(process))
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def write_config(path: Path, text: str) -> Path:
    """Write a configuration that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def account(name: str, port: int, *lines: str, mode: str = "keep") -> str:
    """Give the table of an account at a server of ``serving``."""
    return "\n".join(
        [
            f"[account.{name}]",
            'host = "127.0.0.1"',
            f"port = {port}",
            'tls = "none"',
            f'user = "{name}"',
            f'password = "{name}"',
            f'mode = "{mode}"',
            *lines,
            "",
        ]
    )


MAILDIR = '[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'


def delivered(root: Path) -> list[bytes]:
    """Give the messages in the Maildir of ``MAILDIR``."""
    return [file.read_bytes() for file in sorted((root / "Mail" / "new").glob("*"))]


def _read_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert " on 127.0.0.1:" in line, line
    return int(line.rpartition(":")[2])
