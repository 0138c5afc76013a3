"""Find words in popsync's source for which CONTRIBUTING.md has a better one.

Usage: python contrib/words.py FILE-OR-DIRECTORY …
Exit code 1 when there are any.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# Only words that popsync has no other use for: "run" or "server" may well be right.
BETTER_WORDS = {
    r"msg_?ids?|uids?": "unique-id, or message number",
    r"sinks?": "destination",
    r"quarantined?|dead[ _-]?letters?": "held",
    r"seen[ _-]?db": "ledger",
    r"purged?": "delete",
    r"uploads?": "delivery",
    r"remote[ _-]folders?": "maildrop",
    r"data_length|message_length|body_length": "octets",
}
# A room is named after what it holds; these hold everything.
BETTER_NAMES = {"utils", "util", "helpers", "common", "manager", "misc"}

PATTERN = re.compile("|".join(rf"\b({word})\b" for word in BETTER_WORDS), re.IGNORECASE)


def python_files(paths: Iterable[str]) -> Iterator[Path]:
    """Give the Python files that the paths are, or hold."""
    for path in map(Path, paths):
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def complaints_about(path: Path) -> Iterator[str]:
    """Give one line for each word or name that has a better one."""
    for name in BETTER_NAMES.intersection((*path.parts, path.stem)):
        yield f"{path}: a module or room named {name!r} says nothing of what it holds"
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        for match in PATTERN.finditer(line):
            better = list(BETTER_WORDS.values())[(match.lastindex or 1) - 1]
            yield f"{path}:{number}: {match[0]!r}: the word here is {better}"


def main() -> int:
    """Print all complaints."""
    complaints = [text for path in python_files(sys.argv[1:]) for text in complaints_about(path)]
    print("\n".join(complaints) or "no word has a better one")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
