"""What a failure means for what happens next. The only room that decides this. Pure.

========== =========== ====================================================================
scope      temporary   what happens next
========== =========== ====================================================================
RECIPIENT  as MESSAGE  the same, for that recipient alone
MESSAGE    yes         deferred: tried again after a growing pause; never deleted meanwhile
MESSAGE    no          held: set aside and shown, offered a few times more, never deleted
ACCOUNT    yes         the session ends, the account backs off
ACCOUNT    no          the account is suspended until somebody changes something
PROCESS    either      popsync stops with a sysexits code
========== =========== ====================================================================

An exception that is not ours counts as ACCOUNT and temporary: doubt keeps mail.
"""

from collections.abc import Sequence
from enum import Enum

from popsync.errors import (
    DeliveryBroken,
    DeliveryError,
    DeliveryInDoubt,
    DeliveryLooped,
    DeliveryUndone,
    PopsyncError,
    Scope,
    escape,
)
from popsync.model import (
    DeliveryChange,
    DeliveryState,
    DeliveryStatus,
    Intent,
    Outcome,
    Receipt,
)

DEFERRED_PAUSE_S = 5 * 60
MAX_DEFERRED_PAUSE_S = 4 * 3600
HELD_PAUSES_S = (3600, 6 * 3600, 24 * 3600)
"""A refusal for good is asked again so often: most are a mistake in a server's settings.

What goes round in circles is not: sending it on is what keeps it going."""
MAX_REPEATS = 3
"""A message whose answer was lost is sent again so often; then it is held."""
MAX_BROKEN_TRIES = 3
"""A message that brings a bug to light is tried so often, deferrals included; then it is held."""

NEVER_TRIED = DeliveryStatus(DeliveryState.SEEN, attempts=0, next_try=None)


class Disposition(Enum):
    """What becomes of the work that met a failure."""

    DEFER = "deferred"
    HOLD = "held"
    BACK_OFF = "backs off"
    SUSPEND = "suspended"
    STOP = "stops"


def dispose(error: BaseException) -> Disposition:
    """Read what follows from an error's scope and temporary."""
    if not isinstance(error, PopsyncError):
        return Disposition.BACK_OFF
    match error.scope:
        case Scope.RECIPIENT | Scope.MESSAGE:
            return Disposition.DEFER if error.temporary else Disposition.HOLD
        case Scope.ACCOUNT:
            return Disposition.BACK_OFF if error.temporary else Disposition.SUSPEND
        case Scope.PROCESS:
            return Disposition.STOP


def change_after_outcome(outcome: Outcome, before: DeliveryStatus, now: float) -> DeliveryChange:
    """Give the delivery's new state after a destination has spoken, or fallen silent."""
    if isinstance(outcome, Receipt):
        return DeliveryChange(outcome.delivery, DeliveryState.DELIVERED, escape(outcome.reply))
    doubts = before.doubts + isinstance(outcome.error, DeliveryInDoubt | DeliveryUndone)
    state = _state_after_refusal(outcome.error, before, doubts)
    # A pause grows with what went wrong in the same way, and does not inherit from another.
    attempts = before.attempts + 1 if state is before.state else 1
    next_try = _next_try(outcome.error, state, attempts, now)
    reply = escape(str(outcome.error), limit=500)
    return DeliveryChange(outcome.delivery, state, reply, attempts, next_try, doubts)


def changes_after_intent(intent: Intent, before: Sequence[DeliveryStatus]) -> list[DeliveryChange]:
    """Give the new states of the deliveries that one irreversible step is about to serve.

    before: one status for each of the intent's recipients, in order.
    """
    return [
        DeliveryChange(
            delivery,
            intent.state,
            attempts=status.attempts,
            doubts=status.doubts,
            staged_as=intent.staged_as,
        )
        for delivery, status in zip(intent.deliveries, before, strict=True)
    ]


def pause_after_deferral(attempts: int) -> float:
    """Give the seconds to wait after so many failed attempts: five minutes, doubling to 4 h."""
    return min(DEFERRED_PAUSE_S * 2.0 ** min(attempts - 1, 16), MAX_DEFERRED_PAUSE_S)


def _state_after_refusal(
    error: DeliveryError, before: DeliveryStatus, doubts: int
) -> DeliveryState:
    if isinstance(error, DeliveryBroken):
        was_held = before.state is DeliveryState.HELD
        tried_enough = was_held or before.attempts + 1 >= MAX_BROKEN_TRIES
        return DeliveryState.HELD if tried_enough else DeliveryState.DEFERRED
    if isinstance(error, DeliveryUndone):
        return DeliveryState.SEEN
    if isinstance(error, DeliveryInDoubt):
        return DeliveryState.IN_DOUBT if doubts <= MAX_REPEATS else DeliveryState.HELD
    deferred = dispose(error) is Disposition.DEFER
    return DeliveryState.DEFERRED if deferred else DeliveryState.HELD


def _next_try(
    error: DeliveryError, state: DeliveryState, attempts: int, now: float
) -> float | None:
    """Give when to try again; None is at once, or for what is held, when the operator says."""
    if isinstance(error, DeliveryInDoubt | DeliveryUndone | DeliveryLooped):
        return None
    if state is DeliveryState.DEFERRED:
        return now + pause_after_deferral(attempts)
    return now + HELD_PAUSES_S[attempts - 1] if attempts <= len(HELD_PAUSES_S) else None
