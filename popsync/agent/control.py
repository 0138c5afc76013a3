"""What commands ask of the running daemon, and what it answers: one line of JSON each. Pure."""

from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from popsync import errors
from popsync.agent.overview import AccountOverview, DestinationOverview
from popsync.config.diff import ConfigChanges
from popsync.errors import PopsyncError, RemoteProtocolError
from popsync.model import PollSummary
from popsync.poll.events import PollReport

SOCKET_NAME = "control.sock"
"""In the state directory, whose lock says that one daemon at most listens there."""

# -- requests ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskOverview:
    """What is each account about."""

    ask: Literal["overview"] = "overview"


@dataclass(frozen=True, slots=True)
class AskPoll:
    """Poll these accounts now, suspended and paused ones too, and tell what it came to."""

    accounts: tuple[str, ...] = ()
    """By name; none means all."""
    ask: Literal["poll"] = "poll"


@dataclass(frozen=True, slots=True)
class AskPause:
    """Poll these accounts no more, until they are resumed."""

    accounts: tuple[str, ...] = ()
    ask: Literal["pause"] = "pause"


@dataclass(frozen=True, slots=True)
class AskResume:
    """Poll these accounts again, beginning now."""

    accounts: tuple[str, ...] = ()
    ask: Literal["resume"] = "resume"


@dataclass(frozen=True, slots=True)
class AskReload:
    """Read the configuration again and tell what changed."""

    ask: Literal["reload"] = "reload"


Request = AskOverview | AskPoll | AskPause | AskResume | AskReload

# -- answers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConfigRefusal:
    """The files hold a configuration that did not take effect."""

    since: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """How the daemon is doing."""

    version: str
    """Of the popsync that runs."""
    began_at: float
    moving: bool
    """Whether polls happen when they are due."""
    accounts: tuple[AccountOverview, ...]
    destinations: tuple[DestinationOverview, ...] = ()
    refused: ConfigRefusal | None = None
    reply: Literal["overview"] = "overview"


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """What one poll came to; without ``summary`` there was none."""

    account: str
    summary: PollSummary | None
    error_kind: str = ""
    error: str = ""

    @classmethod
    def of(cls, account: str, report: PollReport | None) -> "PollOutcome":
        """Put a report into words."""
        if report is None:
            return cls(account, None)
        if report.error is None:
            return cls(account, report.summary)
        return cls(account, report.summary, type(report.error).__name__, str(report.error))

    def report(self) -> PollReport | None:
        """Give the report again."""
        if self.summary is None:
            return None
        error = make_error(self.error_kind, (self.error,)) if self.error_kind else None
        return PollReport(self.account, self.summary, error)


@dataclass(frozen=True, slots=True)
class Polled:
    """The polls that were asked for are over."""

    outcomes: tuple[PollOutcome, ...]
    reply: Literal["polled"] = "polled"


@dataclass(frozen=True, slots=True)
class Reread:
    """The configuration was read again and is in effect."""

    changes: ConfigChanges
    reply: Literal["reread"] = "reread"


@dataclass(frozen=True, slots=True)
class Done:
    """It is so now."""

    reply: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Refusal:
    """It could not be done."""

    kind: str
    """The error's class."""
    problems: tuple[str, ...]
    reply: Literal["refused"] = "refused"

    @classmethod
    def of(cls, error: Exception) -> "Refusal":
        """Put an error into words."""
        if isinstance(error, errors.ConfigError):
            return cls("ConfigError", error.problems)
        if isinstance(error, PopsyncError):
            return cls(type(error).__name__, (str(error),))
        return cls("UnexpectedError", (errors.escape(f"{type(error).__name__}: {error}"),))

    def error(self) -> PopsyncError:
        """Give the error again."""
        return make_error(self.kind, self.problems)


Answer = Overview | Polled | Reread | Done | Refusal

# -- lines -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _RequestLine:
    request: Annotated[Request, Field(discriminator="ask")]
    protocol: Literal[1] = field(default=1, kw_only=True)


@dataclass(frozen=True, slots=True)
class _AnswerLine:
    answer: Annotated[Answer, Field(discriminator="reply")]
    protocol: Literal[1] = field(default=1, kw_only=True)


def format_request(request: Request) -> bytes:
    """Give the line for ``request``, without its end."""
    return _requests().dump_json(_RequestLine(request))


def parse_request(line: bytes) -> Request:
    """Read a line of ``format_request``. Raises RemoteProtocolError for any other."""
    try:
        return _requests().validate_json(line).request
    except ValidationError as error:
        raise _not_understood(line) from error


def format_answer(answer: Answer) -> bytes:
    """Give the line for ``answer``, without its end."""
    return _answers().dump_json(_AnswerLine(answer))


def parse_answer(line: bytes) -> Answer:
    """Read a line of ``format_answer``. Raises RemoteProtocolError for any other."""
    try:
        return _answers().validate_json(line).answer
    except ValidationError as error:
        raise _not_understood(line) from error


def make_error(kind: str, problems: tuple[str, ...]) -> PopsyncError:
    """Make the error of a class that is known by name; an unknown one is a plain PopsyncError."""
    if kind == "ConfigError":
        return errors.ConfigError(*problems)
    made = getattr(errors, kind, PopsyncError)
    if not (isinstance(made, type) and issubclass(made, PopsyncError)):
        made = PopsyncError
    return made("; ".join(problems))


def _not_understood(line: bytes) -> RemoteProtocolError:
    return RemoteProtocolError("not a line that this popsync understands", line)


@cache
def _requests() -> TypeAdapter[_RequestLine]:
    return TypeAdapter(_RequestLine)


@cache
def _answers() -> TypeAdapter[_AnswerLine]:
    return TypeAdapter(_AnswerLine)
