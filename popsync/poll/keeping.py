"""What some destination lacks is put by, so that it need not be retrieved again."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from popsync.model import ListedMessage, MessageKey, MessageState
from popsync.poll.consignment import Consignment, due_deliveries
from popsync.poll.events import Warned
from popsync.poll.journal import BatchJournal
from popsync.poll.judgement import Reason, Skip, differs, find_live
from popsync.poll.session import Session


async def leave_unkeepable(session: Session) -> None:
    """Take out of the plan what could go nowhere: not into the spool, nor to who takes mail now.

    Every poll would retrieve it, and have to drop the connection. What some destination takes
    is retrieved all the same, for that one, and after the others: it ends the session (P5).
    Raises LedgerError.
    """
    if not session.down or session.is_cut_off:
        return
    plan, spool = session.plan, session.ports.spool
    large = {listed for listed in plan.retrieve if not spool.has_room(listed.octets)}
    left = {listed for listed in large if await _goes_nowhere(listed, session)}
    wanted = [listed for listed in plan.retrieve if listed not in left]
    session.plan = replace(
        plan,
        retrieve=tuple(sorted(wanted, key=lambda listed: listed in large)),
        skip=(*plan.skip, *(Skip(listed, Reason.NO_ROOM) for listed in left)),
    )
    if left:
        session.deferred += len(left)
        down = " and ".join(sorted(session.down))
        text = f"{len(left)} left on the server for {down}: too large for the spool, spool_size"
        session.ports.observe(Warned(session.account.name, text))


async def _goes_nowhere(listed: ListedMessage, session: Session) -> bool:
    """Whether it is known, and only destinations that are down may have it now."""
    live = find_live(session.memory.messages.get(listed.unique_id, ()))
    if len(live) != 1 or session.plan.rows[listed.unique_id] != 1:
        return False  # to retrieve it tells which it is
    (known,) = live
    if known.state is not MessageState.PENDING or not known.digest or differs(known, listed):
        return False
    key = MessageKey(session.account.id, known.unique_id, known.digest)
    statuses = (await session.ports.ledger.deliveries([key]))[key]
    due = due_deliveries(statuses, session.account.routes, session.ports.clock())
    return all(delivery.destination in session.down for delivery in due)


async def put_by(
    consignments: Sequence[Consignment],
    settled: Collection[MessageKey],
    journal: BatchJournal,
    session: Session,
) -> None:
    """Put what is not settled into the spool, and take out of it what is.

    On return the ledger says of what is in ``session.kept`` that it is spooled, so the session
    may end with QUIT: servers hide what was retrieved, or delete it. What does not fit in is
    told; it stays on the server, and the connection has to be dropped. Raises LedgerError.
    """
    spool, account = session.ports.spool, session.account
    if spool.held(account.id):
        await spool.release(c.key for c in consignments if c.key in settled)
    owed = {c.key: c.content for c in consignments if c.key not in settled}
    if session.from_spool:
        session.kept.update(owed)
    elif owed:
        kept, trouble = await spool.keep(owed)
        if kept:
            await journal.remember(list(kept))
            await session.ports.ledger.note_spooled(kept)
            session.kept |= kept
        if trouble:
            text = f"what was not delivered cannot be kept in the spool: {trouble}"
            session.ports.observe(Warned(account.name, text))
