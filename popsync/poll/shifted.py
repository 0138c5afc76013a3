"""What a session brought that broke while several commands were on their way.

A reply may then have been lost or come twice, so that every one behind it was taken for
another's. Sizes tell, but not between messages of one size.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from popsync.model import AccountMemory, Digest, ListedMessage, MessageKey, SeenMessage
from popsync.poll.content_keys import is_nameless
from popsync.poll.session import Session

# A line end that LIST does not count may be what makes the difference.
_SAME_SIZE_OCTETS = 2


async def doubt_shifted(session: Session) -> None:
    """Have each message looked at again that may have come in another's place (P1).

    Until then none of them is deleted, nor taken for what its unique-id names.
    """
    sizes = sorted(listed.octets for listed in session.plan.retrieve)
    had = {
        listed.unique_id: listed
        for listed in (*session.settled, *session.spooled, *session.unsettled)
        if listed.unique_id not in session.suspect  # looked at again as it is
        and not is_nameless(listed)
        and _has_equals(listed, sizes)
    }
    session.suspect.update(had)
    doubted = [
        _doubted(session, key, had[key.unique_id])
        for key in session.copies
        if key.unique_id in had
    ]
    await session.ports.ledger.record(doubted, [])


def doubted_digests(memory: AccountMemory) -> frozenset[Digest]:
    """Give the digests of messages that are to be looked at again.

    They may prove to be those of other messages, which are delivered then.
    """
    return frozenset(
        known.digest
        for generations in memory.messages.values()
        for known in generations
        if known.suspect and not known.looked_again and known.digest is not None
    )


def _has_equals(listed: ListedMessage, sizes: Sequence[int]) -> bool:
    """Whether another message of about this size was to be retrieved; of 0 nothing is known."""
    first = bisect_left(sizes, listed.octets - _SAME_SIZE_OCTETS)
    behind = bisect_right(sizes, listed.octets + _SAME_SIZE_OCTETS)
    return behind - first > 1 or not listed.octets


def _doubted(session: Session, key: MessageKey, listed: ListedMessage) -> SeenMessage:
    return SeenMessage(
        key,
        octets=listed.octets,
        copies=session.copies[key],
        suspect=True,
        deliveries=(),
        listed_octets=listed.octets,
    )
