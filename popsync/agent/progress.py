"""Whether a poll under way gets on.

Each thing that a poll waits for has deadlines of its own, where it happens. This is what notices
that they did not help: a poll that waits for one thing for twice what all its deadlines come to.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PATIENCE = 2.0
"""So many times what a step may take is it waited for."""
LEDGER_S = 60.0
"""Between two steps there is only the ledger, and a little thinking."""

MAX_POLL_S = 30 * 60.0
"""However much mail there is, and however slowly it comes."""


@dataclass(eq=False, slots=True)
class _Step:
    what: str
    ends_at: float


class Progress:
    """What one poll waits for, and how long it still may. ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps: list[_Step] = []
        self._moved_at: float | None = None
        self._begun_at = 0.0
        self.cut_at = ""
        """The step at which the poll was given up; empty when it was not."""
        self.ran_long = False
        """It was asked to end before everything was done, and should go on in another one."""

    def begin(self) -> None:
        """Reckon from now; a poll that waits for its turn is not stuck."""
        self._begun_at = self._moved_at = self._clock()

    def should_end(self) -> bool:
        """Say whether the poll has lasted so long that it should finish what is in hand.

        Servers carry deletions out at the end of a session, and drop them with the connection.
        """
        self.ran_long = self.ran_long or self._clock() - self._begun_at > MAX_POLL_S
        return self.ran_long

    @contextmanager
    def step(self, what: str, allowed_s: float) -> Iterator[None]:
        """Wait for ``what`` as long as the block lasts; several at a time are possible."""
        step = _Step(what, self._clock() + PATIENCE * allowed_s)
        self._steps.append(step)
        try:
            yield
        finally:
            self._steps.remove(step)
            self._moved_at = self._clock()

    def stuck(self) -> tuple[str, float]:
        """Give what the poll is stuck at, and for how many seconds; 0 when it is not stuck."""
        if self._moved_at is None:
            return "", 0.0
        idle = _Step("the ledger", self._moved_at + PATIENCE * LEDGER_S)
        step = min(self._steps or [idle], key=lambda step: step.ends_at)
        return step.what, max(0.0, self._clock() - step.ends_at)
