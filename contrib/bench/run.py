"""Compare popsync with the POP3 fetchers that are installed here. See README.md beside this file.

Usage: python contrib/bench/run.py [--messages N] [--rounds N] [--only NAME,…] [--plot FILE]
Exit code 1 when a program lost, doubled or changed a message, or failed.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from corpus import expected, found
from fetchers import SET_UPS, SUCCESS, Task, find_program, steps_down
from report import Curves, Figure, Panel, plot, table

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FAR_MS = 40
PLOTTED_RTTS_MS = (0, 10, 20, 40, 80)
PLOTTED_NUMBERS = (500, 1000, 2000, 4000)
MAX_TRIES = 4
"""getmail may miss the end of a process that it started, and then waits for minutes."""


class Scenario(NamedTuple):
    """What is fetched from where."""

    name: str
    accounts: int
    messages: int
    """In each account."""
    rtt_ms: int
    nothing_new: bool = False
    """Whether an earlier run, which is not measured, has fetched everything."""
    octets: int = 2000
    """Of each message, about."""

    @property
    def limit_s(self) -> float:
        """After this time a program hangs: the slowest takes four round trips for a message."""
        return 30 + self.accounts * self.messages * (0.02 + 4 * self.rtt_ms / 1000)


class Wrong(Exception):
    """A program failed, or did not deliver what it should have."""


class Hung(Wrong):
    """A program did not end."""


class Bench:
    """Runs programs through scenarios, each in a new directory, and checks what they deliver."""

    def __init__(self, work: Path, programs: Sequence[str], rounds: int) -> None:
        self._work = work
        self._programs = programs
        self._rounds = rounds
        self.wrong: list[str] = []
        """What went wrong, in words."""

    def measure(self, scenario: Scenario) -> dict[str, Figure]:
        """Give medians; the programs take turns, so that a busy machine is the same for all."""
        taken: defaultdict[str, list[Figure]] = defaultdict(list)
        programs = list(self._programs)
        with running_server(scenario) as port:
            for _ in range(self._rounds):
                for name in tuple(programs):
                    try:
                        taken[name].append(self._try(name, scenario, port))
                    except Hung as error:
                        print(f"{scenario.name}: {name}: {error}, left out", file=sys.stderr)
                        programs.remove(name)
                    except Wrong as error:
                        self._report(f"{scenario.name}: {name}: {error}")
                        programs.remove(name)
        return {name: _median(taken[name]) for name in programs}  # of those that always ended

    def _report(self, what: str) -> None:
        print(f"WRONG: {what}", file=sys.stderr)
        self.wrong.append(what)

    def _try(self, name: str, scenario: Scenario, port: int) -> Figure:
        """Give what one run took, after runs that did not end."""
        for _ in range(1, MAX_TRIES):
            try:
                return self._once(name, scenario, port)
            except Hung as error:
                print(f"{scenario.name}: {name}: {error}, tried again", file=sys.stderr)
        return self._once(name, scenario, port)

    def _once(self, name: str, scenario: Scenario, port: int) -> Figure:
        task = Task(Path(tempfile.mkdtemp(dir=self._work)), scenario.accounts, port)
        try:
            _make_maildir(task)
            command = SET_UPS[name](task)
            if steps_down(name):
                _hand_over(task.directory)
            figure = run_program(name, command, task.directory, scenario.limit_s)
            if scenario.nothing_new:
                figure = run_program(name, command, task.directory, scenario.limit_s)
            check_delivered(task, scenario)
        finally:
            shutil.rmtree(task.directory)
        return figure


def _make_maildir(task: Task) -> None:
    for part in ("tmp", "new", "cur"):
        (task.maildir / part).mkdir(parents=True)


def _hand_over(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        shutil.chown(path, "nobody", "nogroup")


def _median(figures: Sequence[Figure]) -> Figure:
    return Figure(
        statistics.median(figure.wall_s for figure in figures),
        statistics.median(figure.cpu_s for figure in figures),
    )


@contextmanager
def running_server(scenario: Scenario) -> Iterator[int]:
    """Run a server for one scenario; give its port."""
    sizes = (scenario.accounts, scenario.messages, scenario.octets, scenario.rtt_ms)
    with subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), *map(str, sizes)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None  # noqa: S101 - for the type
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def run_program(name: str, command: Sequence[str], home: Path, limit_s: float) -> Figure:
    """Run a program to its end; give what it and its children took. Raises Wrong, Hung."""
    path = find_program(name)
    assert path is not None  # noqa: S101 - only programs that were found are run
    owner = "nobody" if steps_down(name) else None
    before = _children_cpu_s()
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [path, *command[1:]],
            capture_output=True,
            check=False,
            cwd=home,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)},
            stdin=subprocess.DEVNULL,
            timeout=limit_s,
            user=owner,
            group="nogroup" if owner else None,
            extra_groups=[] if owner else None,
        )
    except subprocess.TimeoutExpired as expired:
        raise Hung(f"did not end within {limit_s:.0f} s") from expired
    figure = Figure(time.perf_counter() - began, _children_cpu_s() - before)
    if done.returncode not in SUCCESS.get(name, (0,)):
        last_words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise Wrong(f"exit code {done.returncode}: {''.join(last_words)}")
    return figure


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def check_delivered(task: Task, scenario: Scenario) -> None:
    """Compare every message's digest. Raises Wrong."""
    wanted = expected(scenario.accounts, scenario.messages, scenario.octets)
    delivered = found(task.maildir)
    if delivered != wanted:
        missing, extra = (wanted - delivered).total(), (delivered - wanted).total()
        raise Wrong(f"{missing} messages missing, {extra} doubled or changed")


