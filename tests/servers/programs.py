"""Real servers' programs: where they are, which ports they get, how they are ended."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/lib/postfix/sbin")
REQUIRE_SERVERS = "POPSYNC_REQUIRE_SERVERS"

# Below the range from which Linux takes ports for outgoing connections and for port 0
# (ip_local_port_range begins at 32768), so nothing takes one of these by chance.
PORTS = range(20_000, 32_000)
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
LOOK_AGAIN_S = 0.01


def give_up(reason: str) -> None:
    """Skip the test; where the real servers are a must, fail it instead."""
    if os.environ.get(REQUIRE_SERVERS) == "1":
        pytest.fail(f"{REQUIRE_SERVERS}=1, but {reason}")
    pytest.skip(reason)


def find_program(name: str) -> str | None:
    """Give the program's path, also from where only root's PATH leads."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SYSTEM_DIRECTORIES))


def require_program(name: str) -> str:
    """Give the program's path; without it the test is skipped, or fails where it is a must."""
    path = find_program(name)
    if path is None:
        give_up(f"{name} is not installed")
    return str(path)


@contextmanager
def short_directory() -> Iterator[Path]:
    """A temporary directory that every user may enter, short enough for Unix sockets (108)."""
    directory = Path(tempfile.mkdtemp(prefix="ps-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class PortLease:
    """Ports of the loopback interface that no other test gets until ``release``."""

    def __init__(self, count: int) -> None:
        self.ports: list[int] = []
        self._locks: list[socket.socket] = []
        candidates = iter(random.sample(PORTS, len(PORTS)))
        while len(self.ports) < count:
            self._try(next(candidates))

    def _try(self, port: int) -> None:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # An abstract name: the kernel lets one process have it, and frees it at its end.
            lock.bind(f"\0popsync-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
        else:
            self._locks.append(lock)
            self.ports.append(port)

    def release(self) -> None:
        """Let others have them."""
        for lock in self._locks:
            lock.close()


class NotStarted(Exception):
    """A server did not come up; the text holds what it said."""


class Program:
    """A server in the foreground, in a process group of its own, ended with its parent."""

    def __init__(self, command: Sequence[str], log: Path, cwd: Path | None = None) -> None:
        self._log = log
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*guard, *command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process to signal, and the number of its process group."""
        return self._process.pid

    def wait_for(self, ready: Callable[[], bool]) -> None:
        """Return once ``ready`` says so; raise NotStarted if the program ends or is too slow."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(self._log.read_text("utf-8", "replace"))
            time.sleep(LOOK_AGAIN_S)

    def stop(self) -> None:
        """End it and all that it started, and wait for it. Idempotent."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        kill_group(self.pid)


def kill_group(group: int) -> None:
    """End what is left of a process group that a Program began."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, 9)


def accepts(port: int) -> bool:
    """Whether somebody listens on the loopback interface's port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def greets(port: int, greeting: bytes) -> bool:
    """Whether a server on the loopback interface's port begins with ``greeting``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_TIMEOUT_S) as probe:
            return probe.recv(len(greeting)) == greeting
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], *, timeout_s: float = START_TIMEOUT_S) -> None:
    """Return once another process has made ``condition`` true; fail the test after that time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"did not come about within {timeout_s} s")
        time.sleep(LOOK_AGAIN_S)
