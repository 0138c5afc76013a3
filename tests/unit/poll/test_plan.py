import pytest

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
from popsync.poll.judgement import Reason
from popsync.poll.plan import PollPlan, plan_poll
from popsync.poll.policy import Policy

NOW = 1_000_000.0
KEEP = Policy(deletes=False)
DELETE = Policy(deletes=True)


def listing(*unique_ids: str, octets: int = 100, complete: bool = True) -> Listing:
    """Give a listing that shows these unique-ids."""
    return Listing(
        tuple(
            ListedMessage(MessageNumber(n), UniqueId(unique_id.encode()), octets)
            for n, unique_id in enumerate(unique_ids, 1)
        ),
        complete=complete,
    )


def known(
    unique_id: str = "a",
    state: MessageState = MessageState.SETTLED,
    *,
    digest: str | None = "",
    copies: int = 1,
    settled_at: float | None = NOW - 60,
    next_try: float | None = None,
    suspect: bool = False,
    looked_again: bool = False,
    deletions: int = 0,
    oversize: bool = False,
    listed_octets: int = 0,
    first_seen: float = NOW - 3600,
) -> KnownMessage:
    """Give one generation as the ledger remembers it; delivered, unless told otherwise."""
    return KnownMessage(
        UniqueId(unique_id.encode()),
        None if digest is None else Digest((digest or unique_id).encode()),
        state,
        copies,
        first_seen=first_seen,
        settled_at=settled_at,
        next_try=next_try,
        suspect=suspect,
        deletions=deletions,
        oversize=oversize,
        listed_octets=listed_octets,
        looked_again=looked_again,
    )


def memory(
    *messages: KnownMessage, polled_before: bool = True, renumbering: bool = False
) -> AccountMemory:
    """Give what the ledger knows of the account."""
    by_unique_id: dict[UniqueId, tuple[KnownMessage, ...]] = {}
    for message in messages:
        earlier = by_unique_id.get(message.unique_id, ())
        by_unique_id[message.unique_id] = (*earlier, message)
    return AccountMemory(by_unique_id, polled_before=polled_before, renumbering=renumbering)


def plan(shown: Listing, remembered: AccountMemory, policy: Policy = KEEP) -> PollPlan:
    """Plan a session now."""
    return plan_poll(shown, remembered, policy, NOW)


def names(messages: tuple[ListedMessage, ...]) -> list[str]:
    """Give the unique-ids."""
    return [message.unique_id.decode() for message in messages]


def numbers(messages: tuple[ListedMessage, ...]) -> list[int]:
    """Give the message numbers."""
    return [message.number for message in messages]


def reasons(planned: PollPlan) -> list[Reason]:
    """Give why messages are left alone, in listing order."""
    return [skip.reason for skip in planned.skip]


# -- one message -------------------------------------------------------------------------------


def test_a_message_that_nobody_knows_is_retrieved() -> None:
    """What the ledger has never heard of is new, in listing order."""
    planned = plan(listing("a", "b"), memory())

    assert names(planned.retrieve) == ["a", "b"]
    assert planned.skip == ()
    assert planned.delete == ()
    assert planned.is_whole


@pytest.mark.parametrize(
    ("message", "policy", "reason", "until"),
    [
        (known(), KEEP, Reason.DELIVERED, None),
        (known(suspect=True, looked_again=True), KEEP, Reason.DELIVERED, None),
        (known(suspect=True, looked_again=True), DELETE, Reason.SUSPECT, None),
        (
            known(settled_at=NOW - 60),
            Policy(deletes=True, delete_after_s=100),
            Reason.WAITING,
            NOW + 40,
        ),
        (
            known(state=MessageState.PENDING, next_try=NOW + 1),
            DELETE,
            Reason.DEFERRED,
            NOW + 1,
        ),
        (known(state=MessageState.HELD), DELETE, Reason.HELD, None),
        (known(state=MessageState.HELD, next_try=NOW + 1), DELETE, Reason.HELD, NOW + 1),
        (known(state=MessageState.ADOPTED, digest=None), DELETE, Reason.ADOPTED, None),
        (known(state=MessageState.DROPPED), DELETE, Reason.DROPPED, None),
        (
            known(state=MessageState.HELD, digest=None, oversize=True),
            Policy(deletes=True, max_octets=99),
            Reason.TOO_LARGE,
            None,
        ),
    ],
)
def test_a_known_message_is_left_alone_for_a_reason(
    message: KnownMessage, policy: Policy, reason: Reason, until: float | None
) -> None:
    """Every reason to leave a listed message alone, and until when it holds."""
    planned = plan(listing("a"), memory(message), policy)

    assert [(skip.reason, skip.until) for skip in planned.skip] == [(reason, until)]
    assert planned.retrieve == ()
    assert planned.delete == ()


