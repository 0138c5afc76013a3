"""A small file beside the ledger that outlives it: whoever finds it alone knows of a loss.

Without it a ledger that somebody deleted would be made anew in silence, and everything that is
still on the servers would be delivered once more. It is written after the ledger, so no crash
leaves it alone; a ledger that has none gets one when it is next opened.
"""

import time
from pathlib import Path

from popsync.errors import LedgerCorrupt
from popsync.storage import DurableSteps

MARKER_NAME = "ledger.token"
RESCUED_NAME = "ledger.rescued.sqlite3"
"""What a popsync from which the ledger was taken away has still known of it."""


def mark_directory(ledger: Path, token: str, steps: DurableSteps) -> None:
    """Leave word that ``ledger``, which is durable, belongs here. Raises OSError.

    Raises LedgerCorrupt when the directory remembers a ledger with another token.
    """
    marker = ledger.with_name(MARKER_NAME)
    if marker.exists():
        _compare(ledger, marker, token)
        return
    fresh = marker.with_name(MARKER_NAME + ".new")
    fresh.unlink(missing_ok=True)
    steps.sync_file(steps.write_file(fresh, [f"{token}\n".encode()]))
    steps.rename(fresh, marker)
    steps.sync_directory(marker.parent)


def ledger_exists(ledger: Path) -> bool:
    """Tell whether there is a ledger. Raises LedgerCorrupt when there was one and it is lost."""
    _refuse_rescued(ledger)
    # Looked for before the ledger, beside which another process may be making them right now.
    remains = [
        trace
        for trace in (ledger.with_name(MARKER_NAME), ledger.with_name(ledger.name + "-wal"))
        if trace.exists()
    ]
    if ledger.exists():
        return True
    if remains:
        names = " and ".join(str(trace) for trace in remains)
        show = "shows" if len(remains) == 1 else "show"
        raise _lost(f"the ledger {ledger} is gone, and {names} {show} that there was one", names)
    return False


def _refuse_rescued(ledger: Path) -> None:
    """Leave it to a person which ledger counts when one was taken away in use."""
    rescued = ledger.with_name(RESCUED_NAME)
    if rescued.exists():
        kept_at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(rescued.stat().st_mtime))
        raise LedgerCorrupt(
            f"the ledger {ledger} was taken away while popsync was running. Nothing is polled,"
            f" because messages could be delivered again. Rename {rescued} to {ledger.name}, it"
            f" holds all that was known at {kept_at}; or remove it, to go on without"
        )


def _compare(ledger: Path, marker: Path, token: str) -> None:
    if marker.read_bytes().strip() != token.encode():
        raise _lost(f"the ledger {ledger} is not the one that {marker} tells of", str(marker))


def _lost(finding: str, names: str) -> LedgerCorrupt:
    return LedgerCorrupt(
        f"{finding}. Nothing is polled, because all that is still on the servers would be"
        f" delivered again. Put the ledger back from a backup; or, to begin afresh all the same,"
        f" remove {names}"
    )
