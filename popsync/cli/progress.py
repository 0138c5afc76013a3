"""A progress bar on a terminal, made from what polls tell."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from popsync.cli.words import format_octets
from popsync.poll.events import Event, Listed, PollEnded, Retrieved


@dataclass(slots=True)
class _Done:
    """What has arrived so far, and what there is to arrive."""

    messages: int = 0
    octets: int = 0


@dataclass(slots=True)
class Tally:
    """How far a round of polls has come, all accounts together."""

    accounts: int
    """Polls that have not ended yet."""
    arrived: dict[str, _Done] = field(default_factory=dict)
    expected: dict[str, _Done] = field(default_factory=dict)

    def note(self, event: Event) -> bool:
        """Take an event in; give whether it changes anything to show."""
        match event:
            case Listed():
                # A poll may need a second session, which lists what the first has left.
                done = self.arrived.setdefault(event.account, _Done())
                expected = _Done(done.messages + event.to_retrieve, done.octets + event.octets)
                self.expected[event.account] = expected
            case Retrieved():
                done = self.arrived.setdefault(event.account, _Done())
                done.messages += event.messages
                done.octets += event.octets
            case PollEnded():
                self.accounts -= 1
            case _:
                return False
        return True

    @property
    def octets(self) -> tuple[int, int]:
        """Octets that have arrived, and all that are expected by now; LIST's claims."""
        return _sum_octets(self.arrived), _sum_octets(self.expected)

    def describe(self) -> str:
        """Give ``3 accounts to go, 12/150 messages, 1.2 MB``."""
        arrived = sum(done.messages for done in self.arrived.values())
        expected = sum(done.messages for done in self.expected.values())
        octets, _ = self.octets
        accounts = f"{self.accounts} account{'' if self.accounts == 1 else 's'} to go"
        return f"{accounts}, {arrived:,}/{expected:,} messages, {format_octets(octets)}"


def _sum_octets(by_account: dict[str, _Done]) -> int:
    return sum(done.octets for done in by_account.values())


class ProgressBar:
    """One bar on stderr over all accounts. An observer, and a context manager.

    The bar is gone when the block is left; log lines go above it.
    """

    def __init__(self, accounts: int, *, console: Console | None = None) -> None:
        """Expect so many polls to end."""
        self._tally = Tally(accounts)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._bar = self._progress.add_task(self._tally.describe(), total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Move the bar when the event moves anything."""
        if self._tally.note(event):
            octets, expected = self._tally.octets
            self._progress.update(
                self._bar,
                completed=octets,
                total=expected or None,
                description=self._tally.describe(),
            )
