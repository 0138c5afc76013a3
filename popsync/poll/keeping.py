"""What some destination lacks is put by, so that it need not be retrieved again."""

from collections.abc import Collection, Sequence

from popsync.model import MessageKey
from popsync.poll.consignment import Consignment
from popsync.poll.events import Warned
from popsync.poll.journal import BatchJournal
from popsync.poll.session import Session


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
