"""Line ends at any cut, and the state of a message from any states of its deliveries."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from popsync.destinations.line_ends import unix_line_ends
from popsync.destinations.maildir_file import escape_host
from popsync.ledger.deliveries import refresh
from popsync.ledger.schema import create_schema
from popsync.model import DeliveryState, MessageState

OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"a", b"\xff"])).map(b"".join)
DELIVERY = st.tuples(st.sampled_from(DeliveryState), st.none() | st.floats(0, 100))


def cut(octets: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut octets at some places, which may repeat."""
    inside = sorted(place % (len(octets) + 1) for place in places)
    return [octets[a:b] for a, b in zip([0, *inside], [*inside, len(octets)], strict=True)]


@given(OCTETS, st.lists(st.integers(0, 1000)))
def test_only_crlf_becomes_lf_wherever_the_chunks_are_cut(
    octets: bytes, places: list[int]
) -> None:
    """Bare CR, bare LF, NUL and all else stay (P6)."""
    assert b"".join(unix_line_ends(cut(octets, places))) == octets.replace(b"\r\n", b"\n")


@given(st.text())
def test_a_host_name_never_harms_a_file_name(hostname: str) -> None:
    """No separator of paths, flags or fields, and never empty."""
    escaped = escape_host(hostname)

    assert escaped
    assert not set(escaped) & set("/:,\0\n")
    assert Path(escaped).name == escaped or escaped in {".", ".."}


def message_state(states: Sequence[DeliveryState]) -> MessageState:
    """Say in Python what the ledger says in SQL."""
    open_states = set(states) - {DeliveryState.DELIVERED}
    if not open_states:
        return MessageState.SETTLED
    return MessageState.HELD if open_states == {DeliveryState.HELD} else MessageState.PENDING


def next_try(deliveries: Sequence[tuple[DeliveryState, float | None]]) -> float | None:
    """Say when the first delivery is due; a pending one without a time is due now."""
    over = {DeliveryState.DELIVERED, DeliveryState.HELD}
    if any(state not in over and time is None for state, time in deliveries):
        return None
    times = [
        t for state, t in deliveries if state is not DeliveryState.DELIVERED and t is not None
    ]
    return min(times, default=None)


@given(st.lists(DELIVERY, max_size=5))
def test_a_message_stands_where_its_deliveries_stand(
    deliveries: list[tuple[DeliveryState, float | None]],
) -> None:
    """Settled only with every receipt (P1)."""
    connection = sqlite3.connect(":memory:")
    create_schema(connection)
    connection.execute("INSERT INTO account (key) VALUES ('a')")
    connection.execute(
        "INSERT INTO message (account, unique_id, generation, octets, first_seen)"
        " VALUES (1, x'00', 1, 1, 1.0)"
    )
    connection.executemany(
        "INSERT INTO delivery (message, destination, recipient, state, next_try, changed_at)"
        " VALUES (1, ?, '', ?, ?, 1.0)",
        [(str(i), state.value, time) for i, (state, time) in enumerate(deliveries)],
    )
    refresh(connection, {1}, now=7.0)
    row = connection.execute("SELECT state, next_try, settled_at FROM message").fetchone()
    connection.close()
    expected = message_state([state for state, _ in deliveries])

    assert row == (
        expected.value,
        next_try(deliveries),
        7.0 if expected is MessageState.SETTLED else None,
    )
