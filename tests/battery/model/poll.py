"""One poll of the model, step by step as the product takes them.

What is decided is decided by the product: ``plan_poll``, ``poll.disposition`` and the ledger's
table. Only the order of the steps is told again here; the crash points try the real one.
"""

from collections.abc import Sequence
from contextlib import suppress

from popsync.model import (
    AccountMemory,
    DeliveryState,
    Kept,
    KnownMessage,
    ListedMessage,
    Listing,
    MessageNumber,
    MessageState,
    UniqueId,
)
from popsync.poll.plan import PollPlan, plan_poll
from popsync.poll.policy import Policy
from tests.battery.model.delivery import (
    OPEN,
    deliver,
    deliver_spooled,
    is_safe,
    is_settled,
    put_by,
    recover,
    sweep,
)
from tests.battery.model.facts import DESTINATION, Number, Row, Rule, key_of
from tests.battery.model.world import Down, Parted, World

MUCH_LATER = 1e12
"""Every pause is over by then."""
OCTETS = 100


def poll(world: World) -> None:
    """Start a process, poll once, end it."""
    with suppress(Parted):
        sweep(world)
        recover(world)
        with suppress(Down):
            deliver_spooled(world)
        if _run_session(world, only_deletions=False):
            _run_session(world, only_deletions=True)
    world.marked.clear()
    world.given.clear()
    world.moment("idle")


def _run_session(world: World, *, only_deletions: bool) -> bool:
    """Give whether deletions are left for a session of their own. Raises Parted."""
    listing = _list(world)
    plan = plan_poll(listing, _memory(world), _policy(world), MUCH_LATER)
    retrieved = [] if only_deletions else _retrieve(world, plan)
    # What came before the line dropped is delivered all the same.
    line_dropped = not only_deletions and len(retrieved) < len(plan.retrieve)
    if not world.keeps(Rule.DELE_LAST):
        _delete(world, retrieved)
    with suppress(Down):
        deliver(world, retrieved)
    put_by(world, retrieved)
    settled = [number for number in retrieved if is_settled(world, number)]
    doomed = _doomed(world, plan, settled)
    too_early = world.keeps(Rule.QUIT_LAST) and not all(is_safe(world, n) for n in retrieved)
    if line_dropped or too_early:
        world.marked.clear()
        world.given.clear()
        return bool(doomed)
    _bury(world, plan)
    _delete(world, doomed)
    return False


def _list(world: World) -> Listing:
    fault = world.fault(3)
    if fault == 1:
        raise Parted
    left_out = fault == 2  # a server that shows nothing today, and all of it tomorrow
    rows = tuple(
        ListedMessage(MessageNumber(number + 1), UniqueId(b"%d" % number), OCTETS)
        for number, there in enumerate(world.on_server)
        if there and not left_out
    )
    return Listing(rows, complete=fault != 3)


def _memory(world: World) -> AccountMemory:
    rows = [(Number(n), row) for n, row in enumerate(world.rows) if row]
    return AccountMemory({key_of(n).unique_id: (_known(n, row),) for n, row in rows})


def _known(number: Number, row: Row) -> KnownMessage:
    key = key_of(number)
    open_tries = [s.next_try for s in row.deliveries if s.state is not DeliveryState.DELIVERED]
    tries = [moment for moment in open_tries if moment is not None]
    is_settled = not open_tries
    return KnownMessage(
        unique_id=key.unique_id,
        digest=key.digest,
        state=MessageState.GONE if row.gone else _message_state(row),
        copies=1,
        first_seen=0.0,
        settled_at=0.0 if is_settled else None,
        next_try=min(tries) if tries and len(tries) == len(open_tries) else None,
        suspect=False,
        deletions=row.deletions,
        oversize=False,
        listed_octets=OCTETS,
        served=frozenset({DESTINATION}),
        kept=_kept(row),
    )


def _kept(row: Row) -> Kept:
    if not row.spooled:
        return Kept.NOT
    return Kept.LEFT if row.left else Kept.SPOOLED


def _message_state(row: Row) -> MessageState:
    states = {status.state for status in row.deliveries}
    if states == {DeliveryState.DELIVERED}:
        return MessageState.SETTLED
    over = {DeliveryState.DELIVERED, DeliveryState.HELD}
    return MessageState.HELD if states <= over else MessageState.PENDING


def _policy(world: World) -> Policy:
    return Policy(deletes=world.setting.deletes, destinations=frozenset({DESTINATION}))


def _retrieve(world: World, plan: PollPlan) -> list[Number]:
    """Give what came before the line dropped."""
    retrieved: list[Number] = []
    for listed in plan.retrieve:
        if world.fault(1):
            break
        retrieved.append(Number(int(listed.unique_id)))
    world.given.update(retrieved)
    return retrieved


def _doomed(world: World, plan: PollPlan, settled: Sequence[Number]) -> list[Number]:
    planned = [Number(int(listed.unique_id)) for listed in plan.delete]
    return [*planned, *settled] if world.setting.deletes else []


def _bury(world: World, plan: PollPlan) -> None:
    for unique_id in plan.gone:
        row = world.rows[int(unique_id)]
        if row and not any(status.state in OPEN for status in row.deliveries):
            world.rows[int(unique_id)] = row._replace(gone=not row.spooled, left=row.spooled)
    if plan.gone:
        world.moment("buried")


def _delete(world: World, doomed: Sequence[Number]) -> None:
    for number in doomed:
        row = world.rows[number]
        if row:
            world.rows[number] = row._replace(deletions=min(row.deletions + 1, 3))
    if doomed:
        world.moment("deletions counted")
    for number in doomed:
        world.marked.add(number)
        if world.fault(1):
            world.part()
        world.moment("DELE")
    _quit(world, doomed)


def _quit(world: World, doomed: Sequence[Number]) -> None:
    """End the session in one of five ways: as it should, or with a fault of the server's."""
    refused_or_forgotten, deleted_unsaid, unsaid = 1, 2, 3
    fault = world.fault(3) if doomed or world.setting.hides else 0
    if fault in (0, deleted_unsaid):
        world.delete_marked()
        world.hide_given()
    world.marked.clear()
    world.given.clear()
    if not world.keeps(Rule.ROWS_STAY):
        for number in doomed:
            world.rows[number] = None
    world.moment("QUIT")
    if fault in (refused_or_forgotten, deleted_unsaid, unsaid):
        raise Parted