def scenarios(messages: int) -> list[Scenario]:
    """Give what the table shows."""
    far = min(messages, 500)
    return [
        Scenario(f"{messages:,} messages, loopback", 1, messages, 0),
        Scenario(f"nothing new among {messages:,}, loopback", 1, messages, 0, nothing_new=True),
        Scenario(f"{far} messages, {FAR_MS} ms", 1, far, FAR_MS),
        Scenario(f"10 accounts of 20 messages, {FAR_MS} ms", 10, 20, FAR_MS),
    ]


def draw(bench: Bench, messages: int, file: Path) -> None:
    """Write a picture of time against round-trip time, and against the number of messages."""
    far = [Scenario(f"plot, {rtt_ms} ms", 1, messages, rtt_ms) for rtt_ms in PLOTTED_RTTS_MS]
    many = [Scenario(f"plot, {number} messages", 1, number, 0) for number in PLOTTED_NUMBERS]
    panels = [
        Panel(
            f"{messages} messages into a Maildir",
            "round-trip time, ms",
            _curves(bench, {scenario.rtt_ms: scenario for scenario in far}),
        ),
        Panel(
            "into a Maildir, from the same machine",
            "messages",
            _curves(bench, {scenario.messages: scenario for scenario in many}),
        ),
    ]
    if all(panel.curves for panel in panels):
        file.write_text(plot(panels))


def _curves(bench: Bench, scenarios: Mapping[int, Scenario]) -> Curves:
    curves: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for across, scenario in scenarios.items():
        for name, figure in bench.measure(scenario).items():
            curves[name].append((across, figure.wall_s))
    return curves


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare popsync with other POP3 fetchers.")
    parser.add_argument("--messages", type=int, default=10_000, help="in the large scenarios")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many is shown")
    parser.add_argument("--only", default=",".join(SET_UPS), help="programs, with commas between")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG picture as well")
    return parser.parse_args()


def main() -> int:
    """Measure, print the table, draw the picture."""
    options = arguments()
    chosen = options.only.split(",")
    programs = [name for name in SET_UPS if name in chosen and find_program(name)]
    if not programs:
        sys.exit(f"None of these is installed: {', '.join(SET_UPS)}")
    print(f"Programs found: {', '.join(programs)}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="popsync-bench-") as work:
        Path(work).chmod(0o755)  # nobody must come through
        bench = Bench(Path(work), programs, options.rounds)
        print(table({each.name: bench.measure(each) for each in scenarios(options.messages)}))
        if options.plot:
            draw(bench, min(options.messages, 200), options.plot)
    return 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
