"""Read ``coverage json`` on stdin, print how much of each room the tests cover, and judge it.

Usage: coverage json -o - | python contrib/coverage_by_room.py
Exit code 1 when a room that mail depends on has less than its share.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

# The rooms that can lose mail. A room that is not named here is shown and not judged.
REQUIRED_PERCENT: Mapping[str, float] = {
    "wire": 95.0,
    "poll": 95.0,
    "ledger": 95.0,
    "destinations": 95.0,
    "spool": 95.0,
    "config": 95.0,
}
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def room_of(path: str) -> str:
    """Give the room that a file belongs to: its directory in popsync, or its own name."""
    parts = PurePath(path).parts
    return parts[parts.index("popsync") + 1].removesuffix(".py")


def count_by_room(files: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """Add the counts of coverage's report up for each room."""
    rooms: dict[str, Counter[str]] = {}
    for path, report in files.items():
        counts = rooms.setdefault(room_of(path), Counter())
        counts.update({name: report["summary"][name] for name in COUNTS})
    return rooms


def percent(covered: int, total: int) -> float:
    """Give the share in percent; of nothing, all is covered."""
    return 100.0 * covered / total if total else 100.0


def branch_percent(counts: Counter[str]) -> float:
    """Give coverage's own figure with ``--cov-branch``: lines and branches together."""
    covered = counts["covered_lines"] + counts["covered_branches"]
    return percent(covered, counts["num_statements"] + counts["num_branches"])


def judge(rooms: Mapping[str, Counter[str]]) -> Iterable[str]:
    """Give a complaint for each room that is missing or has too little."""
    for room, required in REQUIRED_PERCENT.items():
        reached = branch_percent(rooms[room]) if room in rooms else 0.0
        if reached < required:
            yield f"{room}: {reached:.2f} % is less than {required} %"


def main() -> int:
    """Print the table and the complaints."""
    rooms = count_by_room(json.load(sys.stdin)["files"])
    for room, counts in sorted(rooms.items()):
        lines = percent(counts["covered_lines"], counts["num_statements"])
        branches = percent(counts["covered_branches"], counts["num_branches"])
        both = branch_percent(counts)
        print(f"{room:14} {both:6.2f} %  (lines {lines:6.2f}, branches {branches:6.2f})")
    complaints = list(judge(rooms))
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
