"""Lines to and from the daemon, and what it does about them."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popsync import errors
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
    format_request,
    parse_answer,
    parse_request,
)
from popsync.agent.controller import Controller
from popsync.agent.overview import AccountOverview, AccountState, DestinationOverview
from popsync.agent.standing import Standing
from popsync.config.diff import ConfigChanges, NameChanges
from popsync.errors import AuthRejected, ConfigError, PopsyncError, RemoteProtocolError
from popsync.model import AccountId, PollSummary
from popsync.poll.events import PollReport

SUMMARY = PollSummary(1.0, 2.0, listed=3, delivered=2, octets=99)
NO_NAMES = NameChanges(frozenset(), frozenset(), frozenset())
CHANGES = ConfigChanges(
    NameChanges(frozenset({"a"}), frozenset(), frozenset({"b"})), NO_NAMES, frozenset({"log"})
)
JANE = AccountOverview(
    "jane",
    AccountId("jane@pop.example"),
    AccountState.SUSPENDED,
    9.5,
    None,
    Standing(failures=3, failing_since=1.0, suspended=True, trouble="AuthRejected: no"),
)
OVERVIEW = Overview(
    "1.2.3",
    5.0,
    moving=True,
    accounts=(JANE,),
    destinations=(DestinationOverview("mta", 1.0, 2.0, "refused"),),
    refused=ConfigRefusal(3.0, ("a:1:2: wrong",)),
)


@pytest.mark.parametrize(
    "request_",
    [AskOverview(), AskPoll(("jane", "ünï\n")), AskPause(), AskResume(("a",)), AskReload()],
)
def test_a_request_is_one_line_that_reads_back(request_: Request) -> None:
    """Whatever names it holds."""
    line = format_request(request_)

    assert b"\n" not in line
    assert parse_request(line) == request_


@pytest.mark.parametrize(
    "answer",
    [
        OVERVIEW,
        Polled((PollOutcome("jane", SUMMARY), PollOutcome("bob", None))),
        Reread(CHANGES),
        Done(),
        Refusal("ConfigError", ("a:1: x\n  line", "b")),
    ],
)
def test_an_answer_is_one_line_that_reads_back(answer: Answer) -> None:
    """Enumerations and sets of names included."""
    line = format_answer(answer)

    assert b"\n" not in line
    assert parse_answer(line) == answer


@given(st.binary(max_size=200))
def test_junk_is_refused_by_the_parsers_own_error(junk: bytes) -> None:
    """No octets from outside raise anything else."""
    for parse in (parse_request, parse_answer):
        with pytest.raises(RemoteProtocolError):
            parse(junk)


@pytest.mark.parametrize(
    "line",
    [
        b'{"request": {"ask": "overview"}, "protocol": 2}',
        b'{"request": {"ask": "explode"}, "protocol": 1}',
        b'{"request": {"ask": "poll", "accounts": "jane"}, "protocol": 1}',
    ],
)
def test_another_version_or_request_is_refused(line: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(RemoteProtocolError):
        parse_request(line)


@pytest.mark.parametrize(
    "error", [None, AuthRejected("no such user"), RemoteProtocolError("odd", b"+FOO")]
)
def test_a_report_keeps_the_class_and_words_of_its_error(error: PopsyncError | None) -> None:
    """So that commands end with the exit code that the poll itself would have."""
    report = PollOutcome.of("jane", PollReport("jane", SUMMARY, error)).report()

    assert report is not None
    assert (report.account, report.summary) == ("jane", SUMMARY)
    assert (type(report.error), str(report.error)) == (type(error), str(error))


def test_no_poll_is_no_report() -> None:
    """An account that was removed meanwhile."""
    assert PollOutcome.of("jane", None).report() is None


@pytest.mark.parametrize("kind", ["", "Scope", "escape", "NoSuchError", "__doc__"])
def test_an_unknown_class_of_error_is_a_plain_one(kind: str) -> None:
    """A newer daemon may know more kinds, and nobody makes anything else of them."""
    assert type(Refusal(kind, ("words",)).error()) is PopsyncError


def test_refusals_keep_every_problem_of_a_configuration() -> None:
    """Each on its own line, as the daemon found them."""
    error = Refusal.of(ConfigError("a:1: x", "b:2: y")).error()

    assert isinstance(error, ConfigError)
    assert error.problems == ("a:1: x", "b:2: y")


# -- the daemon's side ---------------------------------------------------------------------------


class Crew:
    """A supervisor that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Sequence[str]]] = []
        self.moving = True

    def overview(self) -> Sequence[AccountOverview]:
        """Give one account."""
        return [JANE]

    def destinations(self) -> Sequence[DestinationOverview]:
        """Give one that is down."""
        return OVERVIEW.destinations

    def is_moving(self) -> bool:
        """Give what the test wants."""
        return self.moving

    async def poll_now(self, names: Sequence[str]) -> Mapping[str, PollReport | None]:
        """Poll jane well; bob has gone."""
        self.told.append(("poll", names))
        return {"jane": PollReport("jane", SUMMARY), "bob": None}

    async def pause(self, names: Sequence[str]) -> None:
        """Note it."""
        self.told.append(("pause", names))

    async def resume(self, names: Sequence[str]) -> None:
        """Know nobody."""
        raise errors.UnknownAccount(f"no account {names[0]!r}")


