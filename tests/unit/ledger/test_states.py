"""Which state may follow which."""

import pytest

from popsync.errors import LedgerError
from popsync.ledger.states import TRANSITIONS, check_transition
from popsync.model import DeliveryKey, DeliveryState
from tests.doubles.retrieved import make_key


def test_every_state_says_what_may_follow_and_a_receipt_is_final() -> None:
    """Nothing takes a promise back (P3), and every other state leads to one."""
    assert set(TRANSITIONS) == set(DeliveryState)
    assert TRANSITIONS[DeliveryState.DELIVERED] == frozenset()


def test_a_receipt_comes_only_after_an_announced_step() -> None:
    """What was never staged or sent cannot have arrived (P2)."""
    before = {state for state, after in TRANSITIONS.items() if DeliveryState.DELIVERED in after}

    assert before == {DeliveryState.STAGED, DeliveryState.DOT_SENT}


def test_every_open_state_can_still_reach_a_receipt() -> None:
    """No delivery is ever stuck."""
    reach = {DeliveryState.DELIVERED}
    for _ in DeliveryState:
        reach |= {state for state, after in TRANSITIONS.items() if after & reach}

    assert reach == set(DeliveryState)


def test_a_forbidden_step_names_message_and_states() -> None:
    """Whoever reads the error can tell what was attempted."""
    delivery = DeliveryKey(make_key(b"u1"), "inbox", "")

    with pytest.raises(LedgerError, match=r"inbox cannot go from delivered to seen .*b'u1'"):
        check_transition(delivery, DeliveryState.DELIVERED, DeliveryState.SEEN)
