"""Keeping a message until it can be stored."""

from pathlib import Path

import pytest

from popsync.server.smtp_intake import Intake
from popsync.storage import Scratch


@pytest.mark.parametrize(
    ("chunks", "ambiguous"),
    [
        ([b"a\r\n.b\r\n"], False),
        ([b"a\nb\r\n.\r\n"], False),
        ([b"a\r.\r\n"], False),
        ([b"a\n.\r\n"], True),
        ([b"a\n", b".b\r\n"], True),
        ([b"\n", b".\n"], True),
        ([b"a\r", b"\n", b".b\r\n"], False),
        ([b"\r", b"\n.\r\n"], False),
        ([b"a\r\n.", b"b\r\n"], False),
        ([b"a\n.", b"b\r\n"], True),
    ],
)
async def test_a_dot_after_a_bare_lf_is_found_in_any_chunks(
    tmp_path: Path, chunks: list[bytes], *, ambiguous: bool
) -> None:
    """Clients that end lines at LF would read such a message differently."""
    intake = Intake(Scratch(tmp_path), max_octets=100)
    for chunk in chunks:
        await intake.write(chunk)

    assert intake.ambiguous is ambiguous
    intake.discard()


async def test_a_message_over_the_limit_is_read_and_forgotten(tmp_path: Path) -> None:
    """It takes up no room, however much of it comes."""
    intake = Intake(Scratch(tmp_path, memory_octets=10), max_octets=100)
    for _ in range(3):
        await intake.write(b"x" * 50)

    assert intake.too_large
    assert intake.finish().octets <= 100
    intake.discard()


async def test_a_disk_that_refuses_is_told_at_the_end(tmp_path: Path) -> None:
    """What follows is still read: it must not be taken for commands."""
    intake = Intake(Scratch(tmp_path / "missing", memory_octets=10), max_octets=1000)
    await intake.write(b"x" * 50)
    await intake.write(b"x" * 50)

    assert isinstance(intake.error, OSError)
    intake.discard()
