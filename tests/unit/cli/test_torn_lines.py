"""Lines of the log that could not be written whole."""

import os
from collections.abc import Iterator

import pytest

from popsync.cli.standard_streams import _Remarks

LARGE = b"x" * 99_999 + b"\n"
"""More than a pipe takes at once: its beginning is written, the rest given up."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, _Remarks]]:
    """A pipe that never blocks: the end to read from, and the other one as stderr."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    yield reader, _Remarks(writer, "w")
    os.close(reader)


def write_all(remarks: _Remarks, octets: bytes) -> None:
    """Write as a buffer does, until all counts as written."""
    while octets:
        octets = octets[remarks.write(octets) :]


def test_line_after_a_torn_one_begins_anew(pipe: tuple[int, _Remarks]) -> None:
    """A program that reads lines loses the torn one alone."""
    reader, remarks = pipe
    with remarks:
        write_all(remarks, LARGE)
        write_all(remarks, b"lost\n")
        torn = os.read(reader, len(LARGE))
        write_all(remarks, b"first\n")
        write_all(remarks, b"second\n")
        after = os.read(reader, len(LARGE))

    assert set(torn) == {ord("x")}
    assert after == b"\nfirst\nsecond\n"


def test_lines_that_are_lost_whole_leave_no_trace() -> None:
    """What was written before them had ended its line."""
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        remarks = _Remarks(full.fileno(), "w", closefd=False)
        write_all(remarks, b"lost\n")
        reader, writer = os.pipe()
        os.dup2(writer, full.fileno())
        os.close(writer)
        write_all(remarks, b"first\n")
        read = os.read(reader, 100)
        os.close(reader)

    assert read == b"first\n"
