"""How long it takes from the start of ``popsync once`` to its first octet on the wire.

``python -m tests.benchmarks.starting [RUNS]`` prints medians, beside a Python that does nothing.
"""

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
state_dir = "{root}/state"
[destination.inbox]
type = "maildir"
path = "{root}/mail"
[account.gmx]
host = "127.0.0.1"
port = {port}
tls = "none"
user = "jane"
password = "secret"
mode = "keep"
"""


def main(runs: int = 20) -> None:
    """Measure both in turns."""
    bare: list[float] = []
    first_octet: list[float] = []
    with tempfile.TemporaryDirectory() as root, socket.create_server(("127.0.0.1", 0)) as server:
        config = Path(root, "popsync.toml")
        config.write_text(CONFIG.format(root=root, port=server.getsockname()[1]))
        config.chmod(0o600)
        for _ in range(runs):
            bare.append(_time_bare())
            first_octet.append(_time_first_octet(config, server))
    _print("python -c pass", bare)
    _print("popsync once, to its first octet", first_octet)
    _print("difference", [b - a for a, b in zip(bare, first_octet, strict=True)])


def _time_bare() -> float:
    began_at = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began_at


def _time_first_octet(config: Path, server: socket.socket) -> float:
    """Greet at once, wait for CAPA, and hang up."""
    command = [sys.executable, "-m", "popsync", "-c", str(config), "-q", "-q", "once"]
    began_at = time.perf_counter()
    with subprocess.Popen(command, cwd=config.parent):
        client, _ = server.accept()
        client.sendall(b"+OK\r\n")
        client.recv(1)
        took_s = time.perf_counter() - began_at
        client.sendall(b"-ERR [SYS/TEMP] only a measurement\r\n" * 4)
        client.close()
    return took_s


def _print(name: str, times_s: list[float]) -> None:
    lowest, median = min(times_s) * 1e3, statistics.median(times_s) * 1e3
    sys.stdout.write(f"{name:<34}{median:8.1f} ms median{lowest:8.1f} ms at least\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
