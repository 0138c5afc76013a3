"""A table that grows while the demonstration runs, on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from popsync.cli.demo.stage import CAST
from popsync.poll.events import Deleted, Delivered, Event, Listed


class LiveTable:
    """Accounts with what has happened to their mail so far. An observer, a context manager."""

    def __init__(self, *, console: Console | None = None) -> None:
        """Show the table on stdout."""
        self._counts = {
            role.name: dict.fromkeys(("listed", "delivered", "deleted"), 0) for role in CAST
        }
        self._live = Live(
            get_renderable=self._draw, console=console or Console(), refresh_per_second=20
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Count what an event says; the table redraws itself."""
        match event:
            case Listed():
                self._counts[event.account]["listed"] = event.listed
            case Delivered():
                self._counts[event.account]["delivered"] += 1
            case Deleted():
                self._counts[event.account]["deleted"] += event.messages
            case _:
                pass

    def _draw(self) -> Table:
        table = Table("account", "mode", "delivers to")
        for name in ("listed", "delivered", "deleted"):
            table.add_column(name, justify="right")
        for role in CAST:
            counts = map(str, self._counts[role.name].values())
            table.add_row(role.name, role.mode, role.destination, *counts)
        return table