@pytest.mark.parametrize(
    "message",
    [
        known(state=MessageState.PENDING),
        known(state=MessageState.PENDING, next_try=NOW),
        known(state=MessageState.PENDING, digest=None, next_try=NOW - 1),
        known(state=MessageState.HELD, next_try=NOW),
        known(state=MessageState.HELD, digest=None, oversize=True),
        known(state=MessageState.GONE),
    ],
)
def test_a_known_message_whose_time_has_come_is_retrieved(message: KnownMessage) -> None:
    """Due, freed by a larger ``max_size``, or back from the dead: only RETR can tell more."""
    planned = plan(listing("a"), memory(message), DELETE)

    assert names(planned.retrieve) == ["a"]
    assert planned.delete == ()


@pytest.mark.parametrize("policy", [KEEP, DELETE])
def test_a_message_in_doubt_is_retrieved_once_more(policy: Policy) -> None:
    """The whole of it may be had at the second try."""
    planned = plan(listing("a"), memory(known(suspect=True)), policy)

    assert names(planned.retrieve) == ["a"]


@pytest.mark.parametrize("policy", [KEEP, DELETE])
def test_a_message_listed_after_its_deletion_is_looked_at_once_more(policy: Policy) -> None:
    """Its unique-id may belong to another message by now, which must not go unseen (P1)."""
    planned = plan(listing("a"), memory(known(deletions=1)), policy)

    assert names(planned.retrieve) == ["a"]
    assert planned.delete == ()


def test_a_message_that_was_looked_at_is_deleted_again_and_not_retrieved() -> None:
    """A message still listed after its second DELE gets another (P3)."""
    planned = plan(listing("a"), memory(known(deletions=2)), DELETE)

    assert names(planned.delete) == ["a"]
    assert planned.retrieve == ()
    assert planned.stubborn == ()


def test_a_message_that_outlives_its_deletions_is_pointed_out() -> None:
    """After five DELEs without effect somebody should know."""
    planned = plan(listing("a", "b"), memory(known(deletions=5), known("b", deletions=4)), DELETE)

    assert names(planned.delete) == ["a", "b"]
    assert names(planned.stubborn) == ["a"]


@pytest.mark.parametrize(
    ("settled_at", "is_due"), [(NOW - 100, True), (NOW - 99, False), (None, True)]
)
def test_delete_after_counts_from_delivery(settled_at: float | None, *, is_due: bool) -> None:
    """The pause runs from the last receipt, and from the first sight where none is known."""
    policy = Policy(deletes=True, delete_after_s=100)

    planned = plan(listing("a"), memory(known(settled_at=settled_at)), policy)

    assert names(planned.delete) == (["a"] if is_due else [])


# -- limits ------------------------------------------------------------------------------------


def test_fetch_limit_leaves_the_newest_for_the_next_poll() -> None:
    """The oldest come first; the rest is no part of a whole plan."""
    planned = plan(listing("a", "b", "c"), memory(), Policy(deletes=False, fetch_limit=2))

    assert names(planned.retrieve) == ["a", "b"]
    assert reasons(planned) == [Reason.OVER_LIMIT]
    assert not planned.is_whole


def test_fetch_limit_never_parts_rows_that_share_a_unique_id() -> None:
    """Knowing two of three would pass for knowing all, and the third would be deleted (P1)."""
    policy = Policy(deletes=True, fetch_limit=1)

    planned = plan(listing("a", "b", "a", "a"), memory(), policy)

    assert numbers(planned.retrieve) == [1, 3, 4]
    assert reasons(planned) == [Reason.OVER_LIMIT]


