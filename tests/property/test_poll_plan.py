from hypothesis import given
from hypothesis import strategies as st

from popsync.model import (
    AccountMemory,
    Digest,
    KnownMessage,
    ListedMessage,
    Listing,
    MessageNumber,
    MessageState,
    UniqueId,
)
from popsync.poll.plan import plan_poll
from popsync.poll.policy import Policy

NOW = 1000.0
UNIQUE_IDS = st.sampled_from([UniqueId(b"u%d" % n) for n in range(6)])
TIMES = st.sampled_from([None, NOW - 10, NOW, NOW + 10])

KNOWN = st.builds(
    KnownMessage,
    unique_id=UNIQUE_IDS,
    digest=st.sampled_from([None, Digest(b"x"), Digest(b"y")]),
    state=st.sampled_from(MessageState),
    copies=st.integers(1, 3),
    first_seen=st.just(NOW - 100),
    settled_at=TIMES,
    next_try=TIMES,
    suspect=st.booleans(),
    deletions=st.integers(0, 6),
    oversize=st.booleans(),
)

POLICIES = st.builds(
    Policy,
    deletes=st.booleans(),
    delete_after_s=st.sampled_from([0.0, 5.0]),
    max_octets=st.sampled_from([0, 50]),
    fetch_limit=st.integers(0, 3),
    adopts=st.booleans(),
)


@st.composite
def memories(draw: st.DrawFn) -> AccountMemory:
    """Draw what the ledger may know, much of it unlikely."""
    by_unique_id: dict[UniqueId, tuple[KnownMessage, ...]] = {}
    for known in draw(st.lists(KNOWN, max_size=8)):
        by_unique_id[known.unique_id] = (*by_unique_id.get(known.unique_id, ()), known)
    return AccountMemory(
        by_unique_id, polled_before=draw(st.booleans()), renumbering=draw(st.booleans())
    )


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Draw a listing with few unique-ids, so that they repeat and meet known ones."""
    rows = draw(st.lists(st.tuples(UNIQUE_IDS, st.sampled_from([10, 100])), max_size=8))
    return Listing(
        tuple(ListedMessage(MessageNumber(n), *row) for n, row in enumerate(rows, 1)),
        complete=draw(st.booleans()),
    )


@given(listings(), memories(), POLICIES)
def test_every_row_gets_exactly_one_verdict(
    listing: Listing, memory: AccountMemory, policy: Policy
) -> None:
    """Retrieved, deleted or left alone; in order, but what failed, or is in doubt, comes last."""
    plan = plan_poll(listing, memory, policy, NOW)
    skipped = tuple(skip.listed for skip in plan.skip)

    assert sorted([*plan.retrieve, *plan.delete, *skipped]) == list(listing.messages)
    for part in (plan.delete, skipped):
        assert list(part) == sorted(part)
    last = {
        unique_id
        for unique_id, generations in memory.messages.items()
        if any(
            k.suspect or (k.digest is None and k.state is MessageState.PENDING)
            for k in generations
        )
    }
    assert list(plan.retrieve) == sorted(
        plan.retrieve, key=lambda listed: (listed.unique_id in last, listed.number)
    )


@given(listings(), memories(), POLICIES)
def test_only_what_is_settled_beyond_doubt_is_deleted(
    listing: Listing, memory: AccountMemory, policy: Policy
) -> None:
    """Every generation that a row can be has every receipt and no doubt (P1)."""
    plan = plan_poll(listing, memory, policy, NOW)

    for listed in plan.delete:
        assert policy.deletes
        live = [k for k in memory.messages[listed.unique_id] if k.state is not MessageState.GONE]
        assert all(k.state is MessageState.SETTLED and not k.suspect for k in live)
        assert plan.rows[listed.unique_id] == sum(k.copies for k in live)
        assert not plan.renumbered


@given(listings(), memories(), POLICIES)
def test_rows_that_share_a_unique_id_are_retrieved_together_or_not_at_all(
    listing: Listing, memory: AccountMemory, policy: Policy
) -> None:
    """Short of the large ones among them, which are never deleted either (P1)."""
    plan = plan_poll(listing, memory, policy, NOW)
    retrieved = {listed.unique_id for listed in plan.retrieve}
    deleted = {listed.unique_id for listed in plan.delete}

    assert not retrieved & deleted
    if not policy.max_octets:
        rows = [m for m in listing.messages if m.unique_id in retrieved]
        assert sorted(plan.retrieve) == rows


@given(listings(), memories(), POLICIES)
def test_nothing_that_is_listed_is_buried(
    listing: Listing, memory: AccountMemory, policy: Policy
) -> None:
    """And nothing at all on the word of an incomplete listing (P3)."""
    plan = plan_poll(listing, memory, policy, NOW)

    assert not {listed.unique_id for listed in listing.messages} & set(plan.gone)
    assert listing.complete or not plan.gone
