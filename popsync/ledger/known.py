"""What the ledger knows of the messages of one account."""

import json
import sqlite3
from collections.abc import Mapping

from popsync.model import Kept, KnownMessage, MessageState, UniqueId

_MESSAGE_STATES = {state.value: state for state in MessageState}

# In the order of KnownMessage's fields.
_KNOWN = """
SELECT unique_id, digest, state, copies, first_seen, settled_at, next_try, suspect, deletions,
       oversize, listed_octets, served,
       iif(spooled = 0, 0, iif(gone_at IS NOT NULL, 2, iif(reason <> '', 3, 1)))
FROM message WHERE account = ? ORDER BY generation
"""

_KEPT = (Kept.NOT, Kept.SPOOLED, Kept.LEFT, Kept.DAMAGED)


def read_known(
    connection: sqlite3.Connection, account: int
) -> Mapping[UniqueId, tuple[KnownMessage, ...]]:
    """Give every generation of every unique-id of one account, the earliest first."""
    states = _MESSAGE_STATES
    known: dict[UniqueId, tuple[KnownMessage, ...]] = {}
    served: dict[str, frozenset[str]] = {}
    for row in connection.execute(_KNOWN, (account,)):
        unique_id, digest, state, copies, first, settled, next_try, *rest = row
        suspect, deletions, oversize, listed_octets, names, kept = rest
        if names not in served:
            served[names] = frozenset(json.loads(names))
        message = KnownMessage(
            unique_id,
            digest,
            states[state],
            copies,
            first,
            settled,
            next_try,
            suspect > 0,
            deletions,
            oversize == 1,
            listed_octets,
            suspect == 2,
            served[names],
            _KEPT[kept],
        )
        earlier = known.get(unique_id)
        known[unique_id] = (message,) if earlier is None else (*earlier, message)
    return known
