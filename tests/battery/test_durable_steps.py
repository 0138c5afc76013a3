"""Every durable step, dying and failing in turn: the short forms."""

import re
from pathlib import Path

import pytest

import popsync
from tests.battery.crash_points import die_once
from tests.battery.power_cuts import cut, cut_recovery
from tests.battery.refusals import corrupt, refuse
from tests.battery.scenario import SPOOLING, Kind

DURABLE = re.compile(
    r"os\.(?:write|fsync|fdatasync|rename|replace|unlink|remove|link|mkdir)\b"
    r"|\.(?:rename|unlink|write_bytes|write_text|mkdir)\(|\"COMMIT\""
)
# Where nothing durable is meant: what a crash may leave behind or undo without harm.
MEANINGLESS_LINES = frozenset({"fresh.unlink(missing_ok=True)"})
ROOMS = ("ledger", "destinations", "spool", "poll", "maildrop")


@pytest.mark.parametrize(
    "kind",
    [Kind.DELETE_MAILDIR, Kind.DELETE_MAILDIR_NAMELESS, Kind.DELETE_MANY_MAILDIR],
    ids=lambda kind: kind.name,
)
def test_a_process_that_dies_at_a_step_ends_as_if_undisturbed(kind: Kind) -> None:
    """Every ninth step of a delete into a Maildir, before and after it (P1, P4)."""
    survival = die_once(kind, every=9)

    assert survival.cases > 4
    assert not survival.broken, str(survival)


@pytest.mark.parametrize("kind", SPOOLING, ids=lambda kind: kind.name)
def test_a_process_that_dies_at_a_step_has_all_in_the_spool(kind: Kind) -> None:
    """Some steps, on a server that hides what it gave: delivered once all the same (P1, P4)."""
    survival = die_once(kind, every=13)

    assert survival.cases > 1
    assert not survival.broken, str(survival)


def test_a_power_cut_may_take_any_part_of_a_copy() -> None:
    """After some steps of putting messages into the spool, every subset is taken back (P4)."""
    survival = cut(Kind.DELETE_PUT_OFF, every=9)

    assert survival.cases > 4
    assert not survival.broken, str(survival)


def test_a_power_cut_may_take_any_part_of_what_was_not_synced() -> None:
    """After every fifth step of a keep into a Maildir, every subset is taken back (P1, P4)."""
    # Between STAGED and the receipt lie five steps or more: a wider stride can miss them all.
    survival = cut(Kind.KEEP_MAILDIR, every=5)

    assert survival.cases > 4
    assert not survival.broken, str(survival)


def test_a_power_cut_may_take_any_part_of_what_a_shared_sync_had_not_reached() -> None:
    """After every eighth step of many messages at once, subsets are taken back (P1, P2, P4)."""
    # Nine names and contents are at risk before the sync, nine moves before the second one.
    survival = cut(Kind.DELETE_MANY_MAILDIR, every=8)

    assert survival.cases > 64
    assert not survival.broken, str(survival)


def test_a_power_cut_may_come_in_the_middle_of_a_commit_and_of_a_recovery() -> None:
    """Some commits lose their part of the log; some recoveries their removals (P1, P4)."""
    for survival in (cut(Kind.DELETE_SMTP, every=4), cut_recovery(Kind.KEEP_MAILDIR, every=11)):
        assert survival.cases > 8
        assert not survival.broken, str(survival)


@pytest.mark.parametrize(
    "kind",
    [Kind.KEEP_MAILDIR, Kind.DELETE_SMTP, Kind.DELETE_PUT_OFF],
    ids=lambda kind: kind.name,
)
def test_a_refused_step_loses_and_doubles_nothing(kind: Kind) -> None:
    """Every ninth step fails with each error of a full or bad disk (P1, P4)."""
    survival = refuse(kind, every=9)

    assert not survival.broken, str(survival)


def test_a_damaged_ledger_deletes_nothing() -> None:
    """Ten ledgers damaged at random: refused, or harmless."""
    survival = corrupt(times=10)

    assert not survival.broken, str(survival)


def test_nothing_durable_escapes_the_steps() -> None:
    """What is not a durable step cannot be failed by a test, so nothing else touches the disk."""
    package = Path(popsync.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for room in ROOMS
        for path in (package / room).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if DURABLE.search(line) and "steps." not in line and line.strip() not in MEANINGLESS_LINES
    ]

    assert found == []