class Files:
    """A configuration that is refused, or changes."""

    def __init__(self) -> None:
        self.refused: ConfigRefusal | None = None

    async def reload_now(self) -> ConfigChanges:
        """Say what changed."""
        if self.refused:
            raise ConfigError(*self.refused.problems)
        return CHANGES


async def ask(request: Request, crew: Crew | None = None, files: Files | None = None) -> Answer:
    """Have a controller answer."""
    controller = Controller(crew or Crew(), files or Files(), began_at=5.0)
    return parse_answer(await controller.answer(format_request(request)))


async def test_the_overview_says_all_that_is_known() -> None:
    """Accounts, destinations, whether polls happen, and a refused configuration."""
    crew, files = Crew(), Files()
    crew.moving, files.refused = False, ConfigRefusal(3.0, ("x",))

    answer = await ask(AskOverview(), crew, files)

    assert isinstance(answer, Overview)
    assert (answer.began_at, answer.moving, answer.accounts) == (5.0, False, (JANE,))
    assert (answer.refused, answer.destinations) == (files.refused, OVERVIEW.destinations)


async def test_polls_come_back_by_name() -> None:
    """One that did not happen, too."""
    crew = Crew()

    answer = await ask(AskPoll(("jane", "bob")), crew)

    assert answer == Polled((PollOutcome("jane", SUMMARY), PollOutcome("bob", None)))
    assert crew.told == [("poll", ("jane", "bob"))]


async def test_what_is_done_is_said() -> None:
    """Pausing has nothing else to tell."""
    crew = Crew()

    assert await ask(AskPause(("jane",)), crew) == Done()
    assert crew.told == [("pause", ("jane",))]


async def test_errors_come_back_by_class() -> None:
    """Whoever asked learns why it was not done."""
    files = Files()
    files.refused = ConfigRefusal(3.0, ("x:1: wrong",))

    assert await ask(AskReload()) == Reread(CHANGES)
    assert await ask(AskReload(), files=files) == Refusal("ConfigError", ("x:1: wrong",))
    assert await ask(AskResume(("eve",))) == Refusal("UnknownAccount", ("no account 'eve'",))


async def test_junk_and_bugs_stop_nothing() -> None:
    """They are answered like anything else."""

    class Broken(Crew):
        async def pause(self, names: Sequence[str]) -> None:
            raise RuntimeError("boo")

    controller = Controller(Broken(), Files(), began_at=5.0)
    junk = parse_answer(await controller.answer(b"junk"))
    bug = parse_answer(await controller.answer(format_request(AskPause())))

    assert isinstance(junk, Refusal)
    assert junk.kind == "RemoteProtocolError"
    assert bug == Refusal("UnexpectedError", ("RuntimeError: boo",))


async def test_being_cut_is_no_answer() -> None:
    """The end of the daemon is not caught."""

    class Endless(Crew):
        async def pause(self, names: Sequence[str]) -> None:
            await asyncio.Event().wait()

    controller = Controller(Endless(), Files(), began_at=5.0)
    answering = asyncio.create_task(controller.answer(format_request(AskPause())))
    await asyncio.sleep(0)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
