import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from popsync.errors import RemoteProtocolError
from popsync.wire.smtp.addresses import is_mailbox
from popsync.wire.smtp.body import encode_blocks, encode_whole, survey
from popsync.wire.smtp.extensions import parse_extensions
from popsync.wire.smtp.replies import Reply, ReplyReader
from popsync.wire.smtp.reverse_path import find_reverse_path

DOTTY = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"a", b"\0", b"\xff", b"MAIL"]))
CONTENTS = DOTTY.map(b"".join) | st.binary(max_size=200)
UNDOUBLED_DOT = re.compile(rb"(?:^|\r\n|\r|\n)\.(?!\.)")
TRANSCRIPTS = st.lists(
    st.sampled_from(
        [b"250", b"354", b"550", b"-", b" ", b"ok", b"\r\n", b"\r", b"\n", b"5.1.1", b"\xff", b"9"]
    )
).map(b"".join)


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """Cut ``octets`` at ``places``, taken modulo its size."""
    bounds = sorted({0, len(octets), *(place % (len(octets) + 1) for place in places)})
    return [octets[a:b] for a, b in pairwise(bounds)]


def replies_of(pieces: list[bytes]) -> tuple[list[Reply], bool]:
    """Give the replies, and whether the protocol was broken after them."""
    reader = ReplyReader()
    replies = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (reply := reader.next_reply()) is not None:
                replies.append(reply)
    except RemoteProtocolError:
        return replies, True
    return replies, False


def normalise(content: bytes) -> bytes:
    """Mend line ends the slow and plain way."""
    mended = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    return mended if not mended or mended.endswith(b"\r\n") else mended + b"\r\n"


@given(TRANSCRIPTS | st.binary(max_size=100), st.lists(st.integers(0, 10_000), max_size=8))
def test_replies_do_not_depend_on_where_the_octets_are_cut(
    transcript: bytes, places: list[int]
) -> None:
    """Any chunking gives the same replies, and nothing but RemoteProtocolError is raised."""
    assert replies_of(cut(transcript, places)) == replies_of([transcript])


@given(CONTENTS, st.lists(st.integers(0, 10_000), max_size=8))
def test_smtp_data_is_the_content_with_mended_line_ends(content: bytes, places: list[int]) -> None:
    """Undoing the dots gives exactly that, and no reading of line ends finds an end of data."""
    data = b"".join(encode_blocks(cut(content, places), normalise=True))

    assert (b"\r\n" + data).replace(b"\r\n.", b"\r\n")[2:] == normalise(content)
    assert UNDOUBLED_DOT.search(data) is None
    assert survey(cut(content, places)).octets == len(normalise(content))
    assert encode_whole(content, normalise=True) == (survey([content]), data)


@given(CONTENTS, st.lists(st.integers(0, 10_000), max_size=8))
def test_lmtp_data_differs_only_where_it_must(content: bytes, places: list[int]) -> None:
    """Line ends before a dot and the last one are mended, and no dot can end the data."""
    data = b"".join(encode_blocks(cut(content, places), normalise=False))
    kept = re.sub(rb"(?:\r\n|\r|\n)(?=\.)|(?:\r\n|\r|\n)\Z", b"\r\n", content)
    whole = kept if not kept or kept.endswith(b"\r\n") else kept + b"\r\n"

    assert (b"\r\n" + data).replace(b"\r\n.", b"\r\n")[2:] == whole
    assert encode_whole(content, normalise=False) == (survey([content]), data)
    assert UNDOUBLED_DOT.search(data) is None
    assert not data or data.endswith(b"\r\n")


@given(st.binary(max_size=300).map(lambda tail: b"Return-Path: <a@b>" + tail) | st.binary())
def test_a_reverse_path_is_strict_whatever_the_header(head: bytes) -> None:
    """The search raises nothing, and what it gives is an ASCII mailbox or nothing."""
    found = find_reverse_path(head)

    assert found == "" or (is_mailbox(found) and found.isascii())


@given(st.lists(st.binary(max_size=30), min_size=1))
def test_extensions_are_read_from_anything(lines: list[bytes]) -> None:
    """No reply to EHLO makes the parser raise."""
    assert (parse_extensions(Reply(250, None, tuple(lines))).size or 0) >= 0
