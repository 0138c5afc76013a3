"""Known messages under new unique-ids: they are recognised by their digest."""

from collections.abc import Container, Iterable, Mapping, Sequence

from popsync.model import (
    AccountId,
    AccountMemory,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Digest,
    MessageKey,
    MessageState,
    SeenMessage,
    UniqueId,
)
from popsync.poll.ports import Ledger

_BROUGHT = frozenset({MessageState.PENDING, MessageState.HELD, MessageState.SETTLED})

Statuses = Mapping[DeliveryKey, DeliveryStatus]

# GONE: the old name may be buried before the message can be had under its new one.
_UNFINISHED = frozenset({MessageState.PENDING, MessageState.HELD, MessageState.GONE})


def find_vanished(
    memory: AccountMemory,
    gone: Sequence[UniqueId],
    spooled: Iterable[MessageKey],
    *,
    listed: Container[UniqueId],
) -> frozenset[Digest]:
    """Give the digests of messages that left the listing though nobody told them to.

    They may have been renamed one by one, or all of too few for the guard to notice: a new
    unique-id with the same octets is then the same message. What lies in the spool may have left
    long ago.
    """
    left = frozenset(key.digest for key in spooled if key.unique_id not in listed)
    return left.union(
        known.digest
        for unique_id in gone
        for known in memory.messages[unique_id]
        if known.digest is not None and not known.deletions and known.state in _BROUGHT
    )


async def recognise(
    account: AccountId,
    octets: Mapping[MessageKey, int],
    memory: AccountMemory,
    ledger: Ledger,
    *,
    listed: Container[UniqueId],
) -> dict[MessageKey, Statuses | None]:
    """Give the deliveries of those messages that are known under other unique-ids.

    octets: the size of each message of the account. Most have none left to make. What another
    still owes is durable under its new name on return, with its attempts and doubts, so that no
    destination gets again what it has and no repeat goes unmarked (P4). A former one that lies in
    the spool ends with that, for it would be delivered once more. None in place of deliveries: a
    step of a former one is open still, and until its destination can tell, nothing may be done.
    """
    settled = await ledger.known_digests(account, [key.digest for key in octets])
    former = _unfinished([key for key in octets if key.digest not in settled], memory)
    found = await ledger.deliveries([old for same in former.values() for old in same])
    is_open = [key for key, same in former.items() if any(_is_open(found[old]) for old in same)]
    former = {key: same for key, same in former.items() if key not in is_open}
    owed = {key: _owed([found[old] for old in same], key) for key, same in former.items()}
    if owed:
        await ledger.take_over(
            [_seen(key, octets[key], statuses) for key, statuses in owed.items()],
            [_change(d, status) for statuses in owed.values() for d, status in statuses.items()],
            [old for same in former.values() for old in same if _ends(old, memory, listed)],
        )
    nothing = {key: dict[DeliveryKey, DeliveryStatus]() for key in octets if key.digest in settled}
    return {**owed, **nothing, **dict.fromkeys(is_open)}


def _is_open(statuses: Statuses) -> bool:
    return any(
        status.state is DeliveryState.STAGED or status.state is DeliveryState.DOT_SENT
        for status in statuses.values()
    )


def _ends(former: MessageKey, memory: AccountMemory, listed: Container[UniqueId]) -> bool:
    """Tell whether a message has a new name, rather than an identical copy with one."""
    if former.unique_id not in listed:
        return True
    # In doubt, it may have come under a name that is another's.
    same = (k for k in memory.messages[former.unique_id] if k.digest == former.digest)
    return any(known.suspect for known in same)


def _unfinished(
    keys: Sequence[MessageKey], memory: AccountMemory
) -> Mapping[MessageKey, Sequence[MessageKey]]:
    """Give for each message the known ones with its digest that some destination lacks."""
    former: dict[Digest, list[UniqueId]] = {key.digest: [] for key in keys}
    for unique_id, generations in memory.messages.items():
        for known in generations:
            if known.digest in former and known.state in _UNFINISHED:
                former[known.digest].append(unique_id)
    return {
        key: [key._replace(unique_id=unique_id) for unique_id in former[key.digest]]
        for key in keys
        if former[key.digest]
    }


def _owed(former: Sequence[Statuses], key: MessageKey) -> Statuses:
    """Give what is still owed to ``key`` after all that was done under its former names."""
    furthest: dict[DeliveryKey, DeliveryStatus] = {}
    for delivery, status in (item for statuses in former for item in statuses.items()):
        here = delivery._replace(message=key)
        furthest[here] = max(furthest.get(here, status), status, key=_progress)
    return {
        delivery: status
        for delivery, status in furthest.items()
        if status.state is not DeliveryState.DELIVERED
    }


def _progress(status: DeliveryStatus) -> tuple[bool, int]:
    return status.state is DeliveryState.DELIVERED, status.doubts


def _seen(key: MessageKey, octets: int, statuses: Statuses) -> SeenMessage:
    owed = tuple((delivery.destination, delivery.recipient) for delivery in statuses)
    return SeenMessage(key, octets, copies=1, suspect=False, deliveries=owed)


def _change(delivery: DeliveryKey, status: DeliveryStatus) -> DeliveryChange:
    """Give a new delivery the history of an old one; a doubt is kept by its count."""
    held = status.state is DeliveryState.HELD
    return DeliveryChange(
        delivery,
        DeliveryState.HELD if held else DeliveryState.DEFERRED,
        attempts=status.attempts,
        next_try=status.next_try,
        doubts=status.doubts,
    )
