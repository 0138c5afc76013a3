"""One poll of one account, top to bottom: what is owed, the spool, the sessions, the close."""

from dataclasses import replace

from popsync.errors import LedgerError, PopsyncError, UnexpectedError, escape
from popsync.model import AccountOutset, Listing, Quiet
from popsync.poll.content_keys import changes_names, check_names
from popsync.poll.events import PollEnded, PollReport, Warned
from popsync.poll.plan import PollPlan, plan_poll
from popsync.poll.policy import Account
from popsync.poll.ports import Ports
from popsync.poll.recovery import settle_intents
from popsync.poll.run_session import run_session
from popsync.poll.spooled import deliver_spooled
from popsync.poll.tally import Purpose, Tally

MAX_SESSIONS = 3
"""A poll that is not done after so many sessions goes on at the next one."""


async def poll_once(account: Account, ports: Ports) -> PollReport:
    """Move what is new from the maildrop to the destinations, and delete what policy says.

    Raises nothing of ours: what ended the poll early is in the report, and in the ledger.
    """
    tally = Tally(began_at=ports.clock())
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


async def _run_sessions(
    account: Account, ports: Ports, tally: Tally, outset: AccountOutset
) -> None:
    """Run sessions until nothing is left for another one; trouble of the server is noted.

    Raises LedgerError.
    """
    purpose = Purpose.EVERYTHING
    try:
        for _ in range(MAX_SESSIONS):
            purpose = await run_session(account, ports, tally, purpose, outset)
            if purpose is Purpose.NOTHING or tally.login_delay_s:
                return  # another session at once is what a server with a delay refuses
            outset = await ports.ledger.outset(account.id)
    except LedgerError:
        raise
    except PopsyncError as error:
        tally.broken_by = tally.broken_by or error


def _tell_down(account: Account, ports: Ports, tally: Tally) -> PopsyncError | None:
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
        report = report._replace(error=report.error or error)
    ports.observe(PollEnded(report))
    return report


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
