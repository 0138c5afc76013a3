"""Messages without a usable unique-id are known by their content. Pure.

Such a message is retrieved to find out which it is. A hint, what stood at its number with its
size, saves that for a day, and never more: it decides neither a deletion nor an absence.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    RetrievedMessage,
    UniqueId,
)
from popsync.poll.policy import Policy

HINT_TRUSTED_S = 24 * 3600.0
"""A message that came unseen to the number and size of another is retrieved after so long."""

_PREFIX = b" sha256:"
_NAMELESS_STARTS = (b"", b" ")  # no unique-id of a server begins with a blank


def content_key(digest: Digest) -> UniqueId:
    """Give what stands in the place of a unique-id."""
    return UniqueId(_PREFIX + digest.hex().encode())


def is_content_key(unique_id: UniqueId) -> bool:
    """Tell whether this was made of a message's content."""
    return unique_id.startswith(_PREFIX)


def is_nameless(listed: ListedMessage) -> bool:
    """Tell whether the server gave this message no unique-id, whatever a hint says."""
    return listed.unique_id[:1] in _NAMELESS_STARTS


def without_key(listed: ListedMessage) -> ListedMessage:
    """Give a row as the server lists it; what stands there now only its content can tell."""
    return listed._replace(unique_id=NAMELESS) if is_nameless(listed) else listed


def name_by_content(message: RetrievedMessage) -> RetrievedMessage:
    """Give a retrieved message its content key, unless it has a unique-id."""
    if message.listed.unique_id:
        return message
    key = content_key(message.content.digest)
    return message._replace(listed=message.listed._replace(unique_id=key))


# -- before retrieval ------------------------------------------------------------------------


def check_names(listing: Listing, memory: AccountMemory, policy: Policy) -> None:
    """Refuse an account that cannot do without unique-ids. Raises UidlUnsupported.

    What stays on the server would be retrieved at every look, and what was never retrieved
    cannot be told from what is new.
    """
    if listing.without_uidl is None or not listing.messages:
        return
    if not policy.deletes:
        raise _refusal(listing.without_uidl, "mode 'keep' needs them")
    if policy.adopts and not memory.polled_before:
        raise _refusal(listing.without_uidl, "first_run 'adopt' needs them")
    if any(known.digest is None and not _is_over(known) for known in _named(memory)):
        raise _refusal(listing.without_uidl, "some messages are known by nothing else")


def _refusal(error: UidlUnsupported, why: str) -> UidlUnsupported:
    return UidlUnsupported(f"{error}; the server has no unique-ids, and {why}")


def name_by_hints(
    listing: Listing, memory: AccountMemory, now: float
) -> tuple[ListedMessage, ...]:
    """Give the listing with content keys where hints tell them."""
    messages = listing.messages
    if memory.content_keys:
        messages = tuple(listed._replace(unique_id=NAMELESS) for listed in messages)
    elif all(listed.unique_id for listed in messages):
        return messages
    return tuple(_name_by_hint(listed, memory.hints, now) for listed in messages)


def _name_by_hint(
    listed: ListedMessage, hints: Mapping[MessageNumber, Hint], now: float
) -> ListedMessage:
    hint = hints.get(listed.number)
    if listed.unique_id or hint is None or not listed.octets or hint.octets != listed.octets:
        return listed
    if now - hint.retrieved_at >= HINT_TRUSTED_S:
        return listed
    return listed._replace(unique_id=hint.unique_id)


def may_break(listed: ListedMessage, memory: AccountMemory) -> bool:
    """Tell whether a session once broke over the nameless message at this number and size."""
    hint = memory.hints.get(listed.number)
    return is_nameless(listed) and hint is not None and not hint.unique_id


def changes_names(listing: Listing, memory: AccountMemory) -> bool:
    """Tell whether the server has renamed all its messages, and not for the first time.

    A first time leaves most of the known messages with a former unique-id under which they
    left the listing though nobody told them to.
    """
    if memory.renumbering or memory.content_keys or not listing.messages:
        return False
    if any(_is_known(listed, memory) for listed in listing.messages):
        return False
    present: set[Digest] = set()
    former: set[Digest] = set()
    for known in _named(memory):
        if known.digest is not None and not known.deletions:
            (former if _is_over(known) else present).add(known.digest)
    return 0 < len(present) <= 2 * len(present & former)


def _is_known(listed: ListedMessage, memory: AccountMemory) -> bool:
    return not all(map(_is_over, memory.messages.get(listed.unique_id, ())))


# -- after retrieval -------------------------------------------------------------------------


def free_to_go(
    settled: Sequence[ListedMessage], memory: AccountMemory, policy: Policy, now: float
) -> list[ListedMessage]:
    """Give those nameless messages, retrieved and delivered, that may be deleted.

    settled: with their content keys. memory: of before they were retrieved. All that is known
    with the same octets must be free.
    """
    same: dict[UniqueId, list[KnownMessage]] = {listed.unique_id: [] for listed in settled}
    for generations in memory.messages.values():
        for known in generations:
            if known.digest is not None and known.state is not MessageState.GONE:
                same.get(content_key(known.digest), []).append(known)
    return [
        listed
        for listed in settled
        if (same[listed.unique_id] or policy.delete_after_s == 0)
        and all(_may_go(known, policy, now) for known in same[listed.unique_id])
    ]


def _may_go(known: KnownMessage, policy: Policy, now: float) -> bool:
    if known.suspect or known.state is MessageState.DROPPED:
        return False
    if not policy.destinations <= known.served:
        return False
    if known.settled_at is None:
        return policy.delete_after_s == 0
    return known.settled_at + policy.delete_after_s <= now


def next_hints(
    listing: Listing,
    memory: AccountMemory,
    retrieved: Iterable[ListedMessage],
    *,
    broken: ListedMessage | None,
    deleted: Sequence[ListedMessage],
    now: float,
) -> dict[MessageNumber, Hint]:
    """Give what to look for at each number next time, once the deleted ones have left.

    retrieved: with their content keys. broken: the message over which the session broke.
    """
    hints = dict(memory.hints)
    for listed in listing.messages if hints else ():
        if listed.number in hints and hints[listed.number].octets != listed.octets:
            del hints[listed.number]
    for listed in retrieved:
        if is_content_key(listed.unique_id):
            hints[listed.number] = Hint(listed.octets, listed.unique_id, now)
    if broken is not None and is_nameless(broken):
        hints[broken.number] = Hint(broken.octets, NAMELESS, now)
    for listed in deleted:
        hints.pop(listed.number, None)
    leaving = sorted(listed.number for listed in deleted)
    return {MessageNumber(at - bisect_left(leaving, at)): hint for at, hint in hints.items()}


def unseen_names(memory: AccountMemory, rows: Iterable[UniqueId]) -> bool:
    """Tell whether a message that was never retrieved may be among the nameless ones."""
    listed = set(rows)
    return any(
        known.digest is None and not _is_over(known) and known.unique_id not in listed
        for known in _named(memory)
    )


def _named(memory: AccountMemory) -> Iterator[KnownMessage]:
    for unique_id, generations in memory.messages.items():
        if not is_content_key(unique_id):
            yield from generations


def _is_over(known: KnownMessage) -> bool:
    return known.state is MessageState.GONE
