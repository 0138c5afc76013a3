"""What follows from how a poll ended, as a table."""

import pytest

from popsync.agent.standing import NextStep, Standing, next_standing
from popsync.errors import (
    AuthRejected,
    AuthUnsupported,
    ConnectFailed,
    DeliveryRejected,
    DestinationMisconfigured,
    LoginDelayed,
    MaildropLocked,
    PopsyncError,
    UnexpectedError,
)
from popsync.model import PollSummary
from popsync.poll.events import PollReport

GONE = ConnectFailed("nobody answers")
NO = AuthRejected("wrong password")
HOUR_S = 3600.0


def step(
    before: Standing,
    error: PopsyncError | None,
    *,
    poll_every_s: float = 300,
    chance: float = 0.0,
    now: float = 1000.0,
) -> NextStep:
    """Give what follows from one poll."""
    report = PollReport("work", PollSummary(now - 1, now), error)
    return next_standing(before, report, poll_every_s=poll_every_s, chance=chance)


def pauses(*errors: PopsyncError | None, poll_every_s: float = 300) -> list[float | None]:
    """Give the pause after each of several polls in a row."""
    standing, given = Standing(), []
    for error in errors:
        standing, pause_s = step(standing, error, poll_every_s=poll_every_s)
        given.append(pause_s)
    return given


@pytest.mark.parametrize(
    ("errors", "poll_every_s", "expected"),
    [
        pytest.param([None, None], 300, [None, None], id="all well"),
        pytest.param([GONE] * 6, 300, [300, 600, 1200, 2400, 3600, 3600], id="doubling"),
        pytest.param([GONE] * 2, 6 * HOUR_S, [6 * HOUR_S] * 2, id="seldom polled anyway"),
        pytest.param([GONE, GONE, None, GONE], 300, [300, 600, 300, 300], id="a success resets"),
        pytest.param([MaildropLocked("x")] * 3, 20, [60, 60, 80], id="locked, a minute at least"),
        pytest.param([LoginDelayed("x")] * 2, 300, [300, 600], id="too soon"),
        pytest.param([NO, NO, NO, NO], 300, [300, 600, 6 * HOUR_S, 6 * HOUR_S], id="refused"),
        pytest.param([NO, GONE, NO, NO], 300, [300, 600, 1200, 6 * HOUR_S], id="and gone between"),
        pytest.param([NO, NO, None, NO], 300, [300, 600, 300, 300], id="refused, then let in"),
        pytest.param([AuthUnsupported("x")], 300, [6 * HOUR_S], id="nothing will change"),
        pytest.param([DestinationMisconfigured("x")], 300, [6 * HOUR_S], id="nor there"),
        pytest.param([UnexpectedError("x")] * 2, 300, [300, 600], id="a bug"),
        pytest.param([DeliveryRejected("x")], 300, [300], id="a message's, gone astray"),
    ],
)
def test_the_pause_follows_from_what_failed(
    errors: list[PopsyncError | None], poll_every_s: float, expected: list[float | None]
) -> None:
    """None leaves the account to its schedule; everything else is in seconds."""
    assert pauses(*errors, poll_every_s=poll_every_s) == expected


def test_years_of_failures_do_not_overflow() -> None:
    """The pause stays an hour."""
    after = step(Standing(failures=100_000, failing_since=1.0), GONE)

    assert after.next_poll_in_s == HOUR_S


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_chance_shortens_a_grown_pause_and_never_the_interval(chance: float) -> None:
    """Nobody comes back sooner than the interval, or later than an hour."""
    first = step(Standing(), GONE, chance=chance)
    later = step(Standing(failures=9, failing_since=1.0), GONE, chance=chance)

    assert first.next_poll_in_s == 300
    assert later.next_poll_in_s == HOUR_S * (1 - 0.2 * chance)


def test_a_standing_counts_from_the_first_failure() -> None:
    """So that the end of trouble can say how long it was."""
    first = step(Standing(), GONE, now=1000)
    second = step(first.standing, NO, now=2000)
    well = step(second.standing, None, now=3000)

    assert second.standing == Standing(2, 1000, 1, trouble="AuthRejected: wrong password")
    assert well.standing == Standing()


def test_a_suspended_account_that_meets_other_trouble_backs_off() -> None:
    """Its server being away says nothing of the password; three refusals were, and still count."""
    before = Standing(failures=3, failing_since=1.0, refused_logins=3, suspended=True)
    away = step(before, GONE)
    refused = step(away.standing, NO)

    assert (away.standing.suspended, refused.standing.suspended) == (False, True)
