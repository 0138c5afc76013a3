import pytest

from popsync.wire.smtp.body import MAX_BLOCK_OCTETS, Survey, encode_blocks, encode_whole, survey


def encode(*chunks: bytes, normalise: bool = True) -> bytes:
    """Give the whole data of a message that comes in ``chunks``."""
    return b"".join(encode_blocks(chunks, normalise=normalise))


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (b"", b""),
        (b"a\r\n", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b".", b"..\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"..\r\n.x\r\n", b"...\r\n..x\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a.\r\n", b"a.\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\rb\r", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\n\rb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\n.\n", b"a\r\n..\r\n"),
        (b"a\n.\r\nMAIL\r\n", b"a\r\n..\r\nMAIL\r\n"),
        (b"a\r.\rMAIL", b"a\r\n..\r\nMAIL\r\n"),
        (b"a\r\n.\rMAIL\r\n", b"a\r\n..\r\nMAIL\r\n"),
        (b"a\r\n.\nMAIL\r\n", b"a\r\n..\r\nMAIL\r\n"),
        (b"x" * 3000 + b"\r\n", b"x" * 3000 + b"\r\n"),
    ],
)
def test_smtp_data_has_no_bare_line_ends_and_doubled_dots(content: bytes, data: bytes) -> None:
    """Wherever the content is cut into two, the data is the same (P6)."""
    assert encode(content) == data
    assert encode_whole(content, normalise=True) == (survey([content]), data)
    for cut in range(len(content)):
        assert encode(content[:cut], content[cut:]) == data


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (b"", b""),
        (b"a\nb\rc\r\r\nd\r\n", b"a\nb\rc\r\r\nd\r\n"),
        (b"a\n\n\r\n", b"a\n\n\r\n"),
        (b"a\r\n.\r\n", b"a\r\n..\r\n"),
        (b"a\n.\nb\r\n", b"a\r\n..\nb\r\n"),
        (b"a\r.\rb\r\n", b"a\r\n..\rb\r\n"),
        (b"a\r\r\n.\r\n", b"a\r\r\n..\r\n"),
        (b"a\n", b"a\r\n"),
        (b"a\r", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b"\n.", b"\r\n..\r\n"),
        (b".\n", b"..\r\n"),
        (b"a\0\r\n", b"a\0\r\n"),
    ],
)
def test_lmtp_data_keeps_bare_line_ends_that_do_no_harm(content: bytes, data: bytes) -> None:
    """Only one before a dot, and one at the very end, become CRLF; however it is cut."""
    assert encode(content, normalise=False) == data
    assert encode_whole(content, normalise=False) == (survey([content]), data)
    for cut in range(len(content)):
        assert encode(content[:cut], content[cut:], normalise=False) == data


@pytest.mark.parametrize("piece", [b"\n", b".\n", b"\n.", b"\r", b"\r\n.", b"x", b"\r\n"])
@pytest.mark.parametrize("normalise", [True, False])
def test_no_block_is_larger_than_64_kib(piece: bytes, *, normalise: bool) -> None:
    """Not even where every octet becomes two, so memory does not grow with the message (P8)."""
    content = piece * (1_000_000 // len(piece))

    sizes = [len(block) for block in encode_blocks([content], normalise=normalise)]

    assert max(sizes) <= MAX_BLOCK_OCTETS
    assert len(sizes) > 10


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([], Survey(0, eightbit=False)),
        ([b""], Survey(0, eightbit=False)),
        ([b"a\r\n"], Survey(3, eightbit=False)),
        ([b"a"], Survey(3, eightbit=False)),
        ([b"a\n"], Survey(3, eightbit=False)),
        ([b"a\r"], Survey(3, eightbit=False)),
        ([b"a\r", b"\n.b"], Survey(7, eightbit=False)),
        ([b"a\r", b"", b"\n"], Survey(3, eightbit=False)),
        ([b"\xe4\r\n", b"a"], Survey(6, eightbit=True)),
        ([b"a", b"\0\r\n"], Survey(4, eightbit=False)),
    ],
)
def test_a_survey_tells_size_and_8_bit(chunks: list[bytes], found: Survey) -> None:
    """The size is that of the data without doubled dots, exact wherever the content is cut."""
    assert survey(chunks) == found
