"""Judges each row of a listing by what is known of it: retrieve, delete or leave alone. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from popsync.model import AccountMemory, Kept, KnownMessage, ListedMessage, MessageState, UniqueId
from popsync.poll.content_keys import is_nameless
from popsync.poll.policy import Policy


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
    NO_ROOM = "does not fit into the spool, and its destination takes no mail"
    OVER_LIMIT = "over fetch_limit, left for the next poll"


class Skip(NamedTuple):
    """A message that is left alone, and why."""

    listed: ListedMessage
    reason: Reason
    until: float | None = None
    """When that may change by itself, in seconds since the epoch."""


class Retrieve(NamedTuple):
    """A message that is to be retrieved."""

    listed: ListedMessage


class Delete(NamedTuple):
    """A message that is to be deleted, and how many DELEs it has had."""

    listed: ListedMessage
    deletions: int


Verdict = Retrieve | Delete | Skip

# What is listed under the unique-id of a message that is kept otherwise is looked at anew.
_NOT_KEPT, _SPOOLED = Kept.NOT, Kept.SPOOLED


class Judge:
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

    def judge(self, listed: ListedMessage) -> Verdict:
        """Say what becomes of a row."""
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
        if rows < copies and type(verdict) is Delete:
            return Retrieve(listed)
        return verdict

    def _judge_nameless(self, listed: ListedMessage, known: Iterable[KnownMessage]) -> Verdict:
        # It has one content, so there is one generation; only RETR tells whether it is this one.
        verdict = next((self._judge_known(listed, k) for k in find_live(known)), None)
        if verdict is None:
            return self._judge_new(listed)
        return Retrieve(listed) if type(verdict) is Delete else verdict

    def _live(
        self, listed: ListedMessage, known: Iterable[KnownMessage]
    ) -> Sequence[KnownMessage]:
        """Give the known messages that this row may be.

        Servers give a unique-id that has become free to another message. To take that for the
        old one would be to delete it unseen (P1); that LIST gives another size tells them apart.
        """
        live = find_live(known)
        same = [k for k in live if not differs(k, listed)]
        # Of rows that share a unique-id each may be any of the messages that have its size.
        return live if same and self._rows[listed.unique_id] > 1 else same

    def _judge_new(self, listed: ListedMessage) -> Verdict:
        if self._policy.adopts and not self._memory.polled_before:
            return Skip(listed, Reason.ADOPTED)
        if self._is_oversize(listed):
            return Skip(listed, Reason.TOO_LARGE)
        return Retrieve(listed)

    def _judge_known(self, listed: ListedMessage, known: KnownMessage) -> Verdict:
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
            case MessageState.GONE:  # pragma: no cover - find_live leaves these out
                return Retrieve(listed)

    def _judge_settled(self, listed: ListedMessage, known: KnownMessage) -> Verdict:
        if known.deletions == 1:
            # It should be gone. Either the deletion was lost, or the server has given its
            # unique-id to another message (P1): one look tells, and is not repeated.
            return Retrieve(listed)
        if known.suspect and not known.looked_again:
            return Retrieve(listed)
        if reason := self._reason_to_stay(known):
            return Skip(listed, reason)
        due = (known.settled_at or known.first_seen) + self._policy.delete_after_s
        if due > self._now:
            return Skip(listed, Reason.WAITING, due)
        return Delete(listed, known.deletions)

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

    def _judge_due(self, listed: ListedMessage, known: KnownMessage, reason: Reason) -> Verdict:
        # Its size was accepted once, or the operator asked for it in spite of its size.
        if known.next_try is not None and known.next_try > self._now:
            return Skip(listed, reason, known.next_try)
        return Retrieve(listed)

    def _judge_held(self, listed: ListedMessage, known: KnownMessage) -> Verdict:
        if known.oversize:
            too_large = self._is_oversize(listed)
            return Skip(listed, Reason.TOO_LARGE) if too_large else Retrieve(listed)
        if known.next_try is None:
            return Skip(listed, Reason.HELD)
        return self._judge_due(listed, known, Reason.HELD)

    def _is_oversize(self, listed: ListedMessage) -> bool:
        return 0 < self._policy.max_octets < listed.octets


def find_live(known: Iterable[KnownMessage]) -> tuple[KnownMessage, ...]:
    """Give the known messages that may be on the server, or wait in the spool."""
    return tuple(
        k
        for k in known
        if k.state is not MessageState.GONE and (k.kept is _NOT_KEPT or k.kept is _SPOOLED)
    )


def differs(known: KnownMessage, listed: ListedMessage) -> bool:
    """Whether LIST gives another size than the message had; a size of 0 says nothing."""
    return 0 not in {known.listed_octets, listed.octets} and known.listed_octets != listed.octets


def _urgency(verdict: Verdict) -> int:
    """Order the verdicts on rows that share a unique-id: any work first, deletion last."""
    return (Retrieve, Skip, Delete).index(type(verdict))
