"""The loop of kills at its shortest: it must run, hit the middle of work, and count."""

import pytest

from tests.battery.kill_loop import KillLoop, Mode
from tests.battery.tally import Tally, condense, count
from tests.corpus import varied_messages

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("mode", [Mode.KEEP_MAILDIR, Mode.SMTP], ids=lambda mode: mode.value)
def test_kills_at_random_times_lose_alter_and_double_nothing(mode: Mode) -> None:
    """Five kills into a Maildir, five into SMTP, where copies carry their mark (P1, P4)."""
    result = KillLoop(mode, 5, seed=7).run()

    assert result.fair, str(result)


def test_the_tally_sees_what_is_lost_altered_doubled_and_unmarked() -> None:
    """A judge that overlooks something would make every figure good."""
    sent = varied_messages(5)
    marked = b"X-Popsync-Redelivery: 1\r\n" + sent[1]
    arrived = [sent[0], sent[0], sent[1], marked, sent[2] + b"more\r\n", sent[3]]

    assert count(sent, arrived) == Tally(sent=5, lost=1, altered=1, doubled=2, unmarked=1)
    assert count(map(condense, sent), map(condense, arrived)) == count(sent, arrived)
