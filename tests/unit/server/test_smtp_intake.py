"""Reading a message up to the final dot."""

from pathlib import Path

import pytest

from popsync.server.smtp_intake import DottedText, Intake
from popsync.storage import Scratch

TEXTS = [
    b"",
    b"\r\n",
    b"a\r\n",
    b".\r\na\r\n",
    b"..\r\n.\r\n...\r\n",
    b"a\n.\nb\r.\rc\n.\r\nd\r\n",
    b"\r\r\n\n\r\n\r\r\n",
    b"\r\n.\r\r\n",
    b"\0\xff\r\n",
]


def dotted(text: bytes) -> bytes:
    """Stuff a text that ends in CRLF, line by line, as a client does."""
    lines = text.split(b"\r\n")[:-1]
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    return b"".join(line + b"\r\n" for line in [*stuffed, b"."])


def read(octets: bytes, chunk_octets: int) -> tuple[bytes, bytes]:
    """Feed octets in chunks; give the text, and all that follows the final dot."""
    decoder, text, start = DottedText(), b"", 0
    while True:
        piece, rest = decoder.feed(octets[start : start + chunk_octets])
        text += piece
        start += chunk_octets
        if rest is not None:
            return text, rest + octets[start:]


@pytest.mark.parametrize("chunk_octets", [1, 2, 3, 4, 5, 7, 1000])
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_in_any_chunks_comes_out_whole(text: bytes, chunk_octets: int) -> None:
    """Stuffing is undone exactly, and the next command is not swallowed."""
    assert read(dotted(text) + b"QUIT\r\n", chunk_octets) == (text, b"QUIT\r\n")


@pytest.mark.parametrize(
    "lure",
    [
        *(
            b"\n.\n",
            b"\n.\r\n",
            b"\r.\r",
            b"\r\n.\r",
            b"\r\n.\n",
            b"\r\n\0.\r\n",
            b"\r\r\n.\r\r\n",
        ),
        *(b"\r.\r\n", b"\n\r.\r\n"),
    ],
)
def test_only_crlf_dot_crlf_ends_a_message(lure: bytes) -> None:
    """A second message cannot be smuggled in behind any other ending."""
    octets = b"one" + lure + b"MAIL FROM:<evil@example.org>\r\n.\r\n"
    text, rest = read(octets, 1000)

    assert b"MAIL FROM" in text
    assert rest == b""


async def test_a_message_over_the_limit_is_read_and_forgotten(tmp_path: Path) -> None:
    """It takes up no room, however much of it comes."""
    intake = Intake(Scratch(tmp_path, memory_octets=10), max_octets=100)
    for _ in range(3):
        await intake.write(b"x" * 50)

    assert intake.too_large
    assert intake.finish().octets <= 100
    intake.discard()


async def test_a_disk_that_refuses_is_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows is still read: it must not be taken for commands."""
    intake = Intake(Scratch(tmp_path / "missing", memory_octets=10), max_octets=1000)
    await intake.write(b"x" * 50)
    await intake.write(b"x" * 50)

    assert isinstance(intake.error, OSError)
    intake.discard()
