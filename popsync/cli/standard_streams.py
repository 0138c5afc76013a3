"""Standard streams that are always there: what they cannot do never costs a message.

Nobody may be reading what popsync says. A log line that cannot be written is given up; output
that cannot be written is an error of its own, so that it is not taken for a disk's.
"""

import os
import sys
from io import BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD = (0, 1, 2)


class OutputUnwritable(OSError):
    """Stdout took nothing more.

    Without an errno of its own: click would end the process at EPIPE, before we could.
    """

    def __init__(self, cause: OSError) -> None:
        self.reader_left = isinstance(cause, BrokenPipeError)
        super().__init__(f"the output cannot be written: {cause.strerror}")


def secure_standard_streams() -> None:
    """Make stdin, stdout and stderr usable, however popsync was started.

    A stream that was closed leads to the null device, and its descriptor with it: otherwise the
    next file or socket would get that number, and with it whatever is written there.
    """
    for descriptor in STANDARD:
        if not _is_open(descriptor):
            _lead_nowhere(descriptor)
    sys.stdin = sys.stdin or TextIOWrapper(BufferedReader(FileIO(_open_nowhere(), closefd=False)))
    sys.stdout = _rebuild(sys.stdout, _Output)
    sys.stderr = _rebuild(sys.stderr, _Remarks)


def abandon_stdout() -> None:
    """Have what is still buffered go nowhere, so that Python's exit does not complain."""
    _lead_nowhere(sys.stdout.fileno())


class _Output(FileIO):
    """Stdout: it works or says so."""

    def write(self, octets: "ReadableBuffer", /) -> int:
        """Write what goes at once. Raises OutputUnwritable."""
        try:
            return super().write(octets)
        except OSError as error:
            raise OutputUnwritable(error) from error


class _Remarks(FileIO):
    """Stderr: it works if it can."""

    _is_within_line = False
    _is_torn = False
    """The beginning of a line was written, and the rest given up."""

    def write(self, octets: "ReadableBuffer", /) -> int:
        """Write what goes at once; what cannot be written counts as written."""
        view = memoryview(octets).cast("B")
        try:
            written = self._write_on_fresh_line(view)
        except OSError:
            written = None
        if written is None:  # also from a full pipe that does not block
            self._is_torn |= self._is_within_line
            return view.nbytes
        self._is_within_line = not bytes(view[:written]).endswith(b"\n")
        return written

    def _write_on_fresh_line(self, view: memoryview) -> int | None:
        if self._is_torn and super().write(b"\n") is None:
            return None
        self._is_torn = False
        return super().write(view)


def _rebuild(stream: TextIO | None, kind: type[FileIO]) -> TextIO:
    """Give a stream to the same file with the manners of ``kind``; to nowhere for None.

    None tells what Python found at its start; the descriptor may be somebody else's by now.
    """
    file = kind(stream.fileno() if stream else _open_nowhere(), "w", closefd=False)
    return TextIOWrapper(
        BufferedWriter(file),
        encoding=stream.encoding if stream else "utf-8",
        errors=stream.errors if stream else "backslashreplace",
        line_buffering=kind is _Remarks or file.isatty(),
    )


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _open_nowhere() -> int:
    return os.open(os.devnull, os.O_RDWR)


def _lead_nowhere(descriptor: int) -> None:
    """Make ``descriptor`` the null device, for the programs that we start too."""
    nowhere = _open_nowhere()
    if nowhere == descriptor:
        os.set_inheritable(descriptor, True)
    else:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
