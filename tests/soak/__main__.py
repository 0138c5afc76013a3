"""``python -m tests.soak ITEM``: the daemon at length and at scale; exit 1 when it fails."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.gauge import MIB
from tests.soak.idle import measure_idle
from tests.soak.known import measure_known
from tests.soak.night import Night
from tests.soak.rounds import SLOWEST_RTT_S, measure_rhythm, measure_round
from tests.soak.stops import ONCE, TWICE, WAYS, measure_stop

Item = Callable[[Path, float], bool]
"""Takes an empty directory and minutes, prints figures, and says whether they are good."""


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a command for the terminal


def run_night(root: Path, minutes: float) -> bool:
    """Twenty accounts under random faults."""
    outcome = Night(root, minutes, seed=int(minutes * 60), tell=say).run()
    say(str(outcome))
    return outcome.fair and outcome.flat


def run_round(root: Path, _minutes: float) -> bool:
    """Fifty accounts 40 ms away, one of them a black hole, all at once."""
    alike = measure_round(_below(root, "alike"))
    say(f"all alike: {alike}")
    uneven = measure_round(_below(root, "uneven"), slowest_rtt_s=SLOWEST_RTT_S)
    say(f"one server {SLOWEST_RTT_S * 1000:g} ms away: {uneven}")
    return alike.hole_waited and uneven.took_s <= 1.1 * max(uneven.sessions_s)


def run_rhythm(root: Path, minutes: float) -> bool:
    """The same accounts, each in its interval."""
    every_s = 5.0
    rhythm = measure_rhythm(root, every_s=every_s, intervals=max(2, int(minutes * 60 / every_s)))
    say(str(rhythm))
    return rhythm.percentile(95) <= 0.1 * every_s


def run_idle(root: Path, minutes: float) -> bool:
    """Two thousand accounts with nothing new, without and with TLS."""
    good = True
    for tls in ("none", "implicit"):
        idle = measure_idle(_below(root, tls), watch_s=minutes * 60, tls=tls)
        say(str(idle))
        good = good and idle.cpu_percent <= 2 and idle.resident_octets <= 100 * MIB
        good = good and idle.first_poll_s < 3 and idle.reload_s < 1
    return good


def run_known(root: Path, _minutes: float) -> bool:
    """A hundred thousand known messages, nothing new."""
    polls = measure_known(root)
    for poll in polls:
        say(str(poll))
    return all(poll.run.took_s < 2 and poll.run.most_octets < 200_000_000 for poll in polls)


def run_stop(root: Path, _minutes: float) -> bool:
    """SIGTERM in the middle of two thousand messages, once and twice."""
    good = True
    for way in WAYS:
        for name, signals in (("one signal", ONCE), ("two signals", TWICE)):
            stop = measure_stop(_below(root, f"{way} {name}"), way, signals=signals)
            say(f"{way}, {name}: {stop}")
            good = good and stop.after.lost == stop.after.altered == stop.after.unmarked == 0
            good = good and stop.took_s < 30 and (stop.code == 0 or signals is TWICE)
    return good


ITEMS: dict[str, tuple[Item, float]] = {
    "night": (run_night, 60),
    "round": (run_round, 0),
    "rhythm": (run_rhythm, 5),
    "idle": (run_idle, 5),
    "known": (run_known, 0),
    "stop": (run_stop, 0),
}


def _below(root: Path, name: str) -> Path:
    directory = root / name
    directory.mkdir()
    return directory


def main() -> int:
    """Read the command line, run the item."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    items = parser.add_subparsers(required=True, metavar="ITEM")
    for name, (run, minutes) in ITEMS.items():
        item = items.add_parser(name, help=run.__doc__)
        item.add_argument("--minutes", type=float, default=minutes, help=f"default {minutes:g}")
        item.set_defaults(run=run)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="popsync-soak-") as root:
        return 0 if options.run(Path(root), options.minutes) else 1


if __name__ == "__main__":
    sys.exit(main())
