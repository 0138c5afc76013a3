"""How mail gets to its destination in the model, and how that is finished after a crash."""

from collections.abc import Sequence

from popsync.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryInDoubt,
    DeliveryRejected,
)
from popsync.model import DeliveryKey, DeliveryState, Intent, Outcome, Receipt, Refusal
from tests.battery.model.facts import DESTINATION, Number, Place, Row, Rule, Way, key_of
from tests.battery.model.world import Down, World

OPEN = (DeliveryState.STAGED, DeliveryState.DOT_SENT)
IN_DOUBT = DeliveryInDoubt("no reply")
REFUSALS: Sequence[DeliveryError] = (DeliveryDeferred("450"), DeliveryRejected("550"))


# -- what a crash left open ---------------------------------------------------------------------


def sweep(world: World) -> None:
    """Take away what a crash left in ``tmp/`` and in the spool, and no row speaks of."""
    staged = (
        {row.staged_as for row in world.rows if row and row.deliveries[0].state in OPEN}
        if world.keeps(Rule.KEEP_STAGED)
        else set()
    )
    for name, file in enumerate(world.files):
        row = world.rows[file.message]
        stray_copy = file.place is Place.SPOOL and not (row and row.spooled)
        if stray_copy or (file.place is Place.TMP and name not in staged):
            world.move(name, Place.NOWHERE)


def recover(world: World) -> None:
    """Settle the steps that a crash left open."""
    left_open = [
        (Number(number), row)
        for number, row in enumerate(world.rows)
        if row and any(status.state in OPEN for status in row.deliveries)
    ]
    if not left_open:
        return
    if world.setting.way is Way.MAILDIR:
        _finish_moves(world, [row for _, row in left_open])
    world.record(
        [
            _recovered(world, delivery)
            for number, row in left_open
            for delivery, status in zip(_deliveries(world, number), row.deliveries, strict=True)
            if status.state in OPEN
        ]
    )


def _recovered(world: World, delivery: DeliveryKey) -> Outcome:
    if world.setting.way is Way.MAILDIR or not world.keeps(Rule.DOUBT):
        return Receipt(delivery, "")  # in tmp/ it was moved on; anywhere else it was moved before
    return Refusal(delivery, IN_DOUBT)


def _finish_moves(world: World, rows: Sequence[Row]) -> None:
    for row in rows:
        name = row.staged_as
        if name is not None and name >= 0 and world.files[name].place is Place.TMP:
            world.sync_content(name)
            world.move(name, Place.NEW)
    if world.keeps(Rule.SYNC_RECOVERED):
        world.sync_directories()


# -- the spool ---------------------------------------------------------------------------------


def deliver_spooled(world: World) -> None:
    """Deliver what has a copy, without the server. Raises Down, Parted."""
    for number, row in enumerate(world.rows):
        message = Number(number)
        if not row or not row.spooled:
            continue
        if not world.copies_of(message):
            world.note_spooled(message, spooled=False)
        elif _owed(world, message):
            deliver(world, [message])
            release(world, [message])


def put_by(world: World, numbers: Sequence[Number]) -> None:
    """Make a copy of each that is not delivered, unless the spool is full."""
    release(world, numbers)
    owed = [number for number in numbers if not is_settled(world, number)]
    if not owed or world.fault(1):
        return
    for number in owed:
        world.keep(number)
    if world.keeps(Rule.SYNC_COPY):
        world.sync_spool()
    for number in owed:
        world.note_spooled(number, spooled=True)


def release(world: World, numbers: Sequence[Number]) -> None:
    """Take copies away of which nothing is owed any more."""
    for number in numbers:
        for name in world.copies_of(number) if is_settled(world, number) else ():
            world.move(name, Place.NOWHERE)


def is_safe(world: World, number: Number) -> bool:
    """Whether QUIT may follow: it is delivered, or the ledger knows of a copy."""
    row = world.rows[number]
    return is_settled(world, number) or bool(row and row.spooled)


# -- delivery ----------------------------------------------------------------------------------


def deliver(world: World, numbers: Sequence[Number]) -> None:
    """Deliver what is owed of each message. Raises Down, or Parted when nothing can go on."""
    owed = {number: _owed(world, number) for number in numbers}
    for number in numbers:
        if not owed[number]:
            world.remember(number)
    batch = [number for number in numbers if owed[number]]
    if batch and world.setting.way is Way.MAILDIR:
        _put_into_maildir(world, batch)
    elif batch:
        _send(world, {number: owed[number] for number in batch})


