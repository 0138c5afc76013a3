"""Does for a command what it asks of the running daemon."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from popsync import __version__
from popsync.agent.control import (
    Answer,
    AskOverview,
    AskPause,
    AskPoll,
    AskReload,
    AskResume,
    ConfigRefusal,
    Done,
    Overview,
    Polled,
    PollOutcome,
    Refusal,
    Request,
    Reread,
    format_answer,
    parse_request,
)
from popsync.agent.overview import AccountOverview, DestinationOverview
from popsync.config.diff import ConfigChanges
from popsync.poll.events import PollReport


class Supervising(Protocol):
    """What polls: a ``Supervisor``."""

    def overview(self) -> Sequence[AccountOverview]:
        """Give what each enabled account is about."""
        ...

    def destinations(self) -> Sequence[DestinationOverview]:
        """Give what each destination is about."""
        ...

    def is_moving(self) -> bool:
        """Say whether polls happen when they are due."""
        ...

    async def poll_now(self, names: Sequence[str]) -> Mapping[str, PollReport | None]:
        """Poll now and wait for the reports; no names mean all accounts."""
        ...

    async def pause(self, names: Sequence[str]) -> None:
        """Poll no more."""
        ...

    async def resume(self, names: Sequence[str]) -> None:
        """Poll again, and now."""
        ...


class Refused(Protocol):
    """A configuration that did not take effect."""

    @property
    def since(self) -> float:
        """When it was first seen, in seconds since the epoch."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with it."""
        ...


class Rereading(Protocol):
    """What follows the configuration: ``Reloading``."""

    @property
    def refused(self) -> Refused | None:
        """Give what is wrong with the files as they are now; None when they are in effect."""
        ...

    async def reload_now(self) -> ConfigChanges:
        """Read the files and have them take effect. Raises ConfigError."""
        ...


class Controller:
    """Answers requests, several at a time."""

    def __init__(self, supervisor: Supervising, reloading: Rereading, *, began_at: float) -> None:
        """``began_at``: when the daemon began, in seconds since the epoch."""
        self._supervisor = supervisor
        self._reloading = reloading
        self._began_at = began_at

    async def answer(self, line: bytes) -> bytes:
        """Do what a line asks and give the answer's line. Raises nothing."""
        try:
            return format_answer(await self._do(parse_request(line)))
        except Exception as error:  # noqa: BLE001 - no request ever stops the daemon (P5)
            return format_answer(Refusal.of(error))

    async def _do(self, request: Request) -> Answer:
        match request:
            case AskOverview():
                return self._overview()
            case AskPoll(accounts=names):
                reports = await self._supervisor.poll_now(names)
                return Polled(tuple(PollOutcome.of(n, r) for n, r in reports.items()))
            case AskPause(accounts=names):
                await self._supervisor.pause(names)
            case AskResume(accounts=names):
                await self._supervisor.resume(names)
            case AskReload():
                return Reread(await self._reloading.reload_now())
        return Done()

    def _overview(self) -> Overview:
        refused = self._reloading.refused
        return Overview(
            __version__,
            self._began_at,
            self._supervisor.is_moving(),
            tuple(self._supervisor.overview()),
            tuple(self._supervisor.destinations()),
            refused=ConfigRefusal(refused.since, refused.problems) if refused else None,
        )
