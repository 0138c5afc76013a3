"""What became of single messages: the questions behind ``log`` and ``explain``."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from popsync.ledger.reports import DeliveredMessage, DeliveryStory, MessageStory
from popsync.model import AccountId, DeliveryState, MessageState

# In the order of DeliveredMessage's fields. Delivered rows never change again.
_DELIVERED = """
SELECT changed_at, key, unique_id, message.octets, message_id, destination, recipient, reply
FROM delivery JOIN message ON message = message.id JOIN account ON account = account.id
WHERE delivery.state = 'delivered' AND (:key IS NULL OR key = :key)
ORDER BY changed_at DESC, message.id DESC, destination DESC, recipient DESC
LIMIT :most
"""

# In the order of MessageStory's fields, without its deliveries.
_MESSAGES = """
SELECT message.id, key, unique_id, message_id, digest, message.octets, listed_octets, copies,
       message.state, reason, suspect, first_seen, settled_at, gone_at, next_try, deletions
FROM message JOIN account ON account = account.id
WHERE message_id IN (:word, :bracketed) OR unique_id IN (:octets, :keyed)
ORDER BY first_seen, message.id
"""

# In the order of DeliveryStory's fields.
_DELIVERIES = """
SELECT destination, recipient, state, reply, attempts, doubts, next_try, changed_at
FROM delivery WHERE message = ? ORDER BY destination, recipient
"""


def read_delivered(
    connection: sqlite3.Connection, account: AccountId | None, most: int
) -> Sequence[DeliveredMessage]:
    """Give the last ``most`` deliveries, newest last, of one account or of all."""
    rows = connection.execute(_DELIVERED, {"key": account, "most": most}).fetchall()
    return tuple(DeliveredMessage._make(row) for row in reversed(rows))


def read_stories(connection: sqlite3.Connection, name: str) -> Sequence[MessageStory]:
    """Give all messages whose Message-ID or unique-id is ``name``, oldest first.

    name: the Message-ID may stand in its angle brackets or without.
    """
    octets = name.strip().encode("utf-8", "surrogateescape")
    word = octets.decode("utf-8", "backslashreplace")  # as ``escape`` has it
    asked = {
        "word": word or None,  # many messages have no Message-ID
        "bracketed": f"<{word.removeprefix('<').removesuffix('>')}>",
        "octets": octets,
        "keyed": b" " + octets,  # a content key begins with a blank, which nobody types
    }
    rows = connection.execute(_MESSAGES, asked).fetchall()
    return tuple(_story(row, tuple(_deliveries(connection, row[0]))) for row in rows)


def _story(row: tuple[Any, ...], deliveries: tuple[DeliveryStory, ...]) -> MessageStory:
    story = MessageStory._make((*row, deliveries))
    return story._replace(state=MessageState(story.state), suspect=bool(story.suspect))


def _deliveries(connection: sqlite3.Connection, message: int) -> Iterator[DeliveryStory]:
    for row in connection.execute(_DELIVERIES, (message,)):
        destination, recipient, state, *rest = row
        yield DeliveryStory(destination, recipient, DeliveryState(state), *rest)
