"""The state model at its shortest, and that it sees what is wrong."""

from types import MappingProxyType

import pytest

from popsync.ledger import states
from popsync.model import DeliveryState
from tests.battery.model.explore import REMOVED, explore
from tests.battery.model.facts import Arrow, Setting, Way

SHORTEST = (
    Setting(Way.MAILDIR, deletes=True),
    Setting(Way.SMTP, deletes=True, hides=True),
    Setting(Way.LMTP, deletes=False),
)
NEEDED: dict[Arrow, Way] = {
    (DeliveryState.SEEN, DeliveryState.STAGED): Way.MAILDIR,
    (DeliveryState.STAGED, DeliveryState.DELIVERED): Way.MAILDIR,
    (DeliveryState.SEEN, DeliveryState.DOT_SENT): Way.SMTP,
    (DeliveryState.DOT_SENT, DeliveryState.DELIVERED): Way.SMTP,
    (DeliveryState.DOT_SENT, DeliveryState.IN_DOUBT): Way.SMTP,
    (DeliveryState.IN_DOUBT, DeliveryState.DOT_SENT): Way.SMTP,
    (DeliveryState.DOT_SENT, DeliveryState.DEFERRED): Way.SMTP,
    (DeliveryState.DEFERRED, DeliveryState.DOT_SENT): Way.SMTP,
}


@pytest.mark.parametrize("setting", SHORTEST, ids=lambda setting: setting.way.value)
def test_no_state_breaks_a_promise(setting: Setting) -> None:
    """Two crashes or power cuts, a fault, a reader: nothing lost, altered, doubled (P1, P4)."""
    result = explore(setting, faults=1)

    assert result.states > 1000
    assert not result.violations, str(result)


@pytest.mark.parametrize("setting", REMOVED, ids=str)
def test_without_a_rule_some_state_breaks_one(setting: Setting) -> None:
    """A model that cannot see what a rule is for would prove nothing."""
    assert explore(setting, until_violation=True).violations


@pytest.mark.parametrize("arrow", NEEDED, ids=lambda arrow: f"{arrow[0].value}-{arrow[1].value}")
def test_the_ledgers_own_table_is_what_is_explored(
    arrow: Arrow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take one transition out of the product's table: the model says that it is refused."""
    before, after = arrow
    table = dict(states.TRANSITIONS)
    table[before] -= {after}
    monkeypatch.setattr(states, "TRANSITIONS", MappingProxyType(table))

    result = explore(Setting(NEEDED[arrow], deletes=True), until_violation=True)

    assert any("cannot go from" in finding for finding in result.violations)
