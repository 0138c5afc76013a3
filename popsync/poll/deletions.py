"""Which messages a session may tell the server to delete. Pure but for the clock."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from popsync.model import Digest, ListedMessage, MessageState, UniqueId
from popsync.poll.content_keys import free_to_go, is_content_key, unseen_names
from popsync.poll.session import Session


def choose_doomed(session: Session) -> list[ListedMessage]:
    """Give what this session deletes: what the plan says, and what it has itself delivered.

    Of rows that share a unique-id all go or none: one that stayed behind, never retrieved, would
    pass for the one that was delivered (P1).
    """
    policy, plan = session.account.policy, session.plan
    if not policy.deletes or plan.renumbered:
        return list(plan.delete)
    settled = [m for m in session.settled if m.unique_id not in session.suspect]
    return [*plan.delete, *_named_doomed(settled, session), *_nameless_doomed(settled, session)]


def find_undeleted(session: Session, doomed: Sequence[ListedMessage]) -> list[UniqueId]:
    """Give what was looked at because of its one DELE and is not deleted now.

    The mode has become keep, say. Every row of the unique-id has been seen and is in the ledger,
    so none can pass for the message that was to be deleted (P1).
    """
    known = session.memory.messages
    going = {listed.unique_id for listed in doomed}
    seen = Counter(listed.unique_id for listed in (*session.settled, *session.spooled))
    return [
        unique_id
        for unique_id, rows in seen.items()
        if unique_id not in going
        and any(k.deletions == 1 for k in known.get(unique_id, ()))
        and (rows == session.plan.rows[unique_id] or is_content_key(unique_id))
    ]


def _named_doomed(settled: Sequence[ListedMessage], session: Session) -> Iterator[ListedMessage]:
    here = Counter(listed.unique_id for listed in settled)
    brought = _brought(session)
    for listed in settled:
        complete = here[listed.unique_id] == session.plan.rows[listed.unique_id]
        if complete and not is_content_key(listed.unique_id) and _is_due(listed, brought, session):
            yield listed


def _brought(session: Session) -> Mapping[UniqueId, set[Digest]]:
    """Give what was found under each unique-id that was known before."""
    brought = defaultdict(set)
    for key in session.copies:
        if key.unique_id in session.memory.messages:
            brought[key.unique_id].add(key.digest)
    return brought


def _is_due(
    listed: ListedMessage, brought: Mapping[UniqueId, set[Digest]], session: Session
) -> bool:
    """Whether all destinations have it, those too that were added since, and its time is over.

    With delete_after that is so only for what was known and was looked at again.
    """
    policy, found = session.account.policy, brought.get(listed.unique_id, set())
    known = [k for k in session.memory.messages.get(listed.unique_id, ()) if k.digest in found]
    if not all(policy.destinations <= k.served for k in known):
        return False
    if policy.delete_after_s <= 0:
        return True
    latest = session.ports.clock() - policy.delete_after_s
    over = {
        k.digest
        for k in known
        if k.state is MessageState.SETTLED and (k.settled_at or k.first_seen) <= latest
    }
    return bool(found) and found <= over


def _nameless_doomed(
    settled: Sequence[ListedMessage], session: Session
) -> Sequence[ListedMessage]:
    memory = session.memory
    settled = [listed for listed in settled if is_content_key(listed.unique_id)]
    if not settled or unseen_names(memory, session.plan.rows):
        return ()
    return free_to_go(settled, memory, session.account.policy, session.ports.clock())
