"""The programs that are compared: how each is set up, and how it is started."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus import PASSWORD, user


@dataclass(frozen=True, slots=True)
class Task:
    """What a program is to do, and where it keeps what it needs for that."""

    directory: Path
    accounts: int
    port: int

    @property
    def maildir(self) -> Path:
        """Where the mail of all accounts goes."""
        return self.directory / "inbox"

    @property
    def users(self) -> list[str]:
        """The logins."""
        return [user(account) for account in range(self.accounts)]

    def write(self, name: str, *lines: str) -> str:
        """Write a file that is closed to others; give its path."""
        path = self.directory / name
        path.touch(0o600)
        path.write_text("\n".join(lines) + "\n")
        return str(path)


Command = list[str]


def popsync(task: Task) -> Command:
    """As it is by default."""
    accounts = [
        f'[account.{name}]\nuser = "{name}"\nhost = "127.0.0.1"\nport = {task.port}\n'
        f'tls = "none"\npassword = "{PASSWORD}"\nmode = "keep"\n'
        for name in task.users
    ]
    config = task.write(
        "popsync.toml",
        f'state_dir = "{task.directory}/state"',
        f'[destination.inbox]\ntype = "maildir"\npath = "{task.maildir}"',
        *accounts,
    )
    return ["popsync", "-q", "-c", config, "once"]


def mpop(task: Task) -> Command:
    """With its own Maildir delivery; it pipelines by itself. One account after the other."""
    config = task.write(
        "mpoprc",
        f"defaults\nhost 127.0.0.1\nport {task.port}\nauth user\ntls off\nkeep on",
        f"delivery maildir {task.maildir}\nuidls_file {task.directory}/uidls-%U",
        *(f"account {name}\nuser {name}\npassword {PASSWORD}" for name in task.users),
    )
    return ["mpop", "-q", "-a", "-C", config]


def fetchmail(task: Task) -> Command:
    """One LIST for all sizes; it has no Maildir delivery, so ``cat`` writes, without a sync."""
    users = (
        f'user "{name}" password "{PASSWORD}" is "nobody" here keep no rewrite '
        f'fetchsizelimit 0 sslproto "" mda "cat >{task.maildir}/new/$$.{name}"'
        for name in task.users
    )
    config = task.write(
        "fetchmailrc",
        "set no bouncemail\nset no syslog\ndefaults proto pop3 auth password",
        f"poll 127.0.0.1 port {task.port} uidl",
        *users,
    )
    files = ["-i", f"{task.directory}/ids", "--pidfile", f"{task.directory}/pid"]
    return ["fetchmail", "--nodetach", "--silent", "-f", config, *files]


def getmail(task: Task) -> Command:
    """Without additions to the header. One account after the other."""
    configs = [
        task.write(
            f"getmailrc-{name}",
            f"[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {task.port}",
            f"username = {name}\npassword = {PASSWORD}",
            f"[destination]\ntype = Maildir\npath = {task.maildir}/",
            "[options]\nread_all = false\nverbose = 0\ndelivered_to = false\nreceived = false",
        )
        for name in task.users
    ]
    rc_files = [f"--rcfile={config}" for config in configs]
    return ["getmail", f"--getmaildir={task.directory}", *rc_files]


def fdm(task: Task) -> Command:
    """As it is by default: a process for each account."""
    accounts = (
        f'account "{name}" pop3 server "127.0.0.1" port {task.port} user "{name}" '
        f'pass "{PASSWORD}" new-only cache "{task.directory}/cache-{name}" keep'
        for name in task.users
    )
    config = task.write(
        "fdm.conf",
        f'set lock-file "{task.directory}/lock"\nset queue-high 50\nset queue-low 25',
        *accounts,
        f'match all action maildir "{task.maildir}"',
    )
    return ["fdm", "-q", "-f", config, "fetch"]


SET_UPS: Mapping[str, Callable[[Task], Command]] = {
    "popsync": popsync,
    "mpop": mpop,
    "fdm": fdm,
    "getmail": getmail,
    "fetchmail": fetchmail,
}
NOT_AS_ROOT = {"getmail", "fdm"}
"""These refuse to deliver as root, and run as nobody then."""
SUCCESS = {"fetchmail": (0, 1)}
"""Exit codes, where it is not 0 alone: fetchmail says 1 when there was no mail."""


def find_program(name: str) -> str | None:
    """Give the path of a program; popsync is the one of this Python, if it has one."""
    beside = Path(sys.executable).with_name("popsync")
    if name == "popsync" and beside.exists():
        return str(beside)
    return shutil.which(name)


def steps_down(name: str) -> bool:
    """Whether the program must run as nobody."""
    return os.geteuid() == 0 and name in NOT_AS_ROOT
