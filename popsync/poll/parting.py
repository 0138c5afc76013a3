"""How a session ends: with what may be deleted and QUIT, or early and without."""

from collections.abc import Sequence

from popsync.errors import MaildropError, PopsyncError, RemoteProtocolError, StreamError
from popsync.model import ListedMessage, MessageState, UnretrievedMessage
from popsync.poll.content_keys import is_nameless, next_hints
from popsync.poll.deletions import choose_doomed, find_undeleted
from popsync.poll.events import Deleted, Warned
from popsync.poll.policy import Account
from popsync.poll.ports import Maildrop, Ports
from popsync.poll.session import Session
from popsync.poll.shifted import doubt_shifted
from popsync.poll.tally import Purpose, Tally


async def end_session(maildrop: Maildrop, session: Session, tally: Tally) -> Purpose:
    """Delete what may be deleted and QUIT; or, when QUIT is too early, part without it.

    Some servers hide what was retrieved once a session ends with QUIT. So while a message was
    retrieved and is neither delivered nor in the spool, the connection is dropped, and the
    deletions of the others have to wait for a session of their own.
    """
    if session.unsettled:
        return await part_early(session)
    account, ports = session.account, session.ports
    doomed = choose_doomed(session)
    agreed = await _delete(maildrop, session, doomed) if doomed else ()
    await _note_undeleted(session, doomed)
    await quit_session(maildrop, account, ports, doomed, session)
    await _note_hints(session, deleted=agreed)
    if agreed:
        tally.deleted += len(agreed)
        ports.observe(Deleted(account.name, len(agreed)))
    return Purpose.NOTHING


async def part_broken(session: Session, error: PopsyncError) -> Purpose:
    """Remember which message was on its way when the session broke.

    It may be the reason, so the next poll retrieves all others first; and what was delivered
    before can be deleted in a session of its own (P5).
    """
    outcomes = (session.settled, session.spooled, session.unsettled, session.refused)
    had = {listed.number for outcome in outcomes for listed in outcome}
    broken = next((m for m in session.plan.retrieve if m.number not in had), None)
    if broken is not None and not is_nameless(broken):
        note = UnretrievedMessage(
            broken.unique_id, broken.octets, MessageState.PENDING, reason=str(error)
        )
        await session.ports.ledger.note_unretrieved(session.account.id, [note])
    return await part_early(session, broken=broken)


async def part_early(session: Session, *, broken: ListedMessage | None = None) -> Purpose:
    """Give whether there is something to delete, which then needs a session of its own."""
    await _note_hints(session, broken=broken)
    doomed = choose_doomed(session)
    await _note_undeleted(session, doomed)
    return Purpose.DELETIONS if doomed and not session.ports.stopping() else Purpose.NOTHING


async def _note_undeleted(session: Session, doomed: Sequence[ListedMessage]) -> None:
    """Remember what was looked at since its DELE and stays, so that it is not looked at again."""
    if undeleted := find_undeleted(session, doomed):
        await session.ports.ledger.note_undeleted(session.account.id, undeleted)


async def _delete(
    maildrop: Maildrop, session: Session, doomed: Sequence[ListedMessage]
) -> Sequence[ListedMessage]:
    """Issue DELE for each, counted beforehand; give those that the server agreed to."""
    account, ports = session.account, session.ports
    unique_ids = tuple(dict.fromkeys(listed.unique_id for listed in doomed))
    await ports.ledger.note_deletions(account.id, unique_ids)
    agreed = await maildrop.delete(doomed)
    if refused := len(doomed) - len(agreed):
        text = f"the server refused to delete {refused} messages: {maildrop.deletion_refusal}"
        ports.observe(Warned(account.name, text))
    return agreed


async def quit_session(
    maildrop: Maildrop,
    account: Account,
    ports: Ports,
    doomed: Sequence[ListedMessage],
    session: Session | None = None,
) -> None:
    """End the session; a QUIT that fails matters only when deletions hang on it (P3).

    Unless it shows that replies were shifted: then what the session brought is doubted.
    """
    try:
        await maildrop.quit()
    except (MaildropError, RemoteProtocolError, StreamError) as error:
        if session and maildrop.pipelines and isinstance(error, RemoteProtocolError):
            await doubt_shifted(session)
        if doomed:
            raise
        ports.observe(Warned(account.name, f"the session ended without a good-bye: {error}"))


async def _note_hints(
    session: Session,
    *,
    broken: ListedMessage | None = None,
    deleted: Sequence[ListedMessage] = (),
) -> None:
    """Remember what stood where without a unique-id, so that it need not be asked for again."""
    memory = session.memory
    hints = next_hints(
        session.listing,
        memory,
        (*session.settled, *session.spooled, *session.unsettled),
        broken=broken,
        deleted=deleted,
        now=session.ports.clock(),
    )
    if hints or memory.hints:
        await session.ports.ledger.note_hints(session.account.id, hints)
