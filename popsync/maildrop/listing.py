"""Makes one listing of what STAT, LIST and UIDL say, and tells whether it is complete."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple, TypeVar

from popsync.errors import RemoteProtocolError, UidlUnsupported
from popsync.model import NAMELESS, ListedMessage, Listing, MessageNumber, UniqueId
from popsync.wire.pop3.client import MAX_LISTED
from popsync.wire.pop3.listings import parse_list_rows, parse_uidl_rows
from popsync.wire.pop3.replies import Totals, parse_list_row, parse_uidl_row

_Value = TypeVar("_Value")


class ListingAnswers(NamedTuple):
    """What the server said; None for what it refused or garbled."""

    totals: Totals | None
    list_rows: Sequence[bytes] | None
    uidl_rows: Sequence[bytes] | UidlUnsupported


def combine(answers: ListingAnswers) -> Listing:
    """Give the messages that UIDL mentions, in the order of their numbers.

    It is complete only when all three agree on which messages there are, and every row could be
    read. A size that LIST does not tell is 0. Without any UIDL it gives what the others mention.
    """
    sizes, sizes_sound = _read_sizes(answers.list_rows or ())
    if isinstance(answers.uidl_rows, UidlUnsupported):
        without_uidl, names_sound = answers.uidl_rows, True
        names = _nameless(sizes, answers)
    else:
        without_uidl = None
        names, names_sound = _read_names(answers.uidl_rows)
    numbers = sorted(names)
    octets = map(sizes.get, numbers, repeat(0))
    messages = tuple(map(ListedMessage, numbers, map(names.__getitem__, numbers), octets))
    complete = (
        answers.totals is not None
        and answers.list_rows is not None
        and sizes_sound
        and names_sound
        and sizes.keys() == names.keys()
        and _is_whole(names, answers.totals.messages)
    )
    left_out = len(sizes.keys() - names.keys())
    return Listing(messages, complete, left_out=left_out, without_uidl=without_uidl)


def _nameless(
    sizes: Mapping[MessageNumber, int], answers: ListingAnswers
) -> Mapping[MessageNumber, UniqueId]:
    """Give all that there is without a name; of how much there is STAT tells when LIST does not.

    Without sizes a count is believed only as far as messages may be asked for.
    """
    if answers.list_rows is not None or answers.totals is None:
        return dict.fromkeys(sizes, NAMELESS)
    count = min(answers.totals.messages, MAX_LISTED)
    return {MessageNumber(number): NAMELESS for number in range(1, count + 1)}


def _is_whole(numbers: Iterable[int], count: int) -> bool:
    return sorted(numbers) == list(range(1, count + 1))


def _read_sizes(rows: Sequence[bytes]) -> tuple[Mapping[MessageNumber, int], bool]:
    sizes = parse_list_rows(rows)
    return _by_number(rows, parse_list_row) if sizes is None else (sizes, True)


def _read_names(rows: Sequence[bytes]) -> tuple[Mapping[MessageNumber, UniqueId], bool]:
    names = parse_uidl_rows(rows)
    return _by_number(rows, parse_uidl_row) if names is None else (names, True)


def _by_number(
    rows: Sequence[bytes], parse: Callable[[bytes], tuple[MessageNumber, _Value]]
) -> tuple[dict[MessageNumber, _Value], bool]:
    """Give what the rows say by message number, and whether every row was sound.

    Of a number that is listed twice nothing is known.
    """
    values: dict[MessageNumber, _Value] = {}
    spoiled: set[MessageNumber] = {MessageNumber(0)}
    sound = True
    for row in rows:
        try:
            number, value = parse(row)
        except RemoteProtocolError:
            sound = False
            continue
        if number in values or number in spoiled:
            spoiled.add(number)
        values[number] = value
    for number in spoiled:
        sound = values.pop(number, None) is None and sound
    return values, sound
