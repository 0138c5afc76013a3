"""What the model knows: places, rows, files, and everything that outlives a process."""

from enum import Enum
from typing import NamedTuple, NewType

from popsync.model import (
    AccountId,
    DeliveryState,
    DeliveryStatus,
    Digest,
    MessageKey,
    UniqueId,
)

ACCOUNT = AccountId("jane@mail.example.org")
DESTINATION = "there"
MOST_CRASHES = MOST_FAULTS = 2
Arrow = tuple[DeliveryState, DeliveryState]
Number = NewType("Number", int)
"""Which message, from 0."""


class Way(Enum):
    """Where the mail goes."""

    MAILDIR = "Maildir"
    SMTP = "SMTP"
    LMTP = "LMTP to two recipients"


class Rule(Enum):
    """What the model can be asked to leave out; the violations it then finds show that it sees."""

    SYNC_CONTENT = "a file is synced before STAGED"
    SYNC_TMP = "its name in tmp/ is synced before STAGED"
    STAGED = "STAGED is recorded before the move"
    SYNC_NEW = "directories are synced before the receipt"
    SYNC_RECOVERED = "directories are synced in recovery"
    KEEP_STAGED = "the sweep leaves what is staged"
    DOT_SENT = "DOT_SENT is recorded before the dot"
    ONE_IN_DOUBT = "an outcome is recorded before the next dot"
    DOUBT = "silence after the dot is no receipt"
    MARK = "a repeat after a doubt bears a mark"
    DELE_LAST = "no DELE before the receipt"
    QUIT_LAST = "no QUIT before what was not delivered has its copy"
    SYNC_COPY = "a copy is synced before the ledger is told"
    ROWS_STAY = "QUIT makes the ledger forget nothing"
    MEET_AGAIN = "what is delivered is delivered no second time"


class Setting(NamedTuple):
    """What is explored."""

    way: Way
    deletes: bool
    messages: int = 1
    without: Rule | None = None
    hides: bool = False
    """After QUIT the server never shows again what it gave."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom a message is for; a Maildir's only one is ``""``."""
        return {Way.MAILDIR: ("",), Way.SMTP: ("jane",), Way.LMTP: ("jane", "joe")}[self.way]


class Place(Enum):
    """Where a file of the Maildir is."""

    NOWHERE = "nowhere"
    TMP = "tmp"
    NEW = "new"
    TAKEN = "taken"
    """A reader has it, in ``cur/`` or elsewhere."""
    SPOOL = "spool"


class File(NamedTuple):
    """One file that was ever written into the Maildir, or a copy in the spool."""

    message: Number
    place: Place = Place.TMP
    may_be: frozenset[Place] = frozenset({Place.NOWHERE, Place.TMP})
    """Where a power cut may leave it."""
    synced: bool = False
    whole: bool = True
    seen: bool = False
    """It was in ``new/`` once: a copy that somebody may have read."""

    @property
    def in_spool(self) -> bool:
        """Whether it was written into the spool."""
        return Place.SPOOL in self.may_be or self.place is Place.SPOOL

    def move(self, place: Place) -> "File":
        """Put it elsewhere; that is not durable yet."""
        seen = self.seen or place is Place.NEW
        return self._replace(place=place, may_be=self.may_be | {place}, seen=seen)

    @property
    def is_dead(self) -> bool:
        """Whether nobody has seen it or ever will."""
        return not self.seen and self.may_be == {Place.NOWHERE}


class Row(NamedTuple):
    """What the ledger says of one message."""

    deliveries: tuple[DeliveryStatus, ...]
    staged_as: int | None = None
    deletions: int = 0
    gone: bool = False
    spooled: bool = False
    left: bool = False
    """A listing did not show it while it was spooled."""


class Copies(NamedTuple):
    """How often a relay accepted a message for one recipient."""

    unmarked: int = 0
    marked: int = 0


class State(NamedTuple):
    """Everything that outlives a process."""

    on_server: tuple[bool, ...]
    rows: tuple[Row | None, ...]
    files: tuple[File, ...]
    copies: tuple[Copies, ...]
    """By message, then by recipient."""
    windows: int = 0
    """How often a dot's reply was lost, or the process with it."""
    crashes: int = MOST_CRASHES
    """Those still to come, as with ``faults``."""
    faults: int = MOST_FAULTS


def first_state(setting: Setting) -> State:
    """A full maildrop, and nothing known of it."""
    return State(
        on_server=(True,) * setting.messages,
        rows=(None,) * setting.messages,
        files=(),
        copies=(Copies(),) * setting.messages * len(setting.recipients),
    )


def key_of(number: Number) -> MessageKey:
    """Give a message's key; unique-id and digest are its number."""
    return MessageKey(ACCOUNT, UniqueId(b"%d" % number), Digest(b"%d" % number))
