from dataclasses import replace
from hashlib import sha256

import pytest

from popsync.errors import UidlUnsupported
from popsync.model import (
    NAMELESS,
    AccountMemory,
    Digest,
    Hint,
    KnownMessage,
    ListedMessage,
    Listing,
    MessageNumber,
    MessageState,
    UniqueId,
)
from popsync.poll.content_keys import (
    HINT_TRUSTED_S,
    changes_names,
    check_names,
    content_key,
    free_to_go,
    is_content_key,
    is_nameless,
    name_by_hints,
    next_hints,
    unseen_names,
    without_key,
)
from popsync.poll.judgement import Reason
from popsync.poll.plan import PollPlan, plan_poll
from popsync.poll.policy import Policy

NOW = 1_000_000.0
KEEP, DELETE = Policy(deletes=False), Policy(deletes=True)
REFUSED = UidlUnsupported("pop:110: UIDL was refused: what?")


def digest(word: str) -> Digest:
    """Give the digest of a message that says this."""
    return Digest(sha256(word.encode()).digest())


def key(word: str) -> UniqueId:
    """Give its content key."""
    return content_key(digest(word))


def row(number: int, unique_id: bytes = NAMELESS, octets: int = 100) -> ListedMessage:
    """Give a row of a listing, nameless unless a unique-id is given."""
    return ListedMessage(MessageNumber(number), UniqueId(unique_id), octets)


def known(
    word: str,
    state: MessageState = MessageState.SETTLED,
    *,
    unique_id: bytes | None = None,
    served: tuple[str, ...] = (),
    **facts: float | None,
) -> KnownMessage:
    """Give what the ledger knows of a message, by its content key unless it has a unique-id."""
    message = KnownMessage(
        UniqueId(unique_id) if unique_id is not None else key(word),
        digest(word),
        state,
        copies=1,
        first_seen=NOW - 50,
        settled_at=NOW - 50 if state is MessageState.SETTLED else None,
        next_try=None,
        suspect=False,
        deletions=0,
        oversize=False,
        served=frozenset(served),
    )
    return message._replace(**facts)  # type: ignore[arg-type]


def memory(*messages: KnownMessage, hints: dict[int, Hint] | None = None) -> AccountMemory:
    """Give a ledger's memory."""
    by_unique_id: dict[UniqueId, tuple[KnownMessage, ...]] = {}
    for message in messages:
        same = by_unique_id.get(message.unique_id, ())
        by_unique_id[message.unique_id] = (*same, message)
    places = {MessageNumber(number): hint for number, hint in (hints or {}).items()}
    return AccountMemory(by_unique_id, polled_before=True, hints=places)


def hint(word: str, *, octets: int = 100, age_s: float = 10) -> Hint:
    """Give what is remembered of a place."""
    return Hint(octets, key(word), NOW - age_s)


def plan(*rows: ListedMessage, knows: AccountMemory, policy: Policy = KEEP) -> PollPlan:
    """Plan a session of a complete listing."""
    return plan_poll(Listing(rows, complete=True), knows, policy, NOW)


def numbers(*rows: ListedMessage) -> list[int]:
    """Give their message numbers."""
    return [listed.number for listed in rows]


# -- names -----------------------------------------------------------------------------------


def test_a_content_key_is_no_unique_id_of_a_server() -> None:
    """Those never begin with a blank; to the server the row goes back without it."""
    assert is_content_key(key("a"))
    assert not is_content_key(UniqueId(b"sha256:abc"))
    assert is_nameless(row(1, key("a")))
    assert is_nameless(row(1))
    assert without_key(row(1, key("a"))) == row(1)
    assert without_key(row(1, b"u1")) == row(1, b"u1")


@pytest.mark.parametrize(
    ("remembered", "named"),
    [
        (hint("a"), True),
        (hint("a", octets=99), False),
        (hint("a", age_s=HINT_TRUSTED_S), False),
        (hint("a", age_s=HINT_TRUSTED_S - 1), True),
    ],
)
def test_a_hint_is_believed_for_its_size_and_for_a_day(remembered: Hint, *, named: bool) -> None:
    """What does not fit is a message that nobody knows yet."""
    listing = Listing((row(1),), complete=True)
    [listed] = name_by_hints(listing, memory(hints={1: remembered}), NOW)

    assert listed.unique_id == (key("a") if named else NAMELESS)


