"""Whole listings in the form that nearly every server gives them, read at once.

Row by row a listing of ten thousand messages takes longer than the network does.
"""

import re
from collections.abc import Sequence
from typing import cast

from popsync.model import MessageNumber, UniqueId

# Neither goes back over what it has matched, so that time and memory stay linear.
_SIZES = re.compile(rb"(?:[0-9]{1,10} [0-9]{1,18}\n)*+")
_UNIQUE_IDS = re.compile(rb"(?:[0-9]{1,10} [!-~]{1,70}\n)*+")


def parse_list_rows(rows: Sequence[bytes]) -> dict[MessageNumber, int] | None:
    """Give octets by message number, 1…n in order; None where any row has another form."""
    found = _read(_SIZES, rows)
    return None if found is None else dict(zip(found[0], map(int, found[1]), strict=True))


def parse_uidl_rows(rows: Sequence[bytes]) -> dict[MessageNumber, UniqueId] | None:
    """Give unique-ids by message number, 1…n in order; None where any row has another form.

    The form is that of RFC 1939 §7: 1 to 70 characters from 0x21 to 0x7E.
    """
    found = _read(_UNIQUE_IDS, rows)
    return None if found is None else dict(zip(found[0], found[1], strict=True))


def _read(
    form: re.Pattern[bytes], rows: Sequence[bytes]
) -> tuple[list[MessageNumber], list[UniqueId]] | None:
    text = b"\n".join((*rows, b""))
    if text.count(b"\n") != len(rows) or not form.fullmatch(text):
        return None
    words = text.split()
    numbers = list(range(1, len(rows) + 1))
    if list(map(int, words[::2])) != numbers:
        return None
    # To call the types for each row would take as long as all the rest.
    return cast("list[MessageNumber]", numbers), cast("list[UniqueId]", words[1::2])
