"""The comparison with other fetchers at its shortest: it must run, and see what it is for."""

import pytest

from tests.battery.peers.kill_table import kill_each
from tests.battery.peers.odd_table import TELLING, Fate, meet
from tests.battery.peers.programs import explain_missing
from tests.odd_servers.cases import CASES

pytestmark = pytest.mark.timeout(120)


def test_each_telling_case_is_there_once() -> None:
    """Twenty-four, each by a name that is served."""
    assert len({name for name, _ in TELLING}) == len(TELLING) == 24
    assert all(name in CASES for name, _ in TELLING)


async def test_a_server_that_renames_everything_doubles_nothing_of_ours() -> None:
    """And three messages of a program that goes by unique-ids alone."""
    assert await meet("popsync", "unique-ids-change", keep=True) == Fate()
    if not explain_missing("mpop"):
        assert await meet("mpop", "unique-ids-change", keep=True) == Fate(doubled=3)


def test_kills_are_counted_by_the_same_loop() -> None:
    """Two kills of popsync in each mode: rows of figures that are all zero."""
    rows = [row.strip("| ").split(" | ") for row in kill_each(2, programs=["popsync"])]

    assert [row[:2] for row in rows] == [["popsync", "keep"], ["popsync", "delete"]]
    assert [row[4:] for row in rows] == [["0"] * 4] * 2