def test_a_size_that_is_not_known_fits_no_hint() -> None:
    """The number alone says too little."""
    listing = Listing((row(1, octets=0),), complete=True)
    knows = memory(hints={1: hint("a", octets=0)})

    assert name_by_hints(listing, knows, NOW) == listing.messages


def test_an_account_of_content_keys_forgets_what_the_server_calls_its_messages() -> None:
    """Named rows go by hints like others."""
    knows = replace(memory(hints={2: hint("b")}), content_keys=True)
    listing = Listing((row(1, b"u1"), row(2, b"u2")), complete=True)

    assert name_by_hints(listing, knows, NOW) == (row(1), row(2, key("b")))


# -- the plan --------------------------------------------------------------------------------


def test_what_a_hint_names_is_left_alone_but_never_deleted() -> None:
    """In delete mode it is retrieved first: only its octets tell that it is the same (P1)."""
    knows = memory(known("a"), hints={1: hint("a")})

    kept = plan(row(1), knows=knows)
    assert [skip.reason for skip in kept.skip] == [Reason.DELIVERED]
    assert kept.retrieve == ()

    deleted = plan(row(1), knows=knows, policy=DELETE)
    assert numbers(*deleted.retrieve) == [1]
    assert deleted.delete == ()


def test_what_waits_is_not_retrieved_before_its_time() -> None:
    """As long as the hint holds."""
    waiting = memory(known("a", MessageState.PENDING, next_try=NOW + 9), hints={1: hint("a")})

    assert plan(row(1), knows=waiting).retrieve == ()
    assert numbers(*plan(row(1), knows=replace(waiting, hints={})).retrieve) == [1]


def test_nameless_messages_come_behind_named_ones_and_broken_ones_last() -> None:
    """What once broke a session holds up no other (P5)."""
    broken = Hint(100, NAMELESS, NOW - 10)
    planned = plan(row(1), row(2), row(3, b"u3"), knows=memory(hints={1: broken}))

    assert numbers(*planned.retrieve) == [3, 2, 1]


def test_each_nameless_message_counts_against_the_limit() -> None:
    """They share no unique-id, though none has one."""
    planned = plan(row(1), row(2), row(3), knows=memory(), policy=replace(KEEP, fetch_limit=2))

    assert numbers(*planned.retrieve) == [1, 2]


def test_a_nameless_message_that_is_too_large_is_not_remembered() -> None:
    """There is nothing to remember it by."""
    planned = plan(row(1), knows=memory(), policy=replace(KEEP, max_octets=10))

    assert [skip.reason for skip in planned.skip] == [Reason.TOO_LARGE]
    assert planned.newly_oversize == ()


def test_nameless_rows_are_no_renumbering() -> None:
    """However many names are missed beside them."""
    named = [known(f"m{n}", unique_id=b"u%d" % n) for n in range(30)]

    assert not plan(row(1), row(2), knows=memory(*named)).renumbered


# -- what may be deleted ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("same", "policy", "goes"),
    [
        ([], DELETE, True),
        ([], replace(DELETE, delete_after_s=60), False),
        ([known("a")], DELETE, True),
        ([known("a")], replace(DELETE, delete_after_s=60), False),
        ([known("a")], replace(DELETE, delete_after_s=40), True),
        ([known("a", MessageState.PENDING)], DELETE, True),
        ([known("a", MessageState.PENDING)], replace(DELETE, delete_after_s=1), False),
        ([known("a", suspect=True)], DELETE, False),
        ([known("a", MessageState.DROPPED)], DELETE, False),
        ([known("a", MessageState.GONE, suspect=True)], DELETE, True),
        ([known("a")], replace(DELETE, destinations=frozenset({"new"})), False),
        ([known("a", served=("new",))], replace(DELETE, destinations=frozenset({"new"})), True),
        (
            [known("a", MessageState.PENDING)],
            replace(DELETE, destinations=frozenset({"new"})),
            False,
        ),
        ([known("a"), known("a", unique_id=b"u1", suspect=True)], DELETE, False),
        ([known("a"), known("b", suspect=True)], DELETE, True),
    ],
)
def test_what_has_the_same_octets_must_all_be_free_to_go(
    same: list[KnownMessage], policy: Policy, *, goes: bool
) -> None:
    """Under whatever name it is known."""
    retrieved = row(1, key("a"))

    assert free_to_go([retrieved], memory(*same), policy, NOW) == ([retrieved] if goes else [])


