"""What a refused login costs: time, more for each one, and at last the connection."""

from collections.abc import Awaitable, Callable

MAX_REFUSED_LOGINS = 3
FIRST_DELAY_S = 1.0


class Penalty:
    """One connection's refused logins. A mailbox as such is never locked to its owner."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._refused = 0

    @property
    def exhausted(self) -> bool:
        """Whether the connection has to end."""
        return self._refused >= MAX_REFUSED_LOGINS

    async def pay(self) -> None:
        """Count a refused login and wait: 1, 2, 4 s."""
        self._refused += 1
        await self._sleep(FIRST_DELAY_S * 2 ** (self._refused - 1))
