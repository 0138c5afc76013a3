"""How far a round has come."""

import io

from rich.console import Console

from popsync.cli.progress import ProgressBar, Tally
from popsync.model import PollSummary
from popsync.poll.events import Listed, PollEnded, PollReport, Retrieved, Warned

ENDED = PollEnded(PollReport("a", PollSummary(0, 1)))


def test_accounts_add_up() -> None:
    """Arrived of expected, over all accounts."""
    tally = Tally(accounts=2)
    for event in (Listed("a", 9, 3, 3000), Listed("b", 1, 1, 500), Retrieved("a", 2, 2000), ENDED):
        assert tally.note(event)

    assert tally.describe() == "1 account to go, 2/4 messages, 2.0 kB"
    assert tally.octets == (2000, 3500)


def test_a_second_session_of_a_poll_counts_what_is_left() -> None:
    """What the first session brought is not expected again."""
    tally = Tally(accounts=1)
    for event in (Listed("a", 9, 3, 3000), Retrieved("a", 2, 2000), Listed("a", 9, 1, 1000)):
        tally.note(event)

    assert tally.octets == (2000, 3000)


def test_other_events_move_nothing() -> None:
    """A warning is not progress."""
    assert not Tally(accounts=1).note(Warned("a", "hm"))


def test_the_bar_leaves_nothing_behind() -> None:
    """On a terminal it draws while it lasts, and is gone after."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with ProgressBar(1, console=console) as bar:
        bar(Listed("a", 1, 1, 100))
        bar(Retrieved("a", 1, 100))
        bar(Warned("a", "hm"))

    assert "1/1 messages" in screen.getvalue()
    assert screen.getvalue().endswith(("\x1b[2K", "\r"))
