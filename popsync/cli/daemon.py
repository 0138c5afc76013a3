"""The popsync that runs in the background, as other commands meet it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from popsync.agent.control import (
    SOCKET_NAME,
    Answer,
    AskOverview,
    Overview,
    Refusal,
    Request,
    format_request,
    parse_answer,
)
from popsync.cli.configuration import match_names
from popsync.errors import ConnectFailed, RemoteProtocolError, StreamError
from popsync.net.local import ask_local

AT_ONCE_S = 10.0
"""What needs no work is answered long before."""

_Answer = TypeVar("_Answer", bound=Answer)


class DaemonSeen(NamedTuple):
    """Whether a daemon runs, and what it says of itself."""

    overview: Overview | None
    """None when none runs, or when it does not say."""
    trouble: str = ""
    """Why it does not say; empty when none runs."""


def ask_daemon(
    state_dir: Path, request: Request, expected: type[_Answer], *, timeout_s: float | None
) -> _Answer:
    """Have the daemon do something and give its answer.

    timeout_s: None waits as long as it takes.
    Raises ConnectFailed with what to do when none runs, and what the daemon raised.
    """
    try:
        line = ask_local(state_dir / SOCKET_NAME, format_request(request), timeout_s=timeout_s)
    except ConnectFailed as error:
        if _is_absent(error):
            raise ConnectFailed(
                f"no popsync runs with {state_dir}; start it with 'popsync run', "
                "or poll once with 'popsync once'"
            ) from error
        if isinstance(error.__cause__, NotADirectoryError):
            raise ConnectFailed(
                f"no popsync runs: state_dir {state_dir} is not a directory; move what is there"
                " away, or name another one in the configuration"
            ) from error
        raise
    answer = parse_answer(line)
    if isinstance(answer, Refusal):
        raise answer.error()
    if not isinstance(answer, expected):
        raise RemoteProtocolError(f"{state_dir / SOCKET_NAME}: not an answer to the question")
    return answer


def look_at_daemon(state_dir: Path) -> DaemonSeen:
    """See whether a daemon runs. Raises nothing of ours."""
    try:
        return DaemonSeen(ask_daemon(state_dir, AskOverview(), Overview, timeout_s=AT_ONCE_S))
    except ConnectFailed as error:
        absent = isinstance(error.__cause__, ConnectFailed)
        return DaemonSeen(None, "" if absent else str(error))
    except RemoteProtocolError:
        return DaemonSeen(None, "it is of another version, start it again")
    except StreamError as error:
        return DaemonSeen(None, str(error))


def choose_polled(state_dir: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """Give the accounts of the daemon that the user means; none for all of them.

    Raises click.UsageError when a pattern fits none, and what ``ask_daemon`` does.
    """
    if not patterns:
        return ()
    overview = ask_daemon(state_dir, AskOverview(), Overview, timeout_s=AT_ONCE_S)
    return tuple(match_names([account.name for account in overview.accounts], patterns))


def _is_absent(error: ConnectFailed) -> bool:
    """Say whether nobody listens, rather than not to us."""
    return isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
