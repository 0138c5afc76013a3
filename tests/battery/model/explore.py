"""Explores every state that two crashes or cuts and two network faults can lead to.

A poll is run from each state with every sequence of choices; wherever it ends, polls without any
further fault must come to rest with nothing lost, altered, doubled or left over.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from popsync.errors import LedgerError
from popsync.model import DeliveryState
from tests.battery.model.facts import (
    MOST_FAULTS,
    Arrow,
    Place,
    Rule,
    Setting,
    State,
    Way,
    first_state,
)
from tests.battery.model.poll import poll
from tests.battery.model.world import Chance, Died, Violation, World

MOST_POLLS = 12
SETTINGS: Sequence[Setting] = (
    Setting(Way.MAILDIR, deletes=False),
    Setting(Way.MAILDIR, deletes=True),
    Setting(Way.MAILDIR, deletes=False, messages=2),
    Setting(Way.SMTP, deletes=False, messages=2),
    Setting(Way.SMTP, deletes=True, messages=2),
    Setting(Way.MAILDIR, deletes=True, hides=True),
    Setting(Way.SMTP, deletes=False, hides=True),
    Setting(Way.SMTP, deletes=True, hides=True),
    Setting(Way.LMTP, deletes=False),
    Setting(Way.LMTP, deletes=True),
)
REMOVED: Sequence[Setting] = (
    *(
        Setting(Way.MAILDIR, deletes=True, without=rule)
        for rule in (
            *(Rule.SYNC_CONTENT, Rule.SYNC_TMP, Rule.STAGED, Rule.SYNC_NEW),
            *(Rule.SYNC_RECOVERED, Rule.KEEP_STAGED, Rule.DELE_LAST, Rule.ROWS_STAY),
            Rule.MEET_AGAIN,
        )
    ),
    Setting(Way.SMTP, deletes=True, messages=2, without=Rule.ONE_IN_DOUBT),
    Setting(Way.SMTP, deletes=False, without=Rule.QUIT_LAST, hides=True),
    Setting(Way.SMTP, deletes=False, without=Rule.SYNC_COPY, hides=True),
    *(
        Setting(Way.SMTP, deletes=True, without=rule)
        for rule in (
            *(Rule.DOT_SENT, Rule.DOUBT, Rule.MARK, Rule.DELE_LAST, Rule.ROWS_STAY),
            Rule.MEET_AGAIN,
        )
    ),
)


class Exploration(NamedTuple):
    """How many states there are, and what is wrong in them."""

    setting: Setting
    states: int
    violations: dict[str, int]
    """Which, and in how many runs."""
    arrows: frozenset[Arrow]
    """The transitions of the ledger's table that were made."""

    def __str__(self) -> str:
        """One line of the table."""
        way, deletes, messages, without, hides = self.setting
        if without:
            found = "; ".join(self.violations) or "NOTHING"
            return f"{way.value + ', without: ' + without.value:62} {found}"
        hiding = ", hiding server" if hides else ""
        name = f"{'delete' if deletes else 'keep'}, {way.value}, {messages} message(s){hiding}"
        count = sum(self.violations.values())
        return "\n  ".join(
            [f"{name:42} states {self.states}, violations {count}", *self.violations]
        )


def explore(
    setting: Setting, *, faults: int = MOST_FAULTS, until_violation: bool = False
) -> Exploration:
    """Poll from every state there is; ``until_violation``: the first one will do."""
    states: set[int] = set()
    arrows: set[Arrow] = set()
    violations: dict[str, int] = {}
    known = {first_state(setting)._replace(faults=faults)}
    waiting = [*known]
    judge = cache(_judge)
    while waiting:
        for world, broken in _every_run(setting, waiting.pop()):
            states |= world.states
            arrows |= world.arrows
            after = world.freeze()
            finding = broken or judge(setting, after._replace(crashes=0, faults=0))
            if finding:
                violations[finding] = violations.get(finding, 0) + 1
            elif after not in known:
                known.add(after)
                waiting.append(after)
        if violations and until_violation:
            break
    return Exploration(setting, len(states), violations, frozenset(arrows))


def _every_run(setting: Setting, state: State) -> Iterator[tuple[World, str]]:
    """Run one poll with every sequence of choices; give each world it ends in."""
    waiting: list[list[int]] = [[]]
    while waiting:
        told = waiting.pop()
        chance = Chance(told)
        world = World(setting, state, chance)
        finding = ""
        try:
            poll(world)
        except Died:
            pass
        except (Violation, LedgerError) as error:
            finding = str(error)
        for position in range(len(told), len(chance.options)):
            waiting += [
                [*chance.answers[:position], other] for other in range(1, chance.options[position])
            ]
        yield world, finding


def _judge(setting: Setting, state: State) -> str:
    """Poll without faults until nothing changes; say what is wrong then, or that it never ends."""
    for _ in range(MOST_POLLS):
        world = World(setting, state, Chance(()))
        try:
            poll(world)
        except (Violation, LedgerError) as error:
            return str(error)
        before, state = state, world.freeze()
        if state == before:
            return _judge_rest(setting, state)
    return "it never comes to rest"


def _judge_rest(setting: Setting, state: State) -> str:
    if any(file.place is Place.TMP for file in state.files):
        return "a file is left in tmp/"
    if any(f.place is Place.SPOOL and not _is_spooled(state, f.message) for f in state.files):
        return "a copy is left in the spool"
    if any(file.seen and not file.whole for file in state.files):
        return "altered"
    findings = (_judge_message(setting, state, n) for n in range(setting.messages))
    return next((finding for finding in findings if finding), "")


def _is_spooled(state: State, number: int) -> bool:
    row = state.rows[number]
    return bool(row and row.spooled)


def _judge_message(setting: Setting, state: State, number: int) -> str:
    row, listed = state.rows[number], state.on_server[number]
    if row is None:
        # Forgotten once it had left the server, or never come to the server's listing.
        pass
    elif held := [s for s in row.deliveries if s.state is not DeliveryState.DELIVERED]:
        is_held = all(s.state is DeliveryState.HELD for s in held)
        is_there = listed or _has_copy(state, number)
        return "" if is_held and is_there else f"left {held[0].state.value}, not delivered"
    if listed and setting.deletes:
        return "left on the server"
    return _judge_copies(setting, state, number)


def _has_copy(state: State, number: int) -> bool:
    return any(f.message == number and f.place is Place.SPOOL and f.whole for f in state.files)


def _judge_copies(setting: Setting, state: State, number: int) -> str:
    if setting.way is Way.MAILDIR:
        copies = [file for file in state.files if file.message == number and file.seen]
        if not any(file.place in (Place.NEW, Place.TAKEN) for file in copies):
            return "lost"
        return "doubled" if len(copies) > 1 else ""
    width = len(setting.recipients)
    for unmarked, marked in state.copies[number * width : (number + 1) * width]:
        if not unmarked + marked:
            return "lost"
        if unmarked > 1:
            return "doubled without a mark"
        if unmarked + marked > 1 + state.windows:
            return "doubled more often than replies were lost"
    return ""
