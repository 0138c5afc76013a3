"""The disk refuses the n-th durable step, for every n; then it takes everything again.

Nothing may be lost, altered or shown half, and once the fault is gone all arrives once.
"""

import errno
import random
from functools import partial

from tests.battery.crash_points import Survival
from tests.battery.scenario import MORE, Case, Kind, open_desk
from tests.battery.steps import FailingSteps

CODES = (errno.ENOSPC, errno.EIO, errno.EDQUOT)


def refuse(kind: Kind, *, every: int = 1) -> Survival:
    """Fail every step (or every so manyth) with each error."""
    with open_desk(kind) as desk:
        last = desk.begin().count_steps()
        faults = [(n, code) for n in range(1, last + 1, every) for code in CODES]
        broken = [
            f"{errno.errorcode[code]} at step {n} of {last}: {finding}"
            for n, code in faults
            if (finding := _refused(desk.begin(), (n, code)))
        ]
        return Survival(kind.value, len(faults), broken)


def corrupt(*, times: int, seed: int = 1) -> Survival:
    """Damage a used ledger at random: nothing is deleted, or all is as it should be."""
    kind = Kind.DELETE_MAILDIR
    chance = random.Random(seed)
    with open_desk(kind) as desk:
        broken = [
            f"corruption {n}: {finding}"
            for n in range(times)
            if (finding := _corrupted(desk.begin(), chance))
        ]
        return Survival("the ledger damaged at random", times, broken)


def _refused(case: Case, fault: tuple[int, int]) -> str:
    status = case.poll(partial(FailingSteps, *fault))
    if status not in (0, 1):
        return f"it ended with {status}"
    if tally := case.tally().altered:
        return f"{tally} messages are there in part"
    if status := case.poll_to_the_end():
        return f"a later run failed: {case.error}"
    return case.unfair()


def _corrupted(case: Case, chance: random.Random) -> str:
    ledger = case.ledger
    case.poll()
    case.refill()
    original = ledger.read_bytes()
    damaged = bytearray(original)
    if chance.random() < 0.2:
        del damaged[chance.randrange(len(damaged)) :]
    else:
        start = chance.randrange(len(damaged))
        octets = chance.randbytes(chance.choice([1, 16, 512, 4096]))
        damaged[start : start + len(octets)] = octets
    ledger.write_bytes(damaged)
    status = case.poll()
    refused = status == 1 and "Ledger" in case.error
    if refused:
        return "" if case.left() == len(MORE) else "it was refused, and mail was deleted"
    if status or case.tally().lost:
        said = case.error if status else ""
        return f"it ended with {status}, {case.left()} on the server: {said}"
    return ""
