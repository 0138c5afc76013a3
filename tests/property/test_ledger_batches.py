"""What one transaction is told of many messages, it remembers as if it were told one by one."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from hypothesis import example, given
from hypothesis import strategies as st

from popsync.ledger.recording import note_unretrieved, record
from popsync.ledger.schema import create_schema
from popsync.model import (
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    MessageKey,
    MessageState,
    SeenMessage,
    UniqueId,
    UnretrievedMessage,
)
from tests.doubles.retrieved import ACCOUNT, make_key, make_seen

UNIQUE_IDS = [b"a", b"b", b"c"]
INBOX = ("inbox", "")
REFUSED = [
    UnretrievedMessage(UniqueId(unique_id), 9, MessageState.PENDING, reason="not now")
    for unique_id in UNIQUE_IDS
]
SEEN = st.builds(
    lambda unique_id, octets, owed, suspect: make_seen(
        make_key(unique_id, octets), *owed, suspect=suspect
    ),
    st.sampled_from(UNIQUE_IDS),
    st.sampled_from([b"one", b"two", b"three"]),
    st.sampled_from([(INBOX,), (INBOX, ("relay", "jane@example.org"))]),
    st.booleans(),
)


def changes(seen: Sequence[SeenMessage], *, every: int) -> Iterator[DeliveryChange]:
    """Stage the first delivery of every so manyth message, and defer its others."""
    told: dict[MessageKey, SeenMessage] = {}
    for message in seen:
        told.setdefault(message.message, message)
    for message in list(told.values())[every - 1 :: every]:
        first, *others = (DeliveryKey(message.message, *d) for d in message.deliveries)
        yield DeliveryChange(first, DeliveryState.STAGED, staged_as="file")
        for other in others:
            yield DeliveryChange(other, DeliveryState.DEFERRED, "later", 1, 60.0)


def memory_after(
    groups: Sequence[Sequence[SeenMessage]], refused: int, every: int
) -> list[object]:
    """Give all rows, whatever their numbers, after these transactions."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_schema(connection)
        note_unretrieved(connection, ACCOUNT, REFUSED[:refused], now=1.0)
        for group in groups:
            record(connection, group, [], now=2.0)
        everything = [message for group in groups for message in group]
        staged = [*changes(everything, every=every)]
        record(connection, [], staged, now=3.0)
        receipts = [
            DeliveryChange(change.delivery, DeliveryState.DELIVERED, "file")
            for change in staged
            if change.state is DeliveryState.STAGED
        ]
        record(connection, [], receipts, now=4.0)
        messages = connection.execute(
            "SELECT unique_id, digest, generation, copies, state, suspect, settled_at, gone_at,"
            " next_try, served, first_seen FROM message ORDER BY unique_id, digest"
        )
        deliveries = connection.execute(
            "SELECT unique_id, digest, destination, delivery.state, attempts, staged_as,"
            " changed_at FROM delivery JOIN message ON message = message.id ORDER BY 1, 2, 3"
        )
        totals = connection.execute("SELECT total_delivered, total_octets FROM account")
        return [messages.fetchall(), deliveries.fetchall(), totals.fetchall()]


STUMP_THEN_WHOLE = [
    make_seen(make_key(b"a", b"one"), INBOX, suspect=True),
    make_seen(make_key(b"a", b"two"), INBOX),
]


@given(st.lists(SEEN, min_size=1, max_size=8), st.integers(0, 3), st.integers(1, 3))
@example([*STUMP_THEN_WHOLE, STUMP_THEN_WHOLE[0]._replace(suspect=False)], 0, 2)
@example(STUMP_THEN_WHOLE, 1, 2)
def test_many_messages_in_one_transaction_are_as_one_by_one(
    seen: list[SeenMessage], refused: int, every: int
) -> None:
    """Repeated, of one unique-id, cut short, refused before: all the same (P1)."""
    alone = memory_after([[message] for message in seen], refused, every)

    assert memory_after([seen], refused, every) == alone


@given(
    st.lists(
        SEEN.map(lambda seen: seen._replace(suspect=False)),
        min_size=1,
        max_size=8,
        unique_by=lambda seen: seen.message,
    )
)
def test_a_delivery_that_is_added_and_changed_at_once_is_as_in_two_steps(
    seen: list[SeenMessage],
) -> None:
    """STAGED is written with the message itself, or after it."""

    def rows(*steps: tuple[Sequence[SeenMessage], Sequence[DeliveryChange]]) -> list[object]:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            create_schema(connection)
            for told, changed in steps:
                record(connection, told, changed, now=2.0)
            return [
                connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()  # noqa: S608
                for table in ("message", "delivery", "account")
            ]

    staged = [*changes(seen, every=1)]

    assert rows((seen, staged)) == rows((seen, []), ([], staged))
