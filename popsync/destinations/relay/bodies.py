"""Makes the body of a message ready to travel."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain

from popsync.model import Parcel
from popsync.wire.smtp.body import MAX_BLOCK_OCTETS, Survey, encode_blocks, encode_whole, survey

_LARGE_OCTETS = 1 << 20


async def prepare_body(parcel: Parcel, *, normalise: bool) -> tuple[Survey, Iterable[bytes]]:
    """Give what a message is found to be, and its data in blocks without the final dot.

    normalise: mend bare line ends, for SMTP. The blocks are given once; those of a large message
    are made on the way, so that it is never in memory as a whole (P8).
    """
    octets = parcel.content.octets
    if octets < MAX_BLOCK_OCTETS:
        found, data = encode_whole(b"".join(_read_parcel(parcel)), normalise=normalise)
        return found, (data,)
    if octets < _LARGE_OCTETS:
        found = survey(_read_parcel(parcel))
    else:
        found = await asyncio.to_thread(survey, _read_parcel(parcel))
    return found, encode_blocks(_read_parcel(parcel), normalise=normalise)


def _read_parcel(parcel: Parcel) -> Iterator[bytes]:
    """Give the message with its added header in front, which never travels alone."""
    chunks = parcel.content.chunks()
    return chain((parcel.header + next(chunks, b""),), chunks)
