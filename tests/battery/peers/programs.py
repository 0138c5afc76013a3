"""The fetchers: how each is set up, as well as its documentation allows, and how it is run.

All deliver into a Maildir: mpop, getmail, fdm and popsync by themselves, fetchmail through a
script that writes ``tmp/``, syncs and moves. What commits a program's memory or deletions after
each message is switched on where it exists and works.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.battery.kill_loop import REPOSITORY

UNPRIVILEGED = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--")
NOT_AS_ROOT = frozenset({"getmail", "fdm"})
"""These refuse to deliver as root."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One account to be fetched from, and the directory that the program has for everything."""

    directory: Path
    port: int
    user: str
    password: str
    keep: bool
    timeout_s: int = 60
    """How long a server may be silent."""

    @property
    def maildir(self) -> Path:
        """Where the mail goes."""
        return self.directory / "Mail"

    def write(self, name: str, *lines: str, mode: int = 0o600) -> str:
        """Write a file; give its path."""
        path = self.directory / name
        path.touch(mode)
        path.write_text("\n".join(lines) + "\n")
        path.chmod(mode)
        return str(path)


def _popsync(visit: Visit) -> list[str]:
    """As it is by default."""
    config = visit.write(
        "popsync.toml",
        f'state_dir = "state"\n[destination.inbox]\ntype = "maildir"\npath = "{visit.maildir}"',
        f'[account.jane]\nhost = "127.0.0.1"\nport = {visit.port}\ntls = "none"',
        f'user = "{visit.user}"\npassword = "{visit.password}"',
        f'mode = "{"keep" if visit.keep else "delete"}"',
    )
    return [sys.executable, "-m", "popsync", "-q", "-c", config, "once"]


def _fetchmail(visit: Visit) -> list[str]:
    """``expunge 1``: a session for each message, so that its deletion is committed."""
    agent = visit.write(
        "agent",
        "#!/bin/sh",
        f"cd {visit.maildir} && name=$(date +%s.%N).$$ && cat >tmp/$name",
        "sync tmp/$name && mv tmp/$name new/$name",
        mode=0o755,
    )
    config = visit.write(
        "fetchmailrc",
        "set no bouncemail\nset no syslog",
        f"poll 127.0.0.1 service {visit.port} protocol pop3 uidl auth password"
        f" timeout {visit.timeout_s}",
        f'user "{visit.user}" password "{visit.password}" is "jane" here no rewrite pass8bits'
        f" {'keep' if visit.keep else 'no keep expunge 1'}"
        f' no mimedecode no stripcr no forcecr no dropstatus sslproto "" mda "{agent}"',
    )
    files = ["-i", f"{visit.directory}/ids", "--pidfile", f"{visit.directory}/pid"]
    return ["fetchmail", "--nodetach", "--silent", "-f", config, *files]


def _mpop(visit: Visit) -> list[str]:
    """With its own Maildir delivery; it has nothing that commits message by message."""
    config = visit.write(
        "mpoprc",
        f"account default\nhost 127.0.0.1\nport {visit.port}\nauth user\ntls off",
        f"user {visit.user}\npassword {visit.password}\nkeep {'on' if visit.keep else 'off'}",
        f"timeout {visit.timeout_s}\nreceived_header off",
        f"delivery maildir {visit.maildir}\nuidls_file {visit.directory}/uidls",
    )
    return ["mpop", "-q", "-C", config]


def _getmail(visit: Visit) -> list[str]:
    """Without ``to_oldmail_on_each_mail``: it leaves 6.18.11 with no memory after each session."""
    config = visit.write(
        "getmailrc",
        f"[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {visit.port}",
        f"username = {visit.user}\npassword = {visit.password}\ntimeout = {visit.timeout_s}",
        f"[destination]\ntype = Maildir\npath = {visit.maildir}/",
        f"[options]\nread_all = false\ndelete = {str(not visit.keep).lower()}",
        "verbose = 0\ndelivered_to = false\nreceived = false",
    )
    return ["getmail", f"--getmaildir={visit.directory}", f"--rcfile={config}"]


def _fdm(visit: Visit) -> list[str]:
    """``purge-after 1`` and a queue of one; without the lock that a killed one leaves behind."""
    kept = f'new-only cache "{visit.directory}/cache" keep' if visit.keep else ""
    config = visit.write(
        "fdm.conf",
        "set allow-multiple\nset queue-high 1\nset purge-after 1\nset no-received",
        f"set timeout {visit.timeout_s}",
        f'account "jane" pop3 server "127.0.0.1" port {visit.port} user "{visit.user}"'
        f' pass "{visit.password}" {kept}',
        f'match all action maildir "{visit.maildir}"',
    )
    return ["fdm", "-q", "-f", config, "fetch"]


SET_UPS: Mapping[str, Callable[[Visit], list[str]]] = {
    "popsync": _popsync,
    "fetchmail": _fetchmail,
    "mpop": _mpop,
    "getmail": _getmail,
    "fdm": _fdm,
}


def explain_missing(name: str) -> str:
    """Say why a program cannot be tried; empty when it can."""
    if name != "popsync" and shutil.which(name) is None:
        return f"{name} is not installed"
    if _steps_down(name) and shutil.which(UNPRIVILEGED[0]) is None:
        return f"{name} does not deliver as root, and {UNPRIVILEGED[0]} is not installed"
    return ""


def set_up(name: str, visit: Visit) -> Sequence[str]:
    """Make the Maildir and the program's files; give the command that fetches once."""
    for part in ("", "tmp", "new", "cur"):
        (visit.maildir / part).mkdir(mode=0o700, exist_ok=True)
    command = SET_UPS[name](visit)
    if not _steps_down(name):
        return command
    for path in (visit.directory, *visit.directory.rglob("*")):
        shutil.chown(path, "nobody", "nogroup")
    return [*UNPRIVILEGED, *command]


def environment(visit: Visit) -> dict[str, str]:
    """Give the environment that a program runs in."""
    places = {"HOME": str(visit.directory), "TMPDIR": str(visit.directory)}
    return {**os.environ, **places, "LC_ALL": "C", "PYTHONPATH": str(REPOSITORY)}


def _steps_down(name: str) -> bool:
    return os.geteuid() == 0 and name in NOT_AS_ROOT