@pytest.mark.parametrize(("limit", "is_too_large"), [(0, False), (99, True), (100, False)])
def test_a_new_message_over_max_size_is_noted_and_left(limit: int, *, is_too_large: bool) -> None:
    """The size counts as LIST claims it; no limit is no limit."""
    planned = plan(listing("a"), memory(), Policy(deletes=False, max_octets=limit))

    assert reasons(planned) == ([Reason.TOO_LARGE] if is_too_large else [])
    assert names(planned.newly_oversize) == (["a"] if is_too_large else [])


def test_a_message_known_to_be_too_large_is_not_noted_again() -> None:
    """The ledger has it already, so an idle poll writes nothing."""
    message = known(state=MessageState.HELD, digest=None, oversize=True)

    planned = plan(listing("a"), memory(message), Policy(deletes=False, max_octets=9))

    assert planned.newly_oversize == ()


def test_a_deferred_message_is_tried_in_spite_of_a_smaller_max_size() -> None:
    """Its size was accepted once."""
    message = known(state=MessageState.PENDING)

    planned = plan(listing("a"), memory(message), Policy(deletes=False, max_octets=9))

    assert names(planned.retrieve) == ["a"]


# -- adopting ----------------------------------------------------------------------------------


def test_adopting_marks_all_at_the_first_poll() -> None:
    """What was there before popsync counts as seen."""
    planned = plan(
        listing("a", "b"), memory(polled_before=False), Policy(deletes=True, adopts=True)
    )

    assert names(planned.newly_adopted) == ["a", "b"]
    assert planned.retrieve == ()
    assert planned.delete == ()


def test_mail_that_comes_after_adopting_is_retrieved() -> None:
    """Adopting is over with the first complete listing."""
    adopted = known(state=MessageState.ADOPTED, digest=None)

    planned = plan(listing("a", "b"), memory(adopted), Policy(deletes=True, adopts=True))

    assert names(planned.retrieve) == ["b"]
    assert planned.newly_adopted == ()
    assert reasons(planned) == [Reason.ADOPTED]


def test_adopting_that_was_cut_off_goes_on() -> None:
    """What is noted already is not noted twice."""
    adopted = known(state=MessageState.ADOPTED, digest=None)

    planned = plan(
        listing("a", "b"), memory(adopted, polled_before=False), Policy(deletes=False, adopts=True)
    )

    assert names(planned.newly_adopted) == ["b"]


# -- what is gone ------------------------------------------------------------------------------


def test_a_complete_listing_buries_what_it_lacks() -> None:
    """Only what is not a tombstone already."""
    remembered = memory(known("a"), known("b"), known("c", MessageState.GONE))

    planned = plan(listing("a"), remembered)

    assert planned.gone == (b"b",)


def test_an_incomplete_listing_buries_nothing() -> None:
    """Absence means something only where every terminator was seen and the counts agree."""
    planned = plan(listing("a", complete=False), memory(known("a"), known("b")))

    assert planned.gone == ()


def test_an_empty_listing_of_a_full_maildrop_buries_nothing() -> None:
    """Some servers show none today and all of them tomorrow."""
    planned = plan(listing(), memory(*(known(f"m{n}") for n in range(20))))

    assert planned.gone == ()
    assert not planned.renumbered


@pytest.mark.parametrize("deletions", [0, 1])
def test_an_empty_listing_buries_a_handful_and_what_was_deleted(deletions: int) -> None:
    """Nineteen may go in a day, and what got its DELE is expected to go."""
    count = 19 if deletions == 0 else 200

    planned = plan(listing(), memory(*(known(f"m{n}", deletions=deletions) for n in range(count))))

    assert len(planned.gone) == count


# -- renumbering -------------------------------------------------------------------------------


def twenty(**facts: int) -> AccountMemory:
    """Give as many delivered messages as the guard needs."""
    return memory(*(known(f"m{n}", deletions=facts.get("deletions", 0)) for n in range(20)))


