"""How many octets all polls together may have in memory."""

MAX_OCTETS = 16 * 1024 * 1024
MAX_COUNTED_OCTETS = 2 * 1024 * 1024
"""What one message counts for at most: larger ones do not lie in memory."""


class Allowance:
    """Counts what was retrieved and is not delivered yet, over all accounts.

    Nobody waits for it. An account that finds it used up delivers what it has before it reads on,
    which always can be done; so they never wait for one another.
    """

    def __init__(self, max_octets: int = MAX_OCTETS) -> None:
        self._max_octets = max_octets
        self._octets = 0

    @property
    def is_used_up(self) -> bool:
        """Whether there is more in memory than there should be."""
        return self._octets >= self._max_octets

    def take(self, octets: int) -> None:
        """Count what has come."""
        self._octets += octets

    def give_back(self, octets: int) -> None:
        """Count it no more."""
        self._octets -= octets
