"""Decides, from listing, ledger and policy alone, what a session does. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from popsync.model import (
    AccountMemory,
    Kept,
    ListedMessage,
    Listing,
    MessageNumber,
    MessageState,
    UniqueId,
)
from popsync.poll.content_keys import is_content_key, is_nameless, may_break, name_by_hints
from popsync.poll.judgement import Delete, Judge, Reason, Retrieve, Skip, find_live
from popsync.poll.policy import Policy

# A handful of messages vanishing is everyday life; the guard is for a mailbox.
RENUMBERING_MIN_KNOWN = 20
RENUMBERING_MAX_FOUND = 0.1

LONG_DEFERRED_S = 24 * 3600
"""What was put off for so long may be the message's own fault, so it lets the others go first."""

STUBBORN_DELETIONS = 5
"""So many DELEs without effect, and the operator is told."""

_TOLD = frozenset({Reason.SUSPECT, Reason.UNSERVED})

_LEFT_FOR_LATER = frozenset({Reason.OVER_LIMIT, Reason.NO_ROOM})

_NOT_KEPT = Kept.NOT


@dataclass(frozen=True, slots=True)
class PollPlan:
    """What a session does, in message-number order; what may be in the others' way comes last."""

    retrieve: tuple[ListedMessage, ...] = ()
    delete: tuple[ListedMessage, ...] = ()
    skip: tuple[Skip, ...] = ()
    newly_adopted: tuple[ListedMessage, ...] = ()
    newly_oversize: tuple[ListedMessage, ...] = ()
    gone: tuple[UniqueId, ...] = ()
    """Known unique-ids that a complete listing no longer shows."""
    renumbered: bool = False
    """Unique-ids are being matched by digest: deliver only what is new, delete nothing."""
    stubborn: tuple[ListedMessage, ...] = ()
    """Told to be deleted again and again, and still there."""
    rows: Mapping[UniqueId, int] = field(default_factory=dict)
    """How many rows of the listing have each unique-id."""

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do, to remember, or to tell a person."""
        return bool(
            self.retrieve
            or self.delete
            or self.newly_adopted
            or self.newly_oversize
            or self.gone
            or self.renumbered
            or any(skip.reason in _TOLD for skip in self.skip)
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing that should be retrieved is left for a later poll."""
        return not any(skip.reason in _LEFT_FOR_LATER for skip in self.skip)


def plan_poll(listing: Listing, memory: AccountMemory, policy: Policy, now: float) -> PollPlan:
    """Decide what this session retrieves, deletes and leaves alone.

    A message that is delivered and still listed is one to keep, or one whose DELE was lost with
    its session: it is deleted again, never retrieved again (P3). A message whose fate is not
    certain is never deleted (P1). Sizes are LIST's claims. What has no unique-id is deleted only
    in the session that retrieves it, so this plan never says so.
    """
    messages = name_by_hints(listing, memory, now)
    rows = Counter(listed.unique_id for listed in messages if listed.unique_id)
    renumbered = memory.renumbering or _is_renumbered(messages, memory)
    judge = Judge(memory, policy, now, rows, renumbered=renumbered)
    verdicts = [judge.judge(listed) for listed in messages]
    wanted = [v.listed for v in verdicts if type(v) is Retrieve]
    wanted.sort(key=lambda listed: _lateness(listed, memory, now))
    retrieve, over_limit = _split(wanted, policy)
    deletes = [v for v in verdicts if type(v) is Delete]
    skips = [v for v in verdicts if type(v) is Skip]
    return PollPlan(
        retrieve=retrieve,
        delete=tuple(v.listed for v in deletes),
        skip=tuple(sorted([*skips, *over_limit], key=lambda skip: skip.listed.number)),
        newly_adopted=_new_among(skips, Reason.ADOPTED, memory),
        newly_oversize=_new_among(skips, Reason.TOO_LARGE, memory),
        gone=_gone(listing, memory, rows),
        renumbered=renumbered,
        stubborn=tuple(v.listed for v in deletes if v.deletions >= STUBBORN_DELETIONS),
        rows=rows,
    )


def _lateness(listed: ListedMessage, memory: AccountMemory, now: float) -> int:
    """Order what is retrieved: what may be in the way of the others comes last (P5).

    That is what an earlier session could not retrieve, or only in doubt, which may end this one,
    and what has been deferred for long: a few of those make a relay look unavailable. What has no
    unique-id comes behind what has one, since only its place tells when it was tried before.
    """
    if is_nameless(listed):
        return 3 if may_break(listed, memory) else 1
    known = memory.messages.get(listed.unique_id, ())
    return 2 * any(
        k.suspect
        or (
            k.state is MessageState.PENDING
            and (k.digest is None or now - k.first_seen >= LONG_DEFERRED_S)
        )
        for k in known
    )


def _split(
    wanted: Sequence[ListedMessage], policy: Policy
) -> tuple[tuple[ListedMessage, ...], list[Skip]]:
    """Give what is within the limit, and skips for the rest.

    Rows that share a unique-id come together and count as one: to know some of them would look
    like knowing all.
    """
    if not policy.fetch_limit:
        return tuple(wanted), []
    within = set(islice(dict.fromkeys(map(_name, wanted)), policy.fetch_limit))
    return (
        tuple(m for m in wanted if _name(m) in within),
        [Skip(m, Reason.OVER_LIMIT) for m in wanted if _name(m) not in within],
    )


def _name(listed: ListedMessage) -> UniqueId | MessageNumber:
    return listed.number if is_nameless(listed) else listed.unique_id


def _new_among(
    skips: Iterable[Skip], reason: Reason, memory: AccountMemory
) -> tuple[ListedMessage, ...]:
    return tuple(
        skip.listed
        for skip in skips
        if skip.reason is reason
        and not is_nameless(skip.listed)
        and not find_live(memory.messages.get(skip.listed.unique_id, ()))
    )


def _gone(
    listing: Listing, memory: AccountMemory, rows: Counter[UniqueId]
) -> tuple[UniqueId, ...]:
    """Give what has left the maildrop, as far as this listing can be believed.

    An empty listing of a maildrop where much was known buries nothing: after some faults a
    server shows none today and all of them tomorrow.
    """
    if not listing.complete or (not listing.messages and _expected(memory)):
        return ()
    return tuple(
        unique_id
        for unique_id, known in memory.messages.items()
        if unique_id not in rows
        and any(k.state is not MessageState.GONE and k.kept is not Kept.LEFT for k in known)
    )


def _expected(memory: AccountMemory) -> tuple[UniqueId, ...]:
    """Give the unique-ids that should still be there, when they are enough to judge by.

    Some servers hide what was retrieved: that what is in the spool is not listed proves nothing.
    """
    expected = tuple(
        unique_id
        for unique_id, known in memory.messages.items()
        if any(
            k.state is not MessageState.GONE and not k.deletions and k.kept is _NOT_KEPT
            for k in known
        )
    )
    return expected if len(expected) >= RENUMBERING_MIN_KNOWN else ()


def _is_renumbered(messages: Sequence[ListedMessage], memory: AccountMemory) -> bool:
    """Whether so many known unique-ids vanished at once that the server must have renamed them."""
    expected = [unique_id for unique_id in _expected(memory) if not is_content_key(unique_id)]
    listed = {listed.unique_id for listed in messages if not is_nameless(listed)}
    if len(expected) < RENUMBERING_MIN_KNOWN or not listed:
        return False
    found = sum(unique_id in listed for unique_id in expected)
    return found < RENUMBERING_MAX_FOUND * len(expected)
