"""``popsync run`` as a process, and what it says."""

import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.system.commands import TIMEOUT_S, start_popsync, write_config


class Daemon:
    """A running ``popsync run``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process, or the one that runs it."""
        return self._process.pid

    def wait_for(self, words: str) -> str:
        """Give the next log line with these words."""
        while True:
            try:
                line = self._lines.get(timeout=TIMEOUT_S)
            except queue.Empty:
                raise AssertionError(f"never said {words!r}: {''.join(self.said)}") from None
            if words in line:
                return line

    def ask(self, number: signal.Signals) -> str:
        """Send a signal that is answered by a line on stdout, and give the line."""
        self.signal(number)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "".join(self.said[-20:])
        return line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """Ask for an orderly end and give the exit code."""
        self._process.terminate()
        return self.end()

    def end(self) -> int:
        """Wait for the end, with all that is said until then, and give the exit code."""
        code = self._process.wait(timeout=TIMEOUT_S)
        self._reader.join(timeout=TIMEOUT_S)
        return code

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line)
            self._lines.put(line)


@contextmanager
def running(
    config: Path,
    *options: str,
    under: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """Run the daemon, from its first line to the end of the block.

    under: a program and its arguments, which runs it.
    """
    process = start_popsync("-c", config, *options, "run", under=under, env=env)
    daemon = Daemon(process)
    try:
        daemon.wait_for(" polls ")
        yield daemon
    finally:
        if process.poll() is None:
            process.kill()
        daemon.end()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def rewrite(config: Path, text: str) -> None:
    """Replace the configuration in one step, as editors do."""
    fresh = write_config(config.with_suffix(".fresh"), text)
    fresh.replace(config)
