"""Adds retrieved messages, with the deliveries they owe. Each call is part of one transaction."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from popsync.ledger.accounts import number_of_account
from popsync.ledger.deliveries import Place
from popsync.ledger.questions import ask_in_pieces, write_rows
from popsync.model import AccountId, DeliveryKey, DeliveryState, Digest, SeenMessage, UniqueId

# With it what else must be known, for one row without a message where none has these unique-ids.
_SAME_UNIQUE_IDS = """
SELECT owner.id, (SELECT coalesce(max(id), 0) FROM message),
    unique_id, digest, message.id, generation
FROM (SELECT id FROM account WHERE key = ?) AS owner
    LEFT JOIN message ON account = owner.id AND unique_id IN (%s)
"""

_LAST_NUMBER = "SELECT coalesce(max(id), 0) FROM message"

_SEE_AGAIN = """
UPDATE message
SET copies = ?, suspect = iif(?, min(suspect + 1, 2), 0), listed_octets = ?,
    gone_at = iif(spooled = 1, NULL, gone_at)
WHERE id = ?
"""

_SERVED_BEFORE = """
SELECT served FROM message
WHERE account = ? AND digest = ? AND settled_at IS NOT NULL ORDER BY length(served) DESC
"""

# Once a whole message has come, the stump that came before in its place is no message.
_BURY_STUMPS = """
UPDATE message SET state = 'gone', gone_at = ?, next_try = NULL, spooled = 0
WHERE account = ? AND unique_id = ? AND suspect > 0 AND digest <> ?
RETURNING id
"""

_FORGET = "DELETE FROM message WHERE id = ?"

# A tombstone's age is another message's: delete_after must not count from it.
_FILL_UNRETRIEVED = """
UPDATE message
SET digest = :digest, octets = :octets, listed_octets = :listed_octets, copies = :copies,
    suspect = :suspect, served = :served, message_id = :message_id, state = 'pending',
    reason = '', oversize = 0,
    first_seen = iif(state = 'gone', :now, first_seen)
WHERE id = :id
"""

_ADD_MESSAGE = """
INSERT INTO message
    (id, account, unique_id, generation, digest, octets, listed_octets, copies, suspect, served,
     message_id, first_seen)
VALUES %s
"""


class _Row(NamedTuple):
    """A message that has this unique-id already."""

    digest: Digest | None
    number: int
    generation: int


class Arrivals:
    """The messages of one account that one transaction is told of, in order.

    New rows are written many at a time: by ``flush``, at the latest.
    """

    def __init__(self, connection: sqlite3.Connection, key: AccountId, *, now: float) -> None:
        self._connection = connection
        self._key = key
        self._account = 0
        self._now = now
        self._rows: dict[UniqueId, list[_Row]] = defaultdict(list)
        self._added: list[tuple[object, ...]] = []
        self._last = 0
        self.touched: set[int] = set()
        """The rows of all that was told."""
        self.new: set[int] = set()
        """Those of them that are new, and owe something."""
        self.places: dict[DeliveryKey, Place] = {}
        """The deliveries that are owed from now on, none of them written yet."""

    def see(self, messages: Sequence[SeenMessage]) -> None:
        """Remember messages that were retrieved."""
        self._find([seen.message.unique_id for seen in messages])
        for seen in messages:
            self._see(seen)
        self.flush()

    def flush(self) -> None:
        """Write the rows that are new."""
        write_rows(self._connection, _ADD_MESSAGE, self._added)
        self._added.clear()

    def _find(self, unique_ids: Collection[UniqueId]) -> None:
        found = ask_in_pieces(self._connection, _SAME_UNIQUE_IDS, self._key, unique_ids)
        for self._account, self._last, unique_id, *row in found:
            if unique_id is not None:
                self._rows[unique_id].append(_Row(*row))
        if not self._account:
            self._account = number_of_account(self._connection, self._key)
            (self._last,) = self._connection.execute(_LAST_NUMBER).fetchone()

    def _see(self, seen: SeenMessage) -> None:
        rows = self._rows[seen.message.unique_id]
        unretrieved = next((row for row in rows if row.digest is None), None)
        known = next((row for row in rows if row.digest == seen.message.digest), None)
        if known is None:
            self._add(seen, rows, unretrieved)
            return
        if unretrieved is not None:
            self._connection.execute(_FORGET, (unretrieved.number,))
            rows.remove(unretrieved)
        self.flush()  # it may be one of these
        values = seen.copies, seen.suspect, seen.listed_octets, known.number
        self._connection.execute(_SEE_AGAIN, values)
        self.touched.add(known.number)

    def _add(self, seen: SeenMessage, rows: list[_Row], unretrieved: _Row | None) -> None:
        """Add a message, in the place of its row from before it was retrieved if there is one."""
        generation = 1 + max([row.generation for row in rows], default=0)
        number = self._next_number() if unretrieved is None else unretrieved.number
        values = {
            "id": number,
            "account": self._account,
            "unique_id": seen.message.unique_id,
            "generation": generation,
            "digest": seen.message.digest,
            "octets": seen.octets,
            "listed_octets": seen.listed_octets,
            "copies": seen.copies,
            "suspect": seen.suspect,
            "served": self._served(seen),
            "message_id": seen.message_id,
            "now": self._now,
        }
        if generation > 1 and not seen.suspect:
            self._bury_stumps(seen)
        if unretrieved is None:
            self._added.append(tuple(values.values()))
        else:
            self._connection.execute(_FILL_UNRETRIEVED, values)
            rows.remove(unretrieved)
            generation = unretrieved.generation
        rows.append(_Row(seen.message.digest, number, generation))
        self._owe(seen, number, is_new=unretrieved is None)

    def _bury_stumps(self, seen: SeenMessage) -> None:
        self.flush()
        values = self._now, self._account, seen.message.unique_id, seen.message.digest
        buried = {number for (number,) in self._connection.execute(_BURY_STUMPS, values)}
        # Told of in this very transaction, too, they stay buried, unless they come once more.
        self.touched -= buried
        self.new -= buried

    def _owe(self, seen: SeenMessage, number: int, *, is_new: bool) -> None:
        self.touched.add(number)
        if is_new and seen.deliveries:
            self.new.add(number)
        place = Place(number, DeliveryState.SEEN)
        for destination, recipient in seen.deliveries:
            self.places[DeliveryKey(seen.message, destination, recipient)] = place

    def _next_number(self) -> int:
        self._last += 1
        return self._last

    def _served(self, seen: SeenMessage) -> str:
        """Name a message's destinations; one that owes nothing was served under another name."""
        if seen.deliveries:
            return _name_destinations(seen.deliveries)
        self.flush()
        values = self._account, seen.message.digest
        found = self._connection.execute(_SERVED_BEFORE, values).fetchone()
        return str(found[0]) if found else "[]"


@lru_cache(maxsize=256)
def _name_destinations(deliveries: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(sorted({destination for destination, _ in deliveries}))