def test_all_unique_ids_changed_at_once_is_a_renumbering() -> None:
    """All are retrieved to be matched by content; nothing is deleted meanwhile."""
    shown = listing("m0", *(f"new{n}" for n in range(20)))

    planned = plan(shown, twenty(), DELETE)

    assert planned.renumbered
    assert len(planned.retrieve) == 20
    assert planned.delete == ()
    assert reasons(planned) == [Reason.KEPT_BY_GUARD]
    assert len(planned.gone) == 19


def test_a_tenth_found_again_is_no_renumbering() -> None:
    """Somebody cleaned up; the guard is for a mailbox that changed all at once."""
    planned = plan(listing("m0", "m1", "new"), twenty(), DELETE)

    assert not planned.renumbered
    assert names(planned.delete) == ["m0", "m1"]


def test_deleted_messages_do_not_count_as_lost() -> None:
    """After a DELE for each their absence is what was asked for."""
    planned = plan(listing("new"), twenty(deletions=1), DELETE)

    assert not planned.renumbered


def test_an_interrupted_renumbering_goes_on() -> None:
    """The ledger says so, though by now many of the new unique-ids are known."""
    remembered = memory(*(known(f"new{n}") for n in range(15)), renumbering=True)

    planned = plan(listing(*(f"new{n}" for n in range(20))), remembered, DELETE)

    assert planned.renumbered
    assert len(planned.retrieve) == 5
    assert set(reasons(planned)) == {Reason.KEPT_BY_GUARD}


# -- repeated unique-ids -----------------------------------------------------------------------


def test_a_repeated_new_unique_id_is_retrieved_row_by_row() -> None:
    """Nobody can tell them apart before RETR."""
    planned = plan(listing("a", "a"), memory(), DELETE)

    assert numbers(planned.retrieve) == [1, 2]
    assert planned.rows == {b"a": 2}


def test_more_rows_than_known_copies_are_all_retrieved() -> None:
    """One more row under a known unique-id: any of them may be the new one."""
    planned = plan(listing("a", "a"), memory(known("a")), DELETE)

    assert numbers(planned.retrieve) == [1, 2]
    assert planned.delete == ()


@pytest.mark.parametrize(
    "generations",
    [
        (known("a", copies=2),),
        (known("a", digest="x"), known("a", digest="y")),
    ],
)
def test_known_copies_are_all_deleted(generations: tuple[KnownMessage, ...]) -> None:
    """Identical or not: as many rows as were delivered, every one of them settled."""
    planned = plan(listing("a", "a"), memory(*generations), DELETE)

    assert numbers(planned.delete) == [1, 2]
    assert planned.retrieve == ()


@pytest.mark.parametrize(
    ("other", "retrieved", "reason"),
    [
        (known("a", MessageState.PENDING, digest="y"), [1, 2], None),
        (known("a", MessageState.PENDING, digest="y", next_try=NOW + 1), [], Reason.DEFERRED),
        (known("a", MessageState.HELD, digest="y"), [], Reason.HELD),
        (known("a", digest="y", suspect=True, looked_again=True), [], Reason.SUSPECT),
    ],
)
def test_the_least_settled_of_repeated_rows_rules(
    other: KnownMessage, retrieved: list[int], reason: Reason | None
) -> None:
    """A delivered message is not deleted while one that shares its unique-id is open (P1)."""
    planned = plan(listing("a", "a"), memory(known("a", digest="x"), other), DELETE)

    assert planned.delete == ()
    assert numbers(planned.retrieve) == retrieved
    assert reasons(planned) == ([reason] * 2 if reason else [])


def test_fewer_rows_than_known_copies_are_not_deleted_unseen() -> None:
    """Which of them stayed only RETR can tell; it may be one that nobody retrieved (P1)."""
    planned = plan(listing("a"), memory(known("a", copies=2)), DELETE)

    assert planned.delete == ()
    assert names(planned.retrieve) == ["a"]


