"""How much may be asked for at once: as much as the line brings within a short while."""

SPAN_S = 1.0
"""An orderly stop waits for what is on its way, and a line with a longer round trip is rare."""


class Window:
    """A number of octets that follows what the line has shown that it carries.

    least: what it begins with, and never falls below; most: what it never exceeds.
    """

    def __init__(self, least: int, most: int) -> None:
        self.octets = least
        self._least = least
        self._most = max(least, most)
        self._arrived = 0
        self._waited_s = 0.0

    def note(self, octets: int, waited_s: float) -> None:
        """Note what a read brought, and how long it was waited for."""
        self._arrived += octets
        self._waited_s += waited_s

    def adjust(self) -> None:
        """Take what has come since the last time as the measure of what to ask for now."""
        if self._arrived == 0:
            return
        carried = self._arrived * SPAN_S / max(self._waited_s, 1e-3)
        self.octets = round(min(max(carried, self._least), self._most))
        self._arrived, self._waited_s = 0, 0.0
