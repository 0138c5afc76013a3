"""The world of the model: a maildrop, a ledger, a Maildir or a relay, and what may befall them.

A crash loses what the process knew; a power cut also takes back any part of what no fsync had
covered. A reader takes mail out of the Maildir at any moment. A commit of the ledger is durable.
"""

from collections.abc import Callable, Mapping, Sequence

from popsync.ledger.states import check_transition
from popsync.model import (
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Intent,
    Outcome,
)
from popsync.poll.disposition import NEVER_TRIED, change_after_outcome, changes_after_intent
from tests.battery.model.facts import (
    Arrow,
    Copies,
    File,
    Number,
    Place,
    Row,
    Rule,
    Setting,
    State,
)


class Died(Exception):
    """The process is no more."""


class Parted(Exception):
    """The session is no more, or the ledger takes nothing: this poll is over."""


class Down(Exception):
    """The destination takes nothing more in this poll."""


class Violation(Exception):
    """A promise was broken."""


class Chance:
    """Answers every question of one run: as told at first, then always with the first answer."""

    def __init__(self, told: Sequence[int]) -> None:
        self.answers = list(told)
        self.options: list[int] = []

    def choose(self, options: int) -> int:
        """Give one of ``range(options)``."""
        position = len(self.options)
        self.options.append(options)
        if position == len(self.answers):
            self.answers.append(0)
        return self.answers[position]


