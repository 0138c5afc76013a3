"""One poll of one account, top to bottom: from the listing to QUIT."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from popsync.errors import (
    DestinationUnavailable,
    LedgerError,
    MaildropError,
    PipeliningUnfit,
    PopsyncError,
    RemoteProtocolError,
    ServerUnavailable,
    StreamError,
    UnexpectedError,
    escape,
)
from popsync.model import (
    AccountMemory,
    AccountOutset,
    ListedMessage,
    Listing,
    MessageState,
    PollSummary,
    Quiet,
    UnretrievedMessage,
)
from popsync.poll.carry import carry
from popsync.poll.content_keys import (
    changes_names,
    check_names,
    is_nameless,
    next_hints,
)
from popsync.poll.deletions import choose_doomed
from popsync.poll.events import Deleted, Listed, PollEnded, PollReport, Warned
from popsync.poll.notes import announce, close_listing, note_plan, warn_of_expiry
from popsync.poll.plan import PollPlan, plan_poll
from popsync.poll.policy import Account
from popsync.poll.ports import Maildrop, Ports
from popsync.poll.quiet import find_quiet, is_quiet
from popsync.poll.recalling import Recall, recalling
from popsync.poll.recovery import settle_intents
from popsync.poll.renumbering import find_vanished
from popsync.poll.session import Session
from popsync.poll.shifted import doubt_shifted, doubted_digests
from popsync.poll.spooled import deliver_spooled, find_down

MAX_SESSIONS = 3
"""A poll that is not done after so many sessions goes on at the next one."""


async def poll_once(account: Account, ports: Ports) -> PollReport:
    """Move what is new from the maildrop to the destinations, and delete what policy says.

    Raises nothing of ours: what ended the poll early is in the report, and in the ledger.
    """
    tally = _Tally(began_at=ports.clock())
    error: PopsyncError | None = None
    try:
        outset = await ports.ledger.outset(account.id)
        if outset.owes:
            await settle_intents(account, ports, tally.down)
        if ports.spool.held(account.id):
            tally.add(await deliver_spooled(account, ports, tally.down))
        if outset.owes:
            outset = await ports.ledger.outset(account.id)  # what was owed may be settled now
        if not ports.stopping():
            await _run_sessions(account, ports, tally, outset)
        if ports.spool.held(account.id):
            tally.add(await deliver_spooled(account, ports, tally.down, last=True))
        error = tally.broken_by or _tell_down(account, ports, tally)
    except PopsyncError as caught:
        error = tally.broken_by or caught
    except Exception as caught:  # noqa: BLE001 - doubt keeps mail: it ends this poll, no other
        error = UnexpectedError(escape(f"{type(caught).__name__}: {caught}"))
        error.__cause__ = caught
    summary = tally.summary(ports.clock(), error)
    report = PollReport(
        account.name,
        summary,
        error,
        down=frozenset(tally.down),
        login_delay_s=tally.login_delay_s,
    )
    return await _close_poll(account, ports, report, tally.quiet)


async def plan_once(account: Account, ports: Ports) -> tuple[Listing, PollPlan]:
    """Give what a poll would do now, retrieving and changing nothing.

    Raises what the maildrop and the ledger raise.
    """
    memory = await ports.ledger.memory(account.id)
    maildrop = await ports.open_maildrop(lock_step=memory.lock_step)
    try:
        listing = await maildrop.list()
        await maildrop.quit()
    finally:
        await maildrop.drop()
    check_names(listing, memory, account.policy)
    if changes_names(listing, memory):
        memory = replace(memory, content_keys=True)
    return listing, plan_poll(listing, memory, account.policy, ports.clock())


@dataclass(slots=True)
class _Tally:
    """What the sessions of one poll come to."""

    began_at: float
    listed: int = 0
    delivered: int = 0
    octets: int = 0
    deleted: int = 0
    held: int = 0
    deferred: int = 0
    left_out: int = 0
    login_delay_s: int = 0
    broken_by: PopsyncError | None = None
    """What ended a session early, or kept it from beginning."""
    quiet: Quiet | None = None
    """What the last listing was found to be."""
    down: dict[str, DestinationUnavailable] = field(default_factory=dict)
    """The destinations that were found to take nothing, and what they said."""

    def add(self, session: Session) -> None:
        self.delivered += session.delivered
        self.octets += session.octets
        self.held += session.held
        self.deferred += session.deferred + len(session.refused)

    def summary(self, ended_at: float, error: PopsyncError | None) -> PollSummary:
        return PollSummary(
            self.began_at,
            ended_at,
            listed=self.listed,
            delivered=self.delivered,
            octets=self.octets,
            deleted=self.deleted,
            held=self.held,
            deferred=self.deferred + self.left_out,
            error=str(error) if error else "",
        )


class _Purpose(Enum):
    """What a session, or another one in the same poll, is for."""

    EVERYTHING = "everything"
    DELETIONS = "deletions"
    """What was retrieved a moment ago and not delivered waits for the next poll."""
    NOTHING = "nothing"


async def _run_sessions(
    account: Account, ports: Ports, tally: _Tally, outset: AccountOutset
) -> None:
    """Run sessions until nothing is left for another one; trouble of the server is noted.

    Raises LedgerError.
    """
    purpose = _Purpose.EVERYTHING
    try:
        for _ in range(MAX_SESSIONS):
            purpose = await _run_session(account, ports, tally, purpose, outset)
            if purpose is _Purpose.NOTHING or tally.login_delay_s:
                return  # another session at once is what a server with a delay refuses
            outset = await ports.ledger.outset(account.id)
    except LedgerError:
        raise
    except PopsyncError as error:
        tally.broken_by = tally.broken_by or error


async def _run_session(
    account: Account, ports: Ports, tally: _Tally, purpose: _Purpose, outset: AccountOutset
) -> _Purpose:
    """Run one session; give what another one in the same poll is called for."""
    async with recalling(account, ports, ahead=outset.quiet is None) as recall:
        maildrop = await ports.open_maildrop(lock_step=outset.lock_step)
        try:
            return await _use_session(
                maildrop, account, ports, tally, purpose, quiet=outset.quiet, recall=recall
            )
        finally:
            tally.login_delay_s = maildrop.login_delay_s
            await maildrop.drop()


async def _use_session(
    maildrop: Maildrop,
    account: Account,
    ports: Ports,
    tally: _Tally,
    purpose: _Purpose,
    *,
    quiet: Quiet | None,
    recall: Recall,
) -> _Purpose:
    try:
        listing = await maildrop.list()
    except PipeliningUnfit as error:
        return await _fall_back(account, ports, error)
    tally.listed = len(listing.messages)
    if is_quiet(listing, account.policy, quiet, ports.clock()):
        ports.observe(Listed(account.name, len(listing.messages), 0, 0))
        await _quit(maildrop, account, ports, ())
        return _Purpose.NOTHING
    memory = await recall()
    check_names(listing, memory, account.policy)
    if changes_names(listing, memory):
        memory = await _turn_to_content(account, ports, memory)
    now = ports.clock()
    plan = plan_poll(listing, memory, account.policy, now)
    tally.quiet = find_quiet(listing, memory, plan, account.policy, now)
    if purpose is _Purpose.DELETIONS:
        plan = replace(plan, retrieve=())
    tally.held += len(plan.newly_oversize)
    tally.left_out = listing.left_out
    announce(account, ports, listing, plan)
    if not memory.polled_before:
        warn_of_expiry(account, ports, maildrop.kept_days)
    await note_plan(account, ports, memory, plan)
    spooled = ports.spool.held(account.id)
    vanished = find_vanished(memory, plan.gone, spooled, listed=plan.rows)
    vanished |= doubted_digests(memory)
    session = Session(account, ports, memory, listing, plan, tally.down, vanished)
    try:
        await _carry(maildrop, session)
    except PipeliningUnfit as error:
        await doubt_shifted(session)
        return await _fall_back(account, ports, error)
    except (RemoteProtocolError, StreamError) as error:
        tally.broken_by = error
        if maildrop.pipelines:
            await doubt_shifted(session)
        return await _part_broken(session, error)
    except ServerUnavailable as error:
        tally.broken_by = error
        return await _part_early(session)
    finally:
        tally.add(session)
    await close_listing(session)
    return await _end_session(maildrop, session, tally)


async def _turn_to_content(account: Account, ports: Ports, memory: AccountMemory) -> AccountMemory:
    await ports.ledger.note_content_keys(account.id)
    text = (
        "the server changes its unique-ids again and again; from now on its messages are known by"
        " their content, and each that stays there is retrieved again once a day"
    )
    ports.observe(Warned(account.name, text))
    return replace(memory, content_keys=True)


async def _carry(maildrop: Maildrop, session: Session) -> None:
    """Retrieve, unless nobody would take it: what some destinations take waits for the others."""
    if session.plan.retrieve:
        await find_down(session)
        if not session.is_stranded:
            await carry(maildrop, session)


async def _part_broken(session: Session, error: PopsyncError) -> _Purpose:
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
    return await _part_early(session, broken=broken)


async def _part_early(session: Session, *, broken: ListedMessage | None = None) -> _Purpose:
    """Give whether there is something to delete, which then needs a session of its own."""
    await _note_hints(session, broken=broken)
    deletes = choose_doomed(session) and not session.ports.stopping()
    return _Purpose.DELETIONS if deletes else _Purpose.NOTHING


async def _end_session(maildrop: Maildrop, session: Session, tally: _Tally) -> _Purpose:
    """Delete what may be deleted and QUIT; or, when QUIT is too early, part without it.

    Some servers hide what was retrieved once a session ends with QUIT. So while a message was
    retrieved and is neither delivered nor in the spool, the connection is dropped, and the
    deletions of the others have to wait for a session of their own.
    """
    if session.unsettled:
        return await _part_early(session)
    account, ports = session.account, session.ports
    doomed = choose_doomed(session)
    agreed = await _delete(maildrop, session, doomed) if doomed else ()
    await _quit(maildrop, account, ports, doomed, session)
    await _note_hints(session, deleted=agreed)
    if agreed:
        tally.deleted += len(agreed)
        ports.observe(Deleted(account.name, len(agreed)))
    return _Purpose.NOTHING


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


async def _quit(
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


async def _fall_back(account: Account, ports: Ports, error: PipeliningUnfit) -> _Purpose:
    """Send this account back to one command at a time, for good, and try again."""
    await ports.ledger.note_lock_step(account.id)
    text = f"{error}; from now on one command at a time is sent to this server"
    ports.observe(Warned(account.name, text))
    return _Purpose.NOTHING if ports.stopping() else _Purpose.EVERYTHING


def _tell_down(account: Account, ports: Ports, tally: _Tally) -> PopsyncError | None:
    """Give the poll's error when no destination takes anything; warn of one among others."""
    if len(tally.down) == len(ports.destinations):
        return next(iter(tally.down.values()), None)
    for error in tally.down.values():
        ports.observe(Warned(account.name, f"{error}; what it is owed waits in the spool"))
    return None


async def _close_poll(
    account: Account, ports: Ports, report: PollReport, quiet: Quiet | None
) -> PollReport:
    """Tell ledger and observer; a ledger that cannot even take this is the poll's error."""
    try:
        can_wait = report.error is None and report.summary.is_quiet
        await ports.ledger.note_poll(account.id, report.summary, can_wait=can_wait, quiet=quiet)
    except PopsyncError as error:
        report = replace(report, error=report.error or error)
    ports.observe(PollEnded(report))
    return report
