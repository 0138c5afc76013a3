"""Real disks, permissions and ledgers that are not as they should be: the short forms."""

import pytest

from tests.battery.disks import FAULTS, MOUNTS, Absence, endure, explain_no_mounts, take_away
from tests.battery.ledgers import put_back_older, spoil
from tests.battery.scenario import Kind


@pytest.mark.parametrize("name", FAULTS)
def test_a_real_fault_loses_and_doubles_nothing(name: str) -> None:
    """Every fourth size, limit and mode; what cannot be mounted here is left out (P1, P4)."""
    if name == MOUNTS and (why := explain_no_mounts()):
        pytest.skip(why)
    survival = endure(name, Kind.DELETE_MAILDIR, every=4)

    assert survival.cases > 2
    assert not survival.broken, str(survival)


@pytest.mark.parametrize("absence", Absence, ids=lambda absence: absence.name)
def test_a_maildir_taken_away_while_popsync_runs_loses_nothing(absence: Absence) -> None:
    """Before every seventh step (P1, P4)."""
    survival = take_away(absence, every=7)

    assert survival.cases > 4
    assert not survival.broken, str(survival)


def test_a_spoiled_ledger_is_refused_and_the_right_one_goes_on() -> None:
    """Missing, cut short, newer, foreign: nothing is delivered or deleted meanwhile."""
    survival = spoil(Kind.DELETE_MAILDIR)

    assert not survival.broken, str(survival)


def test_a_ledger_from_a_backup_brings_the_newest_mail_again_and_no_other() -> None:
    """Restored after the poll, and after every fifth of its steps; nothing is lost (P1)."""
    survival = put_back_older(Kind.DELETE_MAILDIR, every=5)

    assert survival.cases > 3
    assert not survival.broken, str(survival)
