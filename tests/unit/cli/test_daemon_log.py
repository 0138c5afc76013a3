"""What the daemon says, and what it says only once."""

import io
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from popsync.agent.events import AgentEvent, Failed, Recovered, Reloaded, Started
from popsync.agent.standing import Standing
from popsync.cli.daemon_log import DaemonLog
from popsync.cli.logs import Log, set_up_logs
from popsync.config.diff import ConfigChanges, NameChanges
from popsync.errors import AuthRejected, ConfigError, LedgerUnavailable, PopsyncError
from popsync.model import PollSummary
from popsync.poll.events import Event, Listed, PollEnded, PollReport, Retrieved, Warned

NOTHING = NameChanges(frozenset(), frozenset(), frozenset())
REFUSED = AuthRejected("the server refused the login")
TROUBLED = Standing(failures=1, failing_since=1.0, trouble="AuthRejected: the server refused")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Leave logging as the other tests know it."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before
    logging.getLogger("popsync").setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    Log.arrangement = None


class Said:
    """A daemon's log, and the lines that it has written, without their times."""

    def __init__(self, *, verbosity: int = 0) -> None:
        set_up_logs(level="info", form="plain", verbosity=verbosity)
        self.log = DaemonLog()

    def lines(self, *events: Event | AgentEvent) -> list[str]:
        """Give what is written from here on, about ``events``."""

        def tell_all() -> None:
            for event in events:
                self.log(event)

        return self.written(tell_all)

    def written(self, work: Callable[[], object]) -> list[str]:
        """Give what ``work`` writes."""
        before, sys.stderr = sys.stderr, io.StringIO()
        try:
            work()
            return [line.partition(" ")[2] for line in sys.stderr.getvalue().splitlines()]
        finally:
            sys.stderr = before


def ended(
    error: PopsyncError | None = None, *, delivered: int = 0, deferred: int = 0
) -> PollEnded:
    """Give the end of a poll."""
    summary = PollSummary(1.0, 2.0, delivered=delivered, deferred=deferred)
    return PollEnded(PollReport("gmx", summary, error))


def failed(before: Standing, after: Standing, *, pause_s: float = 300) -> Failed:
    """Give a failure."""
    return Failed(ended(REFUSED).report, before, after, pause_s)


def test_the_daemon_says_that_it_has_begun() -> None:
    """With its version, and how many accounts there are."""
    (line,) = Said().lines(Started(2))

    assert line.startswith("info    popsync ")
    assert line.endswith(" polls 2 accounts")


def test_a_failure_is_said_once_until_it_changes() -> None:
    """The poll's own end says nothing of it; the same once more is for those who ask."""
    news, old = failed(Standing(), TROUBLED), failed(TROUBLED, TROUBLED)

    assert Said().lines(ended(REFUSED), news, ended(REFUSED), old) == [
        'error   poll ended early account=gmx error="the server refused the login"'
    ]
    assert len(Said(verbosity=1).lines(news, old)) == 3


def test_a_suspension_is_said_with_what_ends_it() -> None:
    """And when the account is probed; what was said of the error before is not said again."""
    after = Standing(3, 1.0, 3, suspended=True, trouble=TROUBLED.trouble)
    (line,) = Said().lines(failed(TROUBLED, after, pause_s=21_600))

    said = "suspended until its configuration or password changes, or 'popsync resume gmx'"
    assert line == f"warning {said}, or the next probe in 6 hours account=gmx"


def test_the_end_of_trouble_is_said() -> None:
    """With how often and how long it was."""
    (line,) = Said().lines(Recovered("gmx", 7, 2100.0))

    assert line == "info    works again after 7 failures in 35 minutes account=gmx"


def test_a_poll_is_told_as_elsewhere() -> None:
    """Mail is a line, its absence and the steps on the way are none."""
    events: list[Event] = [Listed("gmx", 1, 1, 9), ended(), ended(delivered=1)]

    assert Said().lines(*events) == ["info    polled account=gmx delivered=1 seconds=1.0"]


def test_mail_that_waits_is_told_when_it_comes_and_not_at_every_poll() -> None:
    """A poll that brought nothing has no line; one that delivers what waited has."""
    came, waits = Retrieved("gmx", 1, 9), ended(deferred=1)
    polled = "info    polled account=gmx"
    said = Said()

    assert said.lines(came, waits, waits, waits) == [f"{polled} deferred=1 seconds=1.0"]
    assert said.lines(ended(delivered=1, deferred=1)) == [
        f"{polled} delivered=1 deferred=1 seconds=1.0"
    ]
    assert Said(verbosity=1).lines(waits) == ["debug   polled, nothing new account=gmx deferred=1"]


def test_a_warning_of_every_poll_is_said_once() -> None:
    """When it was away for one poll it is news; another account's is its own."""
    warned, other = Warned("gmx", "the server is odd"), Warned("work", "the server is odd")
    events: list[Event] = [warned, ended(), warned, other, ended(), ended(), warned]

    assert [line.rpartition("=")[2] for line in Said().lines(*events)] == ["gmx", "work", "gmx"]


def test_a_reload_names_what_it_changes() -> None:
    """And what it cannot change."""
    accounts = NameChanges(frozenset({"b", "a"}), frozenset(), frozenset({"c"}))
    settings = frozenset({"state_dir", "limits"})
    lines = Said().lines(Reloaded(ConfigChanges(accounts, NOTHING, settings)))

    fields = "accounts_added=a,b accounts_changed=c settings=limits,state_dir"
    assert lines == [
        f"info    configuration reloaded {fields}",
        "warning takes effect when popsync is started again keys=state_dir",
    ]


def test_a_reload_of_the_same_says_so() -> None:
    """Whoever asked for it wants an answer."""
    (line,) = Said().lines(Reloaded(ConfigChanges(NOTHING, NOTHING, frozenset())))

    assert line == "info    configuration reloaded, nothing changed"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(ConfigError("f:1:2: a: no\n  a = 1", "f:3:1: b: no"), 2, id="mistakes"),
        pytest.param(LedgerUnavailable("disk full"), 1, id="a disk"),
        pytest.param(RuntimeError("a bug"), 2, id="a bug, with its traceback"),
    ],
)
def test_a_refused_configuration_is_told_problem_by_problem(
    error: Exception, expected: int
) -> None:
    """One line each, then that the one before stays."""
    said = Said()
    *problems, last = said.written(lambda: said.log.refuse_config(error))

    assert len(problems) == expected
    assert last.endswith("the configuration is refused, the one before stays in effect")


def test_a_watch_that_ends_is_told() -> None:
    """With the way that is left."""
    said = Said()
    lines = said.written(lambda: said.log.miss_edits(RuntimeError("a bug")))

    assert "use SIGHUP" in lines[0]


class FullDisk(io.StringIO):
    """Takes nothing."""

    def write(self, _text: str) -> int:
        """Refuse it."""
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail is more important than telling of it."""
    said = Said()
    monkeypatch.setattr(sys, "stderr", FullDisk())

    said.log(Started(1))
    said.log.refuse_config(ConfigError("no"))
    said.log.miss_edits(RuntimeError("no"))
