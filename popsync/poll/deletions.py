"""Which messages a session may tell the server to delete. Pure but for the clock."""

from collections import Counter
from collections.abc import Iterator, Sequence

from popsync.model import ListedMessage
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


def _named_doomed(settled: Sequence[ListedMessage], session: Session) -> Iterator[ListedMessage]:
    if session.account.policy.delete_after_s > 0:
        return
    here = Counter(listed.unique_id for listed in settled)
    for listed in settled:
        complete = here[listed.unique_id] == session.plan.rows[listed.unique_id]
        if complete and not is_content_key(listed.unique_id):
            yield listed


def _nameless_doomed(
    settled: Sequence[ListedMessage], session: Session
) -> Sequence[ListedMessage]:
    memory = session.memory
    settled = [listed for listed in settled if is_content_key(listed.unique_id)]
    if not settled or unseen_names(memory, session.plan.rows):
        return ()
    return free_to_go(settled, memory, session.account.policy, session.ports.clock())
