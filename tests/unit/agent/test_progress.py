"""What a poll waits for, and when that is too long."""

import math

import pytest

from popsync.agent.progress import Progress
from popsync.maildrop.settings import Deadlines


class Bench:
    """A progress whose clock is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.progress = Progress(lambda: self.now)

    def stuck_after(self, seconds: float) -> tuple[str, float]:
        """Let time pass and give what the poll is stuck at, and for how long."""
        self.now += seconds
        return self.progress.stuck()


@pytest.fixture
def bench() -> Bench:
    """A poll that has not begun."""
    return Bench()


def test_a_poll_that_waits_for_its_turn_is_not_stuck(bench: Bench) -> None:
    """Its turn may be long in coming."""
    assert bench.stuck_after(1e6) == ("", 0.0)


def test_a_step_has_twice_what_it_may_take(bench: Bench) -> None:
    """After that the poll is stuck at it, until it is over."""
    bench.progress.begin()
    with bench.progress.step("the listing", 100.0):
        before = bench.stuck_after(200.0)
        after = bench.stuck_after(5.0)

    assert (before, after) == (("the listing", 0.0), ("the listing", 5.0))
    assert bench.stuck_after(1.0)[1] == 0.0


def test_of_several_steps_the_one_that_is_late_counts(bench: Bench) -> None:
    """Retrieval stands still while a destination is waited for, for as long as that may take."""
    bench.progress.begin()
    with bench.progress.step("a destination", math.inf), bench.progress.step("a message", 10.0):
        assert bench.stuck_after(21.0) == ("a message", 1.0)
    with bench.progress.step("a destination", math.inf):
        assert bench.stuck_after(1e6)[1] == 0.0


def test_a_long_poll_is_asked_to_end(bench: Bench) -> None:
    """Half an hour after it began, and that is remembered."""
    bench.progress.begin()
    bench.now += 1800.0
    before = bench.progress.should_end()
    bench.now += 1.0

    assert (before, bench.progress.should_end(), bench.progress.ran_long) == (False, True, True)


def test_between_steps_there_is_the_ledger(bench: Bench) -> None:
    """Two minutes are more than any transaction takes."""
    bench.progress.begin()
    with bench.progress.step("a message", 1000.0):
        bench.now += 500.0

    assert bench.stuck_after(120.0)[1] == 0.0
    assert bench.stuck_after(1.0) == ("the ledger", 1.0)


def test_deadlines_of_steps_are_those_of_all_that_is_in_them() -> None:
    """In seconds; a message whose size is not known may be as large as any."""
    deadlines = Deadlines()

    assert deadlines.for_opening() == 750.0
    assert deadlines.for_listing() == 7320.0
    assert deadlines.for_retrieval([0, 1000]) == 3840.0
    assert deadlines.for_retrieval([102_400, 1000]) == 400.0
    assert deadlines.for_deletions(100) == 160.0
