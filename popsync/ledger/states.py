"""Which state of a delivery may follow which.

::

    SEEN ─► STAGED ──────► DELIVERED                    (Maildir)
         ─► DOT_SENT ────► DELIVERED                    (SMTP, LMTP)
                     └───► IN_DOUBT ─► DOT_SENT …       the reply was lost; sent again, marked
         ─► DEFERRED, HELD ─► tried again

There is no state for "being sent": until DOT_SENT is durable the final dot has not been written,
so a crash before it is known to have delivered nothing (RFC 5321 §4.1.1.4).
"""

from collections.abc import Mapping
from types import MappingProxyType

from popsync.errors import LedgerError
from popsync.model import DeliveryKey, DeliveryState

_REFUSED = frozenset({DeliveryState.DEFERRED, DeliveryState.HELD})
_INTENT = frozenset({DeliveryState.STAGED, DeliveryState.DOT_SENT})
_TRIED_AGAIN = _INTENT | _REFUSED
_SETTLED = _REFUSED | {DeliveryState.DELIVERED, DeliveryState.IN_DOUBT, DeliveryState.SEEN}

TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = MappingProxyType(
    {
        DeliveryState.SEEN: _TRIED_AGAIN,
        # Back to SEEN: the staged file is gone, or the dot was never written after all.
        # In doubt even when staged: the Maildir may since have become an SMTP server.
        DeliveryState.STAGED: _SETTLED,
        DeliveryState.DOT_SENT: _SETTLED,
        DeliveryState.IN_DOUBT: _TRIED_AGAIN | {DeliveryState.IN_DOUBT},
        DeliveryState.DEFERRED: _TRIED_AGAIN,
        DeliveryState.HELD: _TRIED_AGAIN | {DeliveryState.SEEN},
        DeliveryState.DELIVERED: frozenset(),
    }
)
"""A receipt is final: nothing follows DELIVERED."""


def check_transition(
    delivery: DeliveryKey, before: DeliveryState, after: DeliveryState
) -> DeliveryState:
    """Give ``after``. Raises LedgerError when it may not follow: the account stops, mail stays."""
    if after not in TRANSITIONS[before]:
        raise LedgerError(
            f"a delivery to {delivery.destination} cannot go from {before.value} to {after.value}"
            f" (message {delivery.message.unique_id!r} of {delivery.message.account})"
        )
    return after
