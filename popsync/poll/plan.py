"""Decides, from listing, ledger and policy alone, what a session does. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import NamedTuple

from popsync.model import (
    AccountMemory,
    Kept,
    KnownMessage,
    ListedMessage,
    Listing,
    MessageNumber,
    MessageState,
    UniqueId,
)
from popsync.poll.content_keys import is_content_key, is_nameless, may_break, name_by_hints
from popsync.poll.policy import Policy

# A handful of messages vanishing is everyday life; the guard is for a mailbox.
RENUMBERING_MIN_KNOWN = 20
RENUMBERING_MAX_FOUND = 0.1

LONG_DEFERRED_S = 24 * 3600
"""What was put off for so long may be the message's own fault, so it lets the others go first."""

STUBBORN_DELETIONS = 5
"""So many DELEs without effect, and the operator is told."""


class Reason(Enum):
    """Why a listed message is left alone in this session; the text is for people."""

    DELIVERED = "already delivered"
    WAITING = "delivered, to be deleted later"
    KEPT_BY_GUARD = "not deleted while unique-ids are being matched"
    SUSPECT = "delivered, but its bytes are in doubt, so it stays on the server"
    UNSERVED = "delivered before all of its destinations were configured, so it stays"
    TOO_LARGE = "larger than max_size"
    DEFERRED = "not delivered yet, to be tried again later"
    SPOOLED = "not delivered yet, to be delivered from the spool"
    HELD = "held: no destination takes it"
    DROPPED = "dropped by the operator"
    ADOPTED = "was there before the first poll"
    OVER_LIMIT = "over fetch_limit, left for the next poll"


_TOLD = frozenset({Reason.SUSPECT, Reason.UNSERVED})


class Skip(NamedTuple):
    """A message that is left alone, and why."""

    listed: ListedMessage
    reason: Reason
    until: float | None = None
    """When that may change by itself, in seconds since the epoch."""


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
        return not any(skip.reason is Reason.OVER_LIMIT for skip in self.skip)


class _Retrieve(NamedTuple):
    listed: ListedMessage


class _Delete(NamedTuple):
    listed: ListedMessage
    deletions: int


_Verdict = _Retrieve | _Delete | Skip

# What is listed under the unique-id of a message that is kept otherwise is looked at anew.
_NOT_KEPT, _SPOOLED = Kept.NOT, Kept.SPOOLED


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
    session = _Session(memory, policy, now, rows, renumbered=renumbered)
    verdicts = [session.judge(listed) for listed in messages]
    wanted = [v.listed for v in verdicts if type(v) is _Retrieve]
    wanted.sort(key=lambda listed: _lateness(listed, memory, now))
    retrieve, over_limit = _split(wanted, policy)
    deletes = [v for v in verdicts if type(v) is _Delete]
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


