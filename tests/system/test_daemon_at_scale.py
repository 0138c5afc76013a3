"""Many accounts, a far server, a bad night: short forms of what ``python -m tests.soak`` measures.

The bounds are for a machine that does a lot besides; the figures are in docs/scale.md.
"""

from pathlib import Path

import pytest

from tests.soak.gauge import MIB
from tests.soak.idle import measure_idle
from tests.soak.known import measure_known
from tests.soak.night import Night
from tests.soak.rounds import SLOWEST_RTT_S, measure_rhythm, measure_round
from tests.soak.stops import MESSAGES, ONCE, TWICE, WAYS, measure_stop

pytestmark = pytest.mark.timeout(300)


def test_a_round_takes_as_long_as_its_slowest_account(tmp_path: Path) -> None:
    """Fifty at once, one of them ten times as far: nobody waits for another, or a black hole."""
    taken = measure_round(tmp_path, slowest_rtt_s=SLOWEST_RTT_S)

    assert taken.hole_waited  # when all others were done
    assert len(taken.sessions_s) == 49
    assert taken.took_s < 1.5 * max(taken.sessions_s)
    assert taken.took_s < sum(taken.sessions_s) / 4


def test_fifty_accounts_are_polled_on_time(tmp_path: Path) -> None:
    """A black hole and an edit of another account make nobody late."""
    rhythm = measure_rhythm(tmp_path, every_s=3, intervals=4)

    assert "accounts_changed=a1" in rhythm.reloaded
    assert len(rhythm.late_s) >= 48 * 4
    assert rhythm.percentile(95) < 0.3 * rhythm.every_s
    assert rhythm.hole_calls == 1  # it is still being waited for


def test_two_thousand_accounts_are_little_work(tmp_path: Path) -> None:
    """They are there in seconds, one is changed in seconds, and 100 MiB are enough."""
    idle = measure_idle(tmp_path, watch_s=3)

    assert idle.first_poll_s < 10
    assert idle.reload_s < 5
    assert "accounts_changed=a7" in idle.reloaded
    assert idle.resident_octets < 100 * MIB
    assert idle.polls < 3 * 7 * 3  # they do not knock all at once
    assert idle.cpu_percent < 20


def test_many_known_messages_are_little_work(tmp_path: Path) -> None:
    """Compared or recognised, five thousand of them fit into what a poll takes anyhow."""
    for poll in measure_known(tmp_path, messages=5_000):
        assert poll.run.most_octets < 100 * MIB, poll
        assert poll.run.cpu_s < 5, poll


@pytest.mark.parametrize("way", WAYS)
def test_a_stop_among_two_thousand_messages_leaves_nothing_half_done(
    way: str, tmp_path: Path
) -> None:
    """Exit 0 in time, nothing partial, and the next start brings the rest (P4)."""
    stop = measure_stop(tmp_path, way, signals=ONCE)

    assert (stop.code, stop.next_code, stop.partial) == (0, 0, [])
    assert stop.took_s < 30
    assert 0 < stop.between < MESSAGES
    assert stop.after == (MESSAGES, 0, 0, 0, 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_second_signal_among_two_thousand_messages_loses_nothing(
    way: str, tmp_path: Path
) -> None:
    """It ends at once; what may arrive twice by SMTP says so (P4)."""
    stop = measure_stop(tmp_path, way, signals=TWICE, rtt_s=0.2)

    assert stop.code in {130, 143}  # which signal came second is open
    assert stop.took_s < 10
    assert stop.between < MESSAGES
    assert (stop.after.lost, stop.after.altered, stop.after.unmarked) == (0, 0, 0)
    assert way == "smtp" or stop.after.doubled == 0
    assert stop.next_code == 0


def test_a_bad_night_loses_nothing_and_leaks_nothing(tmp_path: Path) -> None:
    """Twenty seconds of faults of every kind; afterwards all mail is there, and it is at rest."""
    outcome = Night(tmp_path, minutes=1 / 3, seed=7).run()
    first, rest = outcome.samples[0], outcome.rest

    assert outcome.fair, str(outcome)
    assert rest.tasks <= first.tasks + 5
    assert rest.usage.threads <= first.usage.threads + 8
    assert rest.usage.descriptors <= first.usage.descriptors + 20
    assert rest.usage.resident_octets <= first.usage.resident_octets + 40 * MIB
