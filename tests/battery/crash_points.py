"""The process dies at its n-th durable step, for every n, and is started again.

It must end as if nothing had happened, and a third run must change nothing. At length it also
dies a second time, at every step of its recovery.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from tests.battery.scenario import Case, Desk, Kind, open_desk
from tests.battery.steps import DIED, DeadlySteps, When

PAIRS_UP_TO = 60
SHARED_COMMITS = 3
"""Two destinations that are ready at the same moment share a commit: one run may be so many steps
shorter than the one that was counted. What follows it is looked at all the same."""


class Survival(NamedTuple):
    """How many cases there were, and those that did not end well."""

    name: str
    cases: int
    broken: list[str]

    def __str__(self) -> str:
        """One line of the table."""
        line = f"{self.name:62} survived {self.cases - len(self.broken)} of {self.cases}"
        return "\n  ".join([line, *self.broken[:5]])


def die_once(kind: Kind, *, every: int = 1) -> Survival:
    """Die at every step (or every so manyth), before and after it."""
    with open_desk(kind) as desk:
        last = desk.begin().count_steps()
        moments = [(n, when) for n in range(1, last + 1, every) for when in When]
        broken = [
            f"{when.value} step {n} of {last}: {finding}"
            for n, when in moments
            if (finding := _survive(desk.begin(), (n, when), may_end=n > last - SHARED_COMMITS))
        ]
        return Survival(kind.value, len(moments), broken)


def die_twice(kind: Kind) -> Survival:
    """Die at step n, and again at step m of the run after it."""
    with open_desk(kind) as desk:
        last = min(PAIRS_UP_TO, desk.begin().count_steps())
        cases, broken = 0, []
        for first in range(1, last + 1):
            for second in _steps_until_survival(desk, first):
                cases += 1
                if second:
                    broken.append(f"step {first}, then {second}")
        return Survival(f"{kind.value}, dying twice", cases, broken)


def _steps_until_survival(desk: Desk, first: int) -> Iterator[str]:
    for second in range(1, PAIRS_UP_TO + 1):
        case = desk.begin()
        case.poll(partial(DeadlySteps, first, When.AFTER))
        died = case.poll(partial(DeadlySteps, second, When.BEFORE)) == DIED
        finding = end_well(case)
        yield f"{second}: {finding}" if finding else ""
        if not died:
            return


def _survive(case: Case, moment: tuple[int, When], *, may_end: bool) -> str:
    status = case.poll(partial(DeadlySteps, *moment))
    if status != DIED and not (may_end and status == 0):
        return f"it did not die, but ended with {status}"
    return end_well(case)


def end_well(case: Case) -> str:
    """Poll until nothing is open, look, poll once more, look whether anything changed."""
    if status := case.poll_to_the_end():
        return f"a later run failed with {status}: {case.error}"
    if finding := case.unfair():
        return finding
    before = case.arrived(), case.left()
    status = case.poll()
    after = case.arrived(), case.left()
    return "" if (status, after) == (0, before) else f"a third run changed {before} to {after}"