class World:
    """One run's world; each method that changes something durable is one step."""

    def __init__(self, setting: Setting, state: State, chance: Chance) -> None:
        self.setting = setting
        self._chance = chance
        self.on_server = list(state.on_server)
        self.rows = list(state.rows)
        self.files = list(state.files)
        self.copies = list(state.copies)
        self.windows, self.crashes, self.faults = state.windows, state.crashes, state.faults
        self.marked: set[Number] = set()
        """What this session has told the server to delete."""
        self.given: set[Number] = set()
        """What this session has retrieved."""
        self.dot_is_open = False
        """A dot is written and its reply is not recorded."""
        self.arrows: set[Arrow] = set()
        self.states: set[int] = set()

    def keeps(self, rule: Rule) -> bool:
        """Whether the rule holds here."""
        return self.setting.without is not rule

    def freeze(self) -> State:
        """Give what outlives the process, without files that nobody will ever see."""
        alive = [n for n, file in enumerate(self.files) if not file.is_dead]
        numbers = {old: new for new, old in enumerate(alive)}
        rows = tuple(row and _renumber(row, numbers) for row in self.rows)
        return State(
            tuple(self.on_server),
            rows,
            tuple(self.files[n] for n in alive),
            tuple(self.copies),
            self.windows,
            self.crashes,
            self.faults,
        )

    # -- what may happen ---------------------------------------------------------------------

    def fault(self, kinds: int) -> int:
        """Give 0 when all goes well, else which of the faults happens."""
        kind = self._chance.choose(1 + kinds) if self.faults else 0
        self.faults -= bool(kind)
        return kind

    def moment(self, label: str) -> None:
        """Let a reader, a crash or a power cut come between two steps."""
        self.states.add(hash((label, self.freeze(), frozenset(self.marked), self.dot_is_open)))
        self._let_read()
        self._check()
        if not self.crashes:
            return
        if kind := self._chance.choose(3):
            self.crashes -= 1
            self.windows += self.dot_is_open
            if kind == 2:
                self._cut_power()
            self._drop_session()
            raise Died

    def _let_read(self) -> None:
        for name, file in enumerate(self.files):
            if file.place is Place.NEW and self._chance.choose(2):
                self.files[name] = file.move(Place.TAKEN)

    def _cut_power(self) -> None:
        for name, file in enumerate(self.files):
            places = sorted(file.may_be, key=lambda place: place.value)
            place = places[self._chance.choose(len(places))] if len(places) > 1 else file.place
            whole = file.whole and (file.synced or not self._chance.choose(2))
            may_be = frozenset({place})
            self.files[name] = file._replace(place=place, may_be=may_be, synced=True, whole=whole)

    def _drop_session(self) -> None:
        """Some servers delete what they were told even when the line drops."""
        if self.marked and self._chance.choose(2):
            self.delete_marked()

    def part(self) -> None:
        """Lose the line."""
        self._drop_session()
        raise Parted

    def _check(self) -> None:
        open_dots = sum(
            any(status.state is DeliveryState.DOT_SENT for status in row.deliveries)
            for row in self.rows
            if row
        )
        if open_dots > 1:
            raise Violation("two messages are in doubt at a time")

    # -- the server --------------------------------------------------------------------------

    def delete_marked(self) -> None:
        """Do what DELE asked for."""
        for number in self.marked:
            self.on_server[number] = False

    def hide_given(self) -> None:
        """Never show again what was retrieved, if the server is of that kind."""
        for number in self.given if self.setting.hides else ():
            self.on_server[number] = False

    # -- the ledger --------------------------------------------------------------------------

    def statuses(self, number: Number) -> tuple[DeliveryStatus, ...]:
        """Give where the deliveries of a message stand."""
        row = self.rows[number]
        return row.deliveries if row else (NEVER_TRIED,) * len(self.setting.recipients)

    def record(self, settled: Sequence[Outcome], intents: Sequence[Intent] = ()) -> None:
        """Commit outcomes and intents, as ``poll.journal`` does, in one transaction.

        Raises Parted when the disk refuses: then the transaction is not there, or comes to life
        when the ledger is next opened.
        """
        if not settled and not intents:
            return
        refused, refused_and_there = 1, 2
        fault = self.fault(2)
        changes = [change_after_outcome(o, self._status(o.delivery), now=0.0) for o in settled]
        for intent in intents:
            before = [self._status(delivery) for delivery in intent.deliveries]
            changes += changes_after_intent(intent, before)
        if fault != refused:
            for change in changes:
                self._change(change)
        if fault in (refused, refused_and_there):
            self.windows += self.dot_is_open
            self.dot_is_open = False
            self.part()
        self.dot_is_open = False
        self.moment("recorded")

    def remember(self, number: Number) -> None:
        """Take a tombstone for a living message again; its deliveries stay as they are."""
        row = self.rows[number]
        if row and (row.gone or row.left):
            self.rows[number] = row._replace(gone=False, left=False)
            self.moment("remembered")

    def note_spooled(self, number: Number, *, spooled: bool) -> None:
        """Commit that there is a sound copy, or that there is none."""
        row = self.rows[number] or Row(self.statuses(number))
        self.rows[number] = row._replace(spooled=spooled)
        self.moment("noted the copy")

    def _status(self, delivery: DeliveryKey) -> DeliveryStatus:
        number, recipient = self._find(delivery)
        return self.statuses(number)[recipient]

    def _find(self, delivery: DeliveryKey) -> tuple[Number, int]:
        number = Number(int(delivery.message.unique_id))
        return number, self.setting.recipients.index(delivery.recipient)

    def _change(self, change: DeliveryChange) -> None:
        number, recipient = self._find(change.delivery)
        deliveries = list(self.statuses(number))
        before = deliveries[recipient].state
        if self.setting.without is None:
            check_transition(change.delivery, before, change.state)
        self.arrows.add((before, change.state))
        deliveries[recipient] = DeliveryStatus(
            change.state, change.attempts, change.next_try, change.doubts
        )
        row = self.rows[number] or Row(())
        staged_as = int(change.staged_as) if change.staged_as else None
        over = all(status.state is DeliveryState.DELIVERED for status in deliveries)
        self.rows[number] = row._replace(
            deliveries=tuple(deliveries),
            staged_as=staged_as,
            gone=over and row.left,
            spooled=row.spooled and not over,
            left=row.left and not over,
        )

    # -- the Maildir -------------------------------------------------------------------------

    def write(self, number: Number) -> int:
        """Write a file into ``tmp/``; give its name."""
        self.files.append(File(number))
        self.moment("written")
        return len(self.files) - 1

    def sync_content(self, name: int) -> None:
        """Make a file's content durable."""
        self.files[name] = self.files[name]._replace(synced=True)
        self.moment("content synced")

    def move(self, name: int, place: Place) -> None:
        """Give a file another place, not durably."""
        self.files[name] = self.files[name].move(place)
        self.moment(f"moved to {place.value}")

    def sync_directories(self) -> None:
        """Make every place in the Maildir durable."""
        self._settle(lambda file: not file.in_spool)

    def sync_spool(self) -> None:
        """Make every copy so far durable, content and name."""
        self._settle(lambda file: file.in_spool)

    def _settle(self, fits: Callable[[File], bool]) -> None:
        self.files = [
            f._replace(may_be=frozenset({f.place}), synced=f.synced or f.place is Place.SPOOL)
            if fits(f)
            else f
            for f in self.files
        ]
        self.moment("directories synced")

    # -- the spool ---------------------------------------------------------------------------

    def keep(self, number: Number) -> None:
        """Write a copy."""
        places = frozenset({Place.NOWHERE, Place.SPOOL})
        self.files.append(File(number, Place.SPOOL, places))
        self.moment("copied")

    def copies_of(self, number: Number) -> list[int]:
        """Give the copies of a message that are there and whole, by name."""
        return [
            name
            for name, file in enumerate(self.files)
            if file.message == number and file.place is Place.SPOOL and file.whole
        ]

    # -- the relay ---------------------------------------------------------------------------

    def accept(self, number: Number, recipient: int, *, marked: bool) -> None:
        """Let the relay have a copy."""
        place = number * len(self.setting.recipients) + recipient
        had = self.copies[place]
        self.copies[place] = Copies(had.unmarked + (not marked), had.marked + marked)


def _renumber(row: Row, numbers: Mapping[int, int]) -> Row:
    """Give a row that speaks of its file by another number, -1 when the file is no more."""
    name = row.staged_as
    return row if name is None else row._replace(staged_as=numbers.get(name, -1))
