"""A ledger that is missing, cut short, of another kind or from a backup; then all is well again.

What is not the ledger that belongs here is refused, left as it is, and nothing is deleted. One
from a backup does not know the newest messages: these arrive again, and no others.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial

from tests.battery.crash_points import Survival
from tests.battery.scenario import MORE, Case, Kind, open_desk
from tests.battery.steps import DeadlySteps, When
from tests.battery.tally import Tally

PIECES = 16
NEXT_DAY_S = 86400.0
"""Nobody restores a backup within the second in which the lost ledger named its files."""


def _cut_to(pieces: int, case: Case) -> None:
    os.truncate(case.ledger, case.ledger.stat().st_size * pieces // PIECES)


def _be_newer(case: Case) -> None:
    with closing(sqlite3.connect(case.ledger, isolation_level=None)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")


def _be_foreign(case: Case) -> None:
    case.ledger.unlink()
    with closing(sqlite3.connect(case.ledger, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE message (id)")


def _be_a_text(case: Case) -> None:
    case.ledger.write_text("It was here a moment ago.\n")


def _be_a_directory(case: Case) -> None:
    case.ledger.unlink()
    case.ledger.mkdir()


def _be_another_directorys(case: Case) -> None:
    with closing(sqlite3.connect(case.ledger, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = 'feedfeedfeedfeed' WHERE name = 'token'")


DAMAGES: Mapping[str, Callable[[Case], None]] = {
    "missing": lambda case: case.ledger.unlink(),
    **{f"cut to {n} of {PIECES} parts": partial(_cut_to, n) for n in range(PIECES)},
    "of a newer version": _be_newer,
    "another program's database": _be_foreign,
    "another directory's": _be_another_directorys,
    "a text": _be_a_text,
    "a directory": _be_a_directory,
}


def spoil(kind: Kind, *, every: int = 1) -> Survival:
    """Spoil the ledger in each way (or every so manyth), poll, put the right one back, poll."""
    with open_desk(kind) as desk:
        chosen = list(DAMAGES.items())[::every]
        broken = [
            f"ledger {name}: {finding}"
            for name, damage in chosen
            if (finding := _spoiled(desk.begin(), damage))
        ]
        return Survival(f"{kind.value}: ledger spoiled", len(chosen), broken)


def put_back_older(kind: Kind, *, every: int = 1) -> Survival:
    """Kill the second poll at each step (or every so manyth), or never; restore a backup."""
    with open_desk(kind) as desk:
        counting = desk.begin()
        counting.poll()
        counting.refill()
        last = counting.count_steps()
        moments = [None, *range(1, last + 1, every)]
        broken = [
            f"the backup after {'the poll' if n is None else f'step {n} of {last}'}: {finding}"
            for n in moments
            if (finding := _restored(desk.begin(), n))
        ]
        return Survival(f"{kind.value}: ledger from a backup", len(moments), broken)


def _spoiled(case: Case, damage: Callable[[Case], None]) -> str:
    case.poll()
    case.refill()
    right, there = case.ledger.read_bytes(), (case.left(), case.arrived())
    damage(case)
    spoiled = case.ledger.read_bytes() if case.ledger.is_file() else b""
    status = case.poll()
    if not status and isinstance(damage, partial):
        return case.unfair()  # what was cut off meant nothing
    if status != 1 or "Ledger" not in case.error:
        return f"it was not refused, but ended with {status}"
    if (case.left(), case.arrived()) != there:
        return "it was refused, and mail was moved"
    if (case.ledger.read_bytes() if case.ledger.is_file() else b"") != spoiled:
        return "it was refused, and changed"
    if case.ledger.is_dir():
        case.ledger.rmdir()
    case.ledger.write_bytes(right)
    if case.poll():
        return f"once the right one was back: {case.error}"
    return case.unfair()


def _restored(case: Case, dies_at: int | None) -> str:
    case.poll()
    backup = case.ledger.read_bytes()
    case.refill()
    if dies_at is None:
        case.poll()
    else:
        case.poll(partial(DeadlySteps, dies_at, When.AFTER))
    for remains in case.ledger.parent.glob(f"{case.ledger.name}-*"):
        remains.unlink()
    case.ledger.write_bytes(backup)
    if case.poll(later_s=NEXT_DAY_S):
        return f"it ended with {case.error}"
    if finding := _judge_restored(case.tally(), case):
        return finding
    before = case.arrived(), case.left()
    status = case.poll(later_s=NEXT_DAY_S)
    return "" if (status, (case.arrived(), case.left())) == (0, before) else "it never ends"


def _judge_restored(tally: Tally, case: Case) -> str:
    fair = not tally.lost and not tally.altered and tally.doubled <= len(MORE)
    if fair and not case.strays() and case.left() == case.expected_left():
        return ""
    return f"{tally}, {case.left()} on the server, {case.strays()} in tmp"