def test_fewer_rows_than_known_copies_are_left_alone_in_keep_mode() -> None:
    """Nothing is at stake, so nothing is retrieved twice."""
    planned = plan(listing("a"), memory(known("a", copies=2)), KEEP)

    assert reasons(planned) == [Reason.DELIVERED]


def test_a_tombstone_does_not_stand_for_a_row() -> None:
    """A unique-id that is used again is retrieved beside what is known of it."""
    remembered = memory(known("a", MessageState.GONE, digest="x"), known("a", digest="y"))

    assert names(plan(listing("a"), remembered, DELETE).delete) == ["a"]
    assert numbers(plan(listing("a", "a"), remembered, DELETE).retrieve) == [1, 2]


def test_skips_come_in_listing_order() -> None:
    """Whatever made them."""
    policy = Policy(deletes=False, fetch_limit=1, max_octets=100)

    planned = plan(listing("n1", "n2", "a"), memory(known("a")), policy)

    assert [skip.listed.number for skip in planned.skip] == [2, 3]


@pytest.mark.parametrize("policy", [KEEP, DELETE])
@pytest.mark.parametrize("state", [MessageState.SETTLED, MessageState.ADOPTED, MessageState.HELD])
def test_a_known_unique_id_with_another_size_is_another_message(
    policy: Policy, state: MessageState
) -> None:
    """To take it for the old one would be to delete it, or pass it over, unseen (P1)."""
    made = plan(listing("a", octets=200), memory(known(state=state, listed_octets=100)), policy)

    assert names(made.retrieve) == ["a"]
    assert made.delete == ()


@pytest.mark.parametrize(("listed", "remembered"), [(0, 100), (100, 0), (100, 100)])
def test_a_size_that_is_not_known_proves_nothing(listed: int, remembered: int) -> None:
    """LIST may have been refused; the unique-id alone counts then."""
    shown = listing("a", octets=listed)
    made = plan(shown, memory(known(listed_octets=remembered)), DELETE)

    assert names(made.delete) == ["a"]


def test_a_reused_unique_id_is_deleted_once_its_new_message_is_delivered() -> None:
    """The generation before it has another size and does not count as a copy."""
    remembered = memory(known(listed_octets=100), known(digest="b", listed_octets=200))

    assert names(plan(listing("a", octets=200), remembered, DELETE).delete) == ["a"]


# -- a mode that was changed -------------------------------------------------------------------


@pytest.mark.parametrize(("delete_after_s", "deleted"), [(0, ["a"]), (60, ["a"]), (61, [])])
def test_mail_that_was_kept_is_deleted_when_its_time_is_over(
    delete_after_s: int, deleted: list[str]
) -> None:
    """From keep to delete: the time counts from the delivery, not from the change."""
    kept = memory(known(settled_at=NOW - 60))
    assert names(plan(listing("a"), kept, KEEP).delete) == []

    made = plan(listing("a"), kept, Policy(deletes=True, delete_after_s=delete_after_s))

    assert names(made.delete) == deleted


def test_mail_that_was_only_adopted_stays_in_delete_mode() -> None:
    """It was never delivered (P1)."""
    made = plan(listing("a"), memory(known(state=MessageState.ADOPTED)), DELETE)

    assert made.delete == made.retrieve == ()


@pytest.mark.parametrize("deletions", [1, 2, 7])
def test_no_deletion_is_repeated_in_keep_mode(deletions: int) -> None:
    """From delete to keep: a DELE that had no effect is not issued again."""
    made = plan(listing("a"), memory(known(deletions=deletions)), KEEP)

    assert made.delete == ()


def test_what_was_deferred_for_a_day_lets_the_others_go_first() -> None:
    """Were it always offered first, three such messages would keep all others away (P5)."""
    day_old = [
        known(uid, MessageState.PENDING, settled_at=None, first_seen=NOW - 86_400) for uid in "ab"
    ]
    recent = known("c", MessageState.PENDING, settled_at=None, first_seen=NOW - 86_399)

    chosen = plan(listing("a", "b", "c", "new"), memory(*day_old, recent))

    assert [listed.unique_id for listed in chosen.retrieve] == [b"c", b"new", b"a", b"b"]
