"""What a listing and its plan give to tell, and to remember, before anything is retrieved."""

from collections import Counter
from collections.abc import Sequence

from popsync.model import (
    AccountMemory,
    Listing,
    MessageState,
    UniqueId,
    UnretrievedMessage,
)
from popsync.poll.content_keys import content_key, is_content_key, is_nameless
from popsync.poll.events import Listed, Warned
from popsync.poll.judgement import Reason
from popsync.poll.plan import PollPlan
from popsync.poll.policy import Account
from popsync.poll.ports import Ports
from popsync.poll.session import Session


def announce(account: Account, ports: Ports, listing: Listing, plan: PollPlan) -> None:
    """Tell the observer what was listed, what comes of it, and what a person should know."""
    octets = sum(listed.octets for listed in plan.retrieve)
    ports.observe(Listed(account.name, len(listing.messages), len(plan.retrieve), octets))
    for text in _warnings(listing, plan):
        ports.observe(Warned(account.name, text))


def warn_of_expiry(account: Account, ports: Ports, days: int | None) -> None:
    """Tell whoever wants to keep mail on a server that does not.

    Nothing is lost by it: what the server lets go of after QUIT is delivered, or in the spool.
    """
    if days is None or account.policy.deletes:
        return
    when = f"after {days} days" if days else "once it was retrieved"
    text = f"mode is 'keep', but the server says that it deletes mail {when} (EXPIRE {days})"
    ports.observe(Warned(account.name, text))


def _warnings(listing: Listing, plan: PollPlan) -> list[str]:
    warnings = []
    if not listing.complete:
        warnings.append("STAT, LIST and UIDL disagree; nothing is concluded from what is missing")
        if plan.newly_adopted:
            warnings.append(
                f"first_run = 'adopt': {len(plan.newly_adopted)} messages count as seen and are"
                " not delivered; this goes on with new mail until the three agree once"
            )
    if listing.left_out:
        warnings.append(
            f"{listing.left_out} messages are left on the server: UIDL does not mention them"
        )
    if plan.renumbered:
        warnings.append(
            "the server has renumbered its messages: known ones are recognised by their"
            " content, only new ones are delivered, and nothing is deleted meanwhile"
        )
    if plan.stubborn:
        warnings.append(f"the server keeps {len(plan.stubborn)} messages that were deleted often")
    stays = Counter(skip.reason for skip in plan.skip)
    unnamed = [s for s in plan.skip if is_nameless(s.listed) and s.reason is Reason.TOO_LARGE]
    if unnamed:
        warnings.append(f"{len(unnamed)} without a unique-id are larger than max_size and stay")
    warnings += [
        f"{stays[reason]} not deleted: {reason.value}"
        for reason in (Reason.SUSPECT, Reason.UNSERVED)
        if stays[reason]
    ]
    if plan.newly_oversize:
        sizes = ", ".join(str(listed.octets) for listed in plan.newly_oversize[:10])
        warnings.append(f"held because they are larger than max_size: {sizes} octets")
    return warnings


async def note_plan(account: Account, ports: Ports, memory: AccountMemory, plan: PollPlan) -> None:
    """Make durable what the listing alone decides, before anything is retrieved."""
    notes = [
        UnretrievedMessage(m.unique_id, m.octets, MessageState.ADOPTED) for m in plan.newly_adopted
    ]
    limit = account.policy.max_octets
    reason = f"larger than max_size: {{}} octets, {limit} allowed"
    notes += [
        UnretrievedMessage(
            m.unique_id, m.octets, MessageState.HELD, reason.format(m.octets), oversize=True
        )
        for m in plan.newly_oversize
    ]
    if notes:
        await ports.ledger.note_unretrieved(account.id, notes)
    if plan.renumbered and not memory.renumbering:
        await ports.ledger.close_listing(account.id, gone=(), renumbering=True)


async def close_listing(session: Session) -> None:
    """Bury what a complete listing no longer shows, once all that it shows is dealt with."""
    memory, plan = session.memory, session.plan
    if not session.listing.complete:
        return
    renumbering = plan.renumbered and not session.is_whole
    gone = () if renumbering else _without_found(session)
    if gone or plan.renumbered or not memory.polled_before:
        await session.ports.ledger.close_listing(
            session.account.id, gone=gone, renumbering=renumbering
        )


def _without_found(session: Session) -> Sequence[UniqueId]:
    """Give what has left the listing, and was not found in it without its unique-id.

    While a message without a unique-id is still to be looked at, that cannot be told; and never
    of what was never retrieved.
    """
    if not session.plan.gone:
        return ()
    memory, known = session.memory, session.memory.messages
    nameless = {
        m.number for m in session.listing.messages if memory.content_keys or not m.unique_id
    }
    if not nameless:
        return session.plan.gone
    skipped = [skip.listed for skip in session.plan.skip]
    found = {
        listed.number: listed.unique_id
        for listed in (*session.settled, *session.spooled, *session.unsettled, *skipped)
        if listed.number in nameless and is_content_key(listed.unique_id)
    }
    if len(found) < len(nameless):
        return ()
    keys = set(found.values())
    return [
        unique_id
        for unique_id in session.plan.gone
        if unique_id not in keys
        and all(k.digest and content_key(k.digest) not in keys for k in known[unique_id])
    ]
