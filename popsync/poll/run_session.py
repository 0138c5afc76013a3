"""One session of a poll, top to bottom: from the listing to its end."""

from dataclasses import replace

from popsync.errors import PipeliningUnfit, RemoteProtocolError, ServerUnavailable, StreamError
from popsync.model import AccountMemory, AccountOutset, Quiet
from popsync.poll.carry import carry
from popsync.poll.content_keys import changes_names, check_names
from popsync.poll.events import Listed, Warned
from popsync.poll.keeping import leave_unkeepable
from popsync.poll.notes import announce, close_listing, note_plan, warn_of_expiry
from popsync.poll.parting import end_session, part_broken, part_early, quit_session
from popsync.poll.plan import plan_poll
from popsync.poll.policy import Account
from popsync.poll.ports import Maildrop, Ports
from popsync.poll.quiet import find_quiet, is_quiet
from popsync.poll.recalling import Recall, let_go, recalling
from popsync.poll.renumbering import find_vanished
from popsync.poll.session import Session
from popsync.poll.shifted import doubt_shifted, doubted_digests
from popsync.poll.spooled import find_down
from popsync.poll.tally import Purpose, Tally


async def run_session(
    account: Account, ports: Ports, tally: Tally, purpose: Purpose, outset: AccountOutset
) -> Purpose:
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
    tally: Tally,
    purpose: Purpose,
    *,
    quiet: Quiet | None,
    recall: Recall,
) -> Purpose:
    try:
        listing = await maildrop.list()
    except PipeliningUnfit as error:
        return await _fall_back(account, ports, error)
    tally.listed = len(listing.messages)
    if is_quiet(listing, account.policy, quiet, ports.clock()):
        ports.observe(Listed(account.name, len(listing.messages), 0, 0))
        await quit_session(maildrop, account, ports, ())
        return Purpose.NOTHING
    memory = await recall()
    check_names(listing, memory, account.policy)
    if changes_names(listing, memory):
        memory = await _turn_to_content(account, ports, memory)
    now = ports.clock()
    plan = plan_poll(listing, memory, account.policy, now)
    tally.quiet = find_quiet(listing, memory, plan, account.policy, now)
    if purpose is Purpose.DELETIONS:
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
    memory = let_go(memory, listing, plan, vanished)
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
        return await part_broken(session, error)
    except ServerUnavailable as error:
        tally.broken_by = error
        return await part_early(session)
    finally:
        tally.add(session)
    await close_listing(session)
    return await end_session(maildrop, session, tally)


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
        await leave_unkeepable(session)
        if session.plan.retrieve and not session.is_stranded:
            await carry(maildrop, session)


async def _fall_back(account: Account, ports: Ports, error: PipeliningUnfit) -> Purpose:
    """Send this account back to one command at a time, for good, and try again."""
    await ports.ledger.note_lock_step(account.id)
    text = f"{error}; from now on one command at a time is sent to this server"
    ports.observe(Warned(account.name, text))
    return Purpose.NOTHING if ports.stopping() else Purpose.EVERYTHING