def _owed(world: World, number: Number) -> list[int]:
    """Give the recipients that a message is still for."""
    statuses = world.statuses(number)
    return [
        recipient
        for recipient, status in enumerate(statuses)
        if not world.keeps(Rule.MEET_AGAIN)
        or not (
            status.state in (DeliveryState.DELIVERED, *OPEN)
            or (status.state is DeliveryState.HELD and status.next_try is None)
        )
    ]


def _put_into_maildir(world: World, batch: Sequence[Number]) -> None:
    names: list[int] = []
    for number in batch:
        if world.fault(1):  # the disk is full: what was written is taken back
            for name in names:
                world.move(name, Place.NOWHERE)
            raise Down
        names.append(world.write(number))
        if world.keeps(Rule.SYNC_CONTENT):
            world.sync_content(names[-1])
    if world.keeps(Rule.SYNC_TMP):
        world.sync_directories()
    if world.keeps(Rule.STAGED):
        world.record(
            [],
            [
                Intent(key_of(number), DESTINATION, ("",), DeliveryState.STAGED, str(name))
                for number, name in zip(batch, names, strict=True)
            ],
        )
    for name in names:
        world.move(name, Place.NEW)
    if world.keeps(Rule.SYNC_NEW):
        world.sync_directories()
    world.record([Receipt(_deliveries(world, number)[0], "") for number in batch])


def _send(world: World, owed: dict[Number, list[int]]) -> None:
    """Carry a batch over one link: the outcome of each goes with the intent for the next."""
    pending: list[Outcome] = []
    for number, recipients in owed.items():
        deliveries = [_deliveries(world, number)[r] for r in recipients]
        fault = world.fault(3)
        if fault == 3:  # the link breaks while the body travels
            world.record(pending)
            raise Down
        if fault:  # every recipient is refused
            pending = [*pending, *(Refusal(d, REFUSALS[fault - 1]) for d in deliveries)]
            continue
        intent = Intent(
            key_of(number),
            DESTINATION,
            tuple(delivery.recipient for delivery in deliveries),
            DeliveryState.DOT_SENT,
        )
        marked = any(world.statuses(number)[r].doubts for r in recipients)
        if world.keeps(Rule.DOT_SENT):
            written = pending if world.keeps(Rule.ONE_IN_DOUBT) else []
            world.record(written, [intent])
            pending = [] if written is pending else pending
        outcomes, is_broken = _end_with_dot(
            world, number, recipients, marked=marked and world.keeps(Rule.MARK)
        )
        pending = [*pending, *outcomes]
        if is_broken:
            world.windows += 1
            world.record(pending)
            raise Down
    world.record(pending)


def _end_with_dot(
    world: World, number: Number, recipients: Sequence[int], *, marked: bool
) -> tuple[list[Outcome], bool]:
    """Give the outcomes, and whether the link broke before the last reply."""
    deliveries = _deliveries(world, number)
    replies = [recipients] if world.setting.way is Way.SMTP else [[r] for r in recipients]
    outcomes: list[Outcome] = []
    world.dot_is_open = True
    for position, group in enumerate(replies):
        accepted, reply_lost = 3, 4
        fault = world.fault(4)
        if fault in (0, accepted):
            for recipient in group:
                world.accept(number, recipient, marked=marked)
        world.moment("dot")
        if fault in (accepted, reply_lost):
            rest = [recipient for later in replies[position:] for recipient in later]
            return outcomes + [_doubt(world, deliveries[r]) for r in rest], True
        outcomes += [
            Refusal(deliveries[r], REFUSALS[fault - 1]) if fault else Receipt(deliveries[r], "")
            for r in group
        ]
    return outcomes, False


def _doubt(world: World, delivery: DeliveryKey) -> Outcome:
    return Refusal(delivery, IN_DOUBT) if world.keeps(Rule.DOUBT) else Receipt(delivery, "")


def _deliveries(world: World, number: Number) -> list[DeliveryKey]:
    return [
        DeliveryKey(key_of(number), DESTINATION, recipient)
        for recipient in world.setting.recipients
    ]


def is_settled(world: World, number: Number) -> bool:
    """Whether the ledger has a receipt for every delivery."""
    return all(s.state is DeliveryState.DELIVERED for s in world.statuses(number))