@pytest.mark.parametrize(
    ("unretrieved", "unseen"),
    [
        (known("a", MessageState.ADOPTED, unique_id=b"u1"), True),
        (known("a", MessageState.ADOPTED, unique_id=b"u2"), False),
        (known("a", MessageState.GONE, unique_id=b"u1"), False),
    ],
)
def test_what_was_never_retrieved_may_be_any_nameless_message(
    unretrieved: KnownMessage, *, unseen: bool
) -> None:
    """Unless it is listed under its name, or has left."""
    assert unseen_names(memory(unretrieved._replace(digest=None)), [UniqueId(b"u2")]) is unseen


# -- accounts --------------------------------------------------------------------------------

WITHOUT_UIDL = Listing((row(1),), complete=True, without_uidl=REFUSED)
ADOPTED = known("a", MessageState.ADOPTED, unique_id=b"u1")._replace(digest=None)


@pytest.mark.parametrize(
    ("policy", "knows", "words"),
    [
        (KEEP, memory(), "mode 'keep'"),
        (replace(DELETE, adopts=True), AccountMemory(), "first_run 'adopt'"),
        (DELETE, memory(ADOPTED), "known by nothing else"),
    ],
)
def test_without_unique_ids_some_accounts_cannot_be_polled(
    policy: Policy, knows: AccountMemory, words: str
) -> None:
    """The error says why, with the server's own words."""
    with pytest.raises(UidlUnsupported, match="refused: what") as caught:
        check_names(WITHOUT_UIDL, knows, policy)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("listing", "policy", "knows"),
    [
        (WITHOUT_UIDL, DELETE, memory()),
        (WITHOUT_UIDL, DELETE, memory(known("a", unique_id=b"u1"))),
        (WITHOUT_UIDL, DELETE, memory(ADOPTED._replace(state=MessageState.GONE))),
        (WITHOUT_UIDL, replace(DELETE, adopts=True), memory()),
        (replace(WITHOUT_UIDL, messages=()), KEEP, memory()),
        (replace(WITHOUT_UIDL, without_uidl=None), KEEP, memory()),
    ],
)
def test_all_others_can(listing: Listing, policy: Policy, knows: AccountMemory) -> None:
    """Content tells their messages apart."""
    check_names(listing, knows, policy)


_TWICE = [
    known("a", MessageState.GONE, unique_id=b"u1"),
    known("a", unique_id=b"v1"),
    known("b", MessageState.GONE, unique_id=b"u2"),
    known("b", unique_id=b"v2"),
]


@pytest.mark.parametrize(
    ("messages", "changed"),
    [
        (_TWICE, True),
        (_TWICE[1::2], False),
        ([*_TWICE, known("c", unique_id=b"w1")], False),
        ([m._replace(deletions=1) for m in _TWICE], False),
        ([], False),
    ],
)
def test_names_that_change_again_mean_nothing(
    messages: list[KnownMessage], *, changed: bool
) -> None:
    """Once all of them are new, and most have had others before."""
    listing = Listing((row(1, b"w1"), row(2, b"w2")), complete=True)

    assert changes_names(listing, memory(*messages)) is changed
    assert not changes_names(listing, replace(memory(*messages), renumbering=True))
    assert not changes_names(listing, replace(memory(*messages), content_keys=True))
    assert not changes_names(Listing((), complete=True), memory(*messages))


# -- hints -----------------------------------------------------------------------------------


def test_hints_follow_the_numbers_that_deletions_leave() -> None:
    """What is retrieved now, what still fits from before, and where the session broke."""
    rows = tuple(row(number) for number in (1, 2, 3, 4, 5))
    knows = memory(hints={2: hint("b"), 3: hint("c", octets=7), 4: hint("d")})
    hints = next_hints(
        Listing(rows, complete=True),
        knows,
        [row(1, key("a")), row(4, key("x"))],
        broken=rows[4],
        deleted=[rows[0]],
        now=NOW,
    )

    assert hints == {
        1: hint("b"),
        3: Hint(100, key("x"), NOW),
        4: Hint(100, NAMELESS, NOW),
    }


def test_messages_with_unique_ids_leave_no_hints() -> None:
    """They need none."""
    listing = Listing((row(1, b"u1"), row(2, b"u2")), complete=True)

    assert (
        next_hints(listing, memory(), listing.messages, broken=row(2, b"u2"), deleted=(), now=NOW)
        == {}
    )
