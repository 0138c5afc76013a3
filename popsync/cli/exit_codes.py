"""From the errors that occurred to one exit code of ``sysexits.h``. Pure."""

from collections.abc import Iterable
from enum import IntEnum

from popsync import errors


class ExitCode(IntEnum):
    """What popsync ends with; cron, systemd and scripts read it."""

    OK = 0
    """Done, new mail or not."""
    USAGE = 64
    """The command line makes no sense, or the input ends where a question is to be answered."""
    UNAVAILABLE = 69
    """A server or a destination cannot be reached, or takes nothing."""
    INTERNAL = 70
    """A bug of popsync."""
    IO = 74
    """The ledger, a file or a disk."""
    TEMPORARY = 75
    """An account or a message failed for now; the next round tries it again."""
    PROTOCOL = 76
    """A server broke the rules of its protocol, or lacks what is needed."""
    LOGIN = 77
    """A login was refused."""
    CONFIG = 78
    """The configuration cannot be used."""
    INTERRUPTED = 130
    """Control-C where nothing else obeys it, as at a question; or a second SIGINT."""
    BROKEN_PIPE = 141
    """Whoever read our output went away; what a shell shows for SIGPIPE."""
    TERMINATED = 143
    """A second SIGTERM."""


_MOST_TELLING_FIRST = (
    ExitCode.CONFIG,
    ExitCode.INTERNAL,
    ExitCode.IO,
    ExitCode.LOGIN,
    ExitCode.PROTOCOL,
    ExitCode.UNAVAILABLE,
    ExitCode.TEMPORARY,
)

# An error takes the code of the nearest of its ancestors, itself included.
_CODE_OF: dict[type[BaseException], ExitCode] = {
    errors.ConfigError: ExitCode.CONFIG,
    errors.UnknownAccount: ExitCode.USAGE,
    errors.LocalProtocolError: ExitCode.INTERNAL,
    errors.UnexpectedError: ExitCode.INTERNAL,
    errors.ScratchUnavailable: ExitCode.IO,
    errors.LedgerError: ExitCode.IO,
    errors.LedgerLocked: ExitCode.TEMPORARY,  # the other popsync will be done some time
    errors.AuthRejected: ExitCode.LOGIN,
    errors.AuthUnsupported: ExitCode.LOGIN,
    errors.ProtocolError: ExitCode.PROTOCOL,
    errors.PipeliningUnfit: ExitCode.PROTOCOL,
    errors.UidlUnsupported: ExitCode.PROTOCOL,
    errors.StreamError: ExitCode.UNAVAILABLE,
    errors.DestinationUnavailable: ExitCode.UNAVAILABLE,
    errors.ServerUnavailable: ExitCode.UNAVAILABLE,
    errors.ServerRefused: ExitCode.UNAVAILABLE,
    errors.PopsyncError: ExitCode.TEMPORARY,
    OSError: ExitCode.IO,
    BaseException: ExitCode.INTERNAL,
}


def exit_code_for(error: BaseException) -> ExitCode:
    """Give the code that one error alone would end the command with."""
    return next(_CODE_OF[kind] for kind in type(error).__mro__ if kind in _CODE_OF)


def choose_exit_code(occurred: Iterable[BaseException | ExitCode]) -> ExitCode:
    """Give the one code that says most about all that occurred; OK when nothing did."""
    codes = {e if isinstance(e, ExitCode) else exit_code_for(e) for e in occurred}
    return next((code for code in _MOST_TELLING_FIRST if code in codes), ExitCode.OK)
