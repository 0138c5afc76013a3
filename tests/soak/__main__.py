"""``python -m tests.soak ITEM``: the daemon at length and at scale; exit 1 when it fails."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.night import REPOSITORY, Night


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 - a command for the terminal


def run_night(options: argparse.Namespace) -> bool:
    """Let everything break for so many minutes; print what the daemon took, and what it did."""
    with TemporaryDirectory(prefix="popsync-soak-") as root:
        night = Night(
            Path(root), options.minutes, seed=options.seed, source=options.source, tell=say
        )
        outcome = night.run()
    say(str(outcome))
    return outcome.fair


def main() -> int:
    """Read the command line, run the item."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    items = parser.add_subparsers(required=True)
    night = items.add_parser("night", help="twenty accounts under random faults")
    night.add_argument("--minutes", type=float, default=60)
    night.add_argument("--seed", type=int, default=1)
    night.add_argument("--source", type=Path, default=REPOSITORY, help="the tree to be judged")
    night.set_defaults(run=run_night)
    options = parser.parse_args()
    return 0 if options.run(options) else 1


if __name__ == "__main__":
    sys.exit(main())
