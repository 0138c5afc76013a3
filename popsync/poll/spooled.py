"""What lies in the spool is delivered without a session: before it, and the doubtful after it."""

from collections.abc import Iterator, Sequence

from popsync.errors import DestinationUnavailable, SpoolDamaged, escape
from popsync.model import (
    AccountMemory,
    DeliveryState,
    ListedMessage,
    Listing,
    MessageNumber,
    RetrievedMessage,
    SpooledMessage,
)
from popsync.poll.batch import deliver_batch
from popsync.poll.carry import MAX_BATCH_MESSAGES
from popsync.poll.consignment import due_deliveries
from popsync.poll.events import Warned
from popsync.poll.plan import LONG_DEFERRED_S, PollPlan
from popsync.poll.policy import Account
from popsync.poll.ports import Ports
from popsync.poll.session import Session

NO_NUMBER = MessageNumber(0)
"""What comes from the spool has none."""

_DOUBT = "it was retrieved in doubt: it may not be whole, or not the one that it was listed as"

MAX_BATCH_OCTETS = 1024 * 1024
"""Of what lies on disk there is no need to have more in memory, for each of many accounts (P8)."""


async def deliver_spooled(
    account: Account,
    ports: Ports,
    down: dict[str, DestinationUnavailable],
    *,
    last: bool = False,
) -> Session:
    """Deliver what is due of the account's copies, oldest first; give what came of it.

    down: the destinations that are known to take nothing; those found out are added. last: those
    and only those that may be in the way of others, which have had their turn (P5). Raises
    LedgerError.
    """
    nothing = Listing((), complete=False)
    session = Session(account, ports, AccountMemory(), nothing, PollPlan(), down, from_spool=True)
    if ports.stopping():
        return session
    held = set(ports.spool.held(account.id))
    spooled = await ports.ledger.spooled(account.id)
    await ports.spool.release(held.difference(message.message for message in spooled))
    now = ports.clock()
    due = [
        message
        for message in spooled
        if due_deliveries(message.deliveries, account.routes, now)
        and _may_be_in_the_way(message, now) is last
    ]
    if due:
        await find_down(session)
    for batch in _split([message for message in due if _can_go(message, session, now)]):
        if ports.stopping() or session.is_stranded:
            break
        await _deliver(batch, session)
    if not session.is_cut_off:
        session.deferred = len(due) - len(session.settled) - session.held
    return session


async def find_down(session: Session) -> None:
    """Ask every destination that is not known to be down whether it takes mail now."""
    for name, destination in session.ports.destinations.items():
        if name not in session.down:
            try:
                await destination.ready()
            except DestinationUnavailable as error:
                session.down[name] = error


def _may_be_in_the_way(message: SpooledMessage, now: float) -> bool:
    """Whether a few like it would make a relay look unavailable: refused, or put off for long."""
    states = {status.state for status in message.deliveries.values()}
    is_old = now - message.first_seen >= LONG_DEFERRED_S
    return DeliveryState.HELD in states or (is_old and DeliveryState.DEFERRED in states)


def _can_go(message: SpooledMessage, session: Session, now: float) -> bool:
    """Whether some destination that is up may have it now; else there is no need to read it."""
    due = due_deliveries(message.deliveries, session.account.routes, now)
    return any(delivery.destination not in session.down for delivery in due)


def _split(messages: Sequence[SpooledMessage]) -> Iterator[list[SpooledMessage]]:
    """Give them in batches, each of one message at least."""
    batch: list[SpooledMessage] = []
    octets = 0
    for message in messages:
        batch.append(message)
        octets += message.octets
        if len(batch) >= MAX_BATCH_MESSAGES or octets >= MAX_BATCH_OCTETS:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


async def _deliver(batch: Sequence[SpooledMessage], session: Session) -> None:
    messages: list[RetrievedMessage] = []
    try:
        for message in batch:
            messages += await _fetch(message, session)
    except BaseException:
        for fetched in messages:
            fetched.content.close()
        raise
    session.consigned.update(message.message for message in batch)  # so that the ledger is asked
    if messages:
        await deliver_batch(messages, session)


async def _fetch(spooled: SpooledMessage, session: Session) -> tuple[RetrievedMessage, ...]:
    """Give the message, or nothing when its copy is damaged: then the ledger is told."""
    ports, key = session.ports, spooled.message
    try:
        content = await ports.spool.fetch(key)
    except SpoolDamaged as error:
        hope = "" if spooled.left else "; it is retrieved again if the server still shows it"
        await ports.ledger.note_damaged(key, escape(str(error), limit=500))
        text = f"message {escape(key.unique_id)}: {error}{hope}"
        ports.observe(Warned(session.account.name, text))
        return ()
    listed = ListedMessage(NO_NUMBER, key.unique_id, spooled.listed_octets)
    return (RetrievedMessage(listed, content, _DOUBT if spooled.suspect else ""),)