class _Session:
    """The facts that every row of one listing is judged by."""

    def __init__(
        self,
        memory: AccountMemory,
        policy: Policy,
        now: float,
        rows: Counter[UniqueId],
        *,
        renumbered: bool,
    ) -> None:
        self._memory = memory
        self._policy = policy
        self._now = now
        self._rows = rows
        self._renumbered = renumbered

    def judge(self, listed: ListedMessage) -> _Verdict:
        known = self._memory.messages.get(listed.unique_id)
        if is_nameless(listed):
            return self._judge_nameless(listed, known or ())
        live = self._live(listed, known) if known else ()
        rows, copies = self._rows[listed.unique_id], sum(k.copies for k in live)
        if not live or rows > copies:
            return self._judge_new(listed)
        # Rows that share a unique-id cannot be told apart before RETR: the least settled rules,
        # and when some of them have left, only RETR tells whether the known ones stayed (P1).
        verdict = min((self._judge_known(listed, k) for k in live), key=_urgency)
        if rows < copies and type(verdict) is _Delete:
            return _Retrieve(listed)
        return verdict

    def _judge_nameless(self, listed: ListedMessage, known: Iterable[KnownMessage]) -> _Verdict:
        # It has one content, so there is one generation; only RETR tells whether it is this one.
        verdict = next((self._judge_known(listed, k) for k in _live(known)), None)
        if verdict is None:
            return self._judge_new(listed)
        return _Retrieve(listed) if type(verdict) is _Delete else verdict

    def _live(
        self, listed: ListedMessage, known: Iterable[KnownMessage]
    ) -> Sequence[KnownMessage]:
        """Give the known messages that this row may be.

        Servers give a unique-id that has become free to another message. To take that for the
        old one would be to delete it unseen (P1); that LIST gives another size tells them apart.
        """
        live = _live(known)
        same = [k for k in live if not _differs(k, listed)]
        # Of rows that share a unique-id each may be any of the messages that have its size.
        return live if same and self._rows[listed.unique_id] > 1 else same

    def _judge_new(self, listed: ListedMessage) -> _Verdict:
        if self._policy.adopts and not self._memory.polled_before:
            return Skip(listed, Reason.ADOPTED)
        if self._is_oversize(listed):
            return Skip(listed, Reason.TOO_LARGE)
        return _Retrieve(listed)

    def _judge_known(self, listed: ListedMessage, known: KnownMessage) -> _Verdict:
        if known.kept is _SPOOLED:
            return Skip(listed, Reason.SPOOLED, known.next_try)
        match known.state:
            case MessageState.SETTLED:
                return self._judge_settled(listed, known)
            case MessageState.PENDING:
                return self._judge_due(listed, known, Reason.DEFERRED)
            case MessageState.HELD:
                return self._judge_held(listed, known)
            case MessageState.ADOPTED | MessageState.DROPPED:
                return Skip(listed, Reason[known.state.name])
            case MessageState.GONE:  # pragma: no cover - _live leaves these out
                return _Retrieve(listed)

    def _judge_settled(self, listed: ListedMessage, known: KnownMessage) -> _Verdict:
        if known.deletions == 1:
            # It should be gone. Either the deletion was lost, or the server has given its
            # unique-id to another message (P1): one look tells, and is not repeated.
            return _Retrieve(listed)
        if known.suspect and not known.looked_again:
            return _Retrieve(listed)
        if reason := self._reason_to_stay(known):
            return Skip(listed, reason)
        due = (known.settled_at or known.first_seen) + self._policy.delete_after_s
        if due > self._now:
            return Skip(listed, Reason.WAITING, due)
        return _Delete(listed, known.deletions)

    def _reason_to_stay(self, known: KnownMessage) -> Reason | None:
        """Say why a delivered message must not be deleted, whatever its age."""
        if not self._policy.deletes:
            return Reason.DELIVERED
        if known.suspect:
            return Reason.SUSPECT
        if self._renumbered:
            return Reason.KEPT_BY_GUARD
        served = self._policy.destinations <= known.served
        return None if served else Reason.UNSERVED

    def _judge_due(self, listed: ListedMessage, known: KnownMessage, reason: Reason) -> _Verdict:
        # Its size was accepted once, or the operator asked for it in spite of its size.
        if known.next_try is not None and known.next_try > self._now:
            return Skip(listed, reason, known.next_try)
        return _Retrieve(listed)

    def _judge_held(self, listed: ListedMessage, known: KnownMessage) -> _Verdict:
        if known.oversize:
            too_large = self._is_oversize(listed)
            return Skip(listed, Reason.TOO_LARGE) if too_large else _Retrieve(listed)
        if known.next_try is None:
            return Skip(listed, Reason.HELD)
        return self._judge_due(listed, known, Reason.HELD)

    def _is_oversize(self, listed: ListedMessage) -> bool:
        return 0 < self._policy.max_octets < listed.octets


def _live(known: Iterable[KnownMessage]) -> tuple[KnownMessage, ...]:
    return tuple(
        k
        for k in known
        if k.state is not MessageState.GONE and (k.kept is _NOT_KEPT or k.kept is _SPOOLED)
    )


def _differs(known: KnownMessage, listed: ListedMessage) -> bool:
    """Whether LIST gives another size than the message had; a size of 0 says nothing."""
    return 0 not in {known.listed_octets, listed.octets} and known.listed_octets != listed.octets


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


def _urgency(verdict: _Verdict) -> int:
    """Order the verdicts on rows that share a unique-id: any work first, deletion last."""
    return (_Retrieve, Skip, _Delete).index(type(verdict))


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
        and not _live(memory.messages.get(skip.listed.unique_id, ()))
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
