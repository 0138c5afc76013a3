"""Log lines, in each form."""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from popsync.cli.event_log import EventLog
from popsync.cli.last_words import confess, list_problems, say_why
from popsync.cli.logs import Log, choose_level, render_for_journal, render_plain, set_up_logs
from popsync.errors import AuthRejected, DeliveryRejected, UnexpectedError
from popsync.model import DeliveryState, PollSummary, UniqueId
from popsync.poll.events import (
    Deleted,
    Delivered,
    Event,
    Listed,
    NotDelivered,
    PollEnded,
    PollReport,
    Retrieved,
    Warned,
)

DELIVERED = Delivered("gmx", UniqueId(b"a\x1b1"), 1234, "<1@x>", "inbox", "", "saved as 1.M2")


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


def lines_of(
    *events: Event,
    monkeypatch: pytest.MonkeyPatch,
    form: str = "json",
    verbosity: int = 0,
) -> list[str]:
    """Give the lines that events come to on a stderr that is no terminal."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    set_up_logs(level="info", form=form, verbosity=verbosity)
    observer = EventLog()
    for event in events:
        observer(event)
    return stderr.getvalue().splitlines()


def ended(error: AuthRejected | None = None, **counts: Any) -> PollEnded:
    """Give a poll that took two seconds."""
    return PollEnded(PollReport("gmx", PollSummary(100.0, 102.0, **counts), error))


def test_a_delivery_is_one_line_with_every_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Account, unique-id, octets, message-id, destination and its reply; nothing empty."""
    (line,) = lines_of(DELIVERED, monkeypatch=monkeypatch)

    shown = json.loads(line)
    assert shown.pop("timestamp").endswith("Z")
    assert shown == {
        "event": "delivered",
        "level": "info",
        "account": "gmx",
        "unique_id": "a\\x1b1",
        "octets": 1234,
        "message_id": "<1@x>",
        "destination": "inbox",
        "reply": "saved as 1.M2",
    }


def test_nothing_new_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll without mail, and the steps of one with mail, say nothing by themselves."""
    quiet: list[Event] = [
        Listed("gmx", 9, 0, 0),
        Retrieved("gmx", 1, 9),
        Deleted("gmx", 2),
        ended(listed=9),
    ]

    assert lines_of(*quiet, monkeypatch=monkeypatch) == []
    assert len(lines_of(*quiet, monkeypatch=monkeypatch, verbosity=1)) == 2


def test_a_poll_with_mail_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did and how long it took, without what it did none of."""
    (line,) = lines_of(
        ended(listed=9, delivered=2, octets=77), monkeypatch=monkeypatch, form="plain"
    )

    assert line.endswith("info    polled account=gmx delivered=2 octets=77 seconds=2.0")


def test_trouble_is_said_in_words_even_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, a warning and a failed poll come through ``-q``; deliveries do not."""
    refusal = NotDelivered(
        "gmx", UniqueId(b"1"), "mta", "a@b", DeliveryRejected("550 no"), DeliveryState.HELD
    )
    lines = lines_of(
        DELIVERED,
        refusal,
        Warned("gmx", "unique-ids changed"),
        ended(AuthRejected("login refused")),
        monkeypatch=monkeypatch,
        form="plain",
        verbosity=-1,
    )

    assert [line.split(" ", 1)[1] for line in lines] == [
        'warning held account=gmx unique_id=1 destination=mta recipient=a@b error="550 no"',
        "warning unique-ids changed account=gmx",
        'error   poll ended early account=gmx error="login refused"',
    ]


def test_twice_quiet_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a failed poll says anything; the exit code does."""
    failed = ended(AuthRejected("login refused"))

    assert lines_of(failed, monkeypatch=monkeypatch, verbosity=-2) == []


def test_foreign_text_cannot_forge_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line ends and escape sequences are shown, not obeyed, in every form."""
    forged = Warned("gmx", "x\n2026 info delivered \x1b[2J")
    for form in ("plain", "json"):
        (line,) = lines_of(forged, monkeypatch=monkeypatch, form=form)

        assert "\x1b" not in line


def test_what_libraries_log_joins_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's warning is shown with its name; its chatter is not."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    set_up_logs(level="info", form="plain", verbosity=0)

    logging.getLogger("some.package").info("chatter")
    logging.getLogger("some.package").warning("odd %s", "thing")

    (line,) = stderr.getvalue().splitlines()
    assert line.endswith("warning odd thing logger=some.package")


def test_a_traceback_follows_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown exception is shown with its traceback, below the line."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    set_up_logs(level="info", form="plain", verbosity=0)

    try:
        int("x")
    except ValueError:
        Log().error("unexpected", account="gmx", exc_info=True)

    lines = stderr.getvalue().splitlines()
    assert lines[0].endswith("error   unexpected account=gmx")
    assert lines[1].startswith("Traceback")
    assert lines[-1].startswith("ValueError")


def test_a_bug_in_a_poll_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback comes even where somebody else sums polls up."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    set_up_logs(level="info", form="plain", verbosity=0)
    error = UnexpectedError("KeyError: 'x'")
    error.__cause__ = KeyError("x")

    EventLog(sums_up=False)(PollEnded(PollReport("gmx", PollSummary(0, 1), error)))

    lines = stderr.getvalue().splitlines()
    assert lines[0].endswith("unexpected, a bug account=gmx")
    assert lines[-1] == "KeyError: 'x'"


def test_a_stream_that_is_no_file_is_not_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then lines are plain, whatever the environment says."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    set_up_logs(level="info", form="auto", verbosity=0)

    Log().info("hello")

    assert stderr.getvalue().endswith("info    hello\n")


def test_journald_gets_priorities_on_every_line() -> None:
    """Under systemd a line has a syslog priority and no time of its own."""
    event = {"event": "ouch", "level": "error", "exception": "Traceback\nValueError"}

    assert render_for_journal(None, "", event) == "<3>ouch\n<3>Traceback\n<3>ValueError"


def test_the_journal_is_recognised(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """$JOURNAL_STREAM that names stderr's own file means journald reads it."""
    with (tmp_path / "journal").open("w") as stderr:
        about = os.fstat(stderr.fileno())
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
        set_up_logs(level="info", form="auto", verbosity=0)

        Log().info("hello")

    assert (tmp_path / "journal").read_text() == "<6>hello\n"


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_gets_colour_unless_unwanted(
    monkeypatch: pytest.MonkeyPatch, no_color: str, *, colored: bool
) -> None:
    """NO_COLOR is honoured."""
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("NO_COLOR", no_color)
    set_up_logs(level="info", form="auto", verbosity=0)

    Log().info("hello", account="gmx")

    assert "hello" in stderr.getvalue()
    assert ("\x1b[" in stderr.getvalue()) is colored


def test_values_that_would_be_misread_are_quoted() -> None:
    """Spaces, quotes, equals signs and emptiness are put in quotes in plain lines."""
    event = {
        "timestamp": "T",
        "level": "info",
        "event": "e",
        "a": "x y",
        "b": "",
        "c": 'q"=',
        "d": 1,
    }

    assert render_plain(None, "", event) == 'T info    e a="x y" b="" c="q\\"=" d=1'


@pytest.mark.parametrize(
    ("level", "verbosity", "shown"),
    [
        ("info", 0, logging.INFO),
        ("info", 1, logging.DEBUG),
        ("info", 9, logging.DEBUG),
        ("info", -1, logging.WARNING),
        ("info", -2, logging.CRITICAL + 10),
        ("info", -9, logging.CRITICAL + 10),
        ("warning", 1, logging.INFO),
        ("error", 0, logging.ERROR),
        ("debug", -1, logging.INFO),
    ],
)
def test_verbosity_moves_the_level(level: str, verbosity: int, shown: int) -> None:
    """-v shows one level more than the configuration asks for, -q one less."""
    assert choose_level(level, verbosity) == shown


def test_the_end_is_told_in_the_form_of_a_log_that_programs_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reason, each mistake of a configuration, and a bug with its traceback: a line each."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    set_up_logs(level="info", form="json", verbosity=0)

    say_why("the disk is full")
    list_problems(["a.toml:1:1: no\n    x = 1", "a.toml:2:1: nor this"])
    confess(KeyError("oops"))

    events = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "the disk is full",
        "a.toml:1:1: no",
        "a.toml:2:1: nor this",
        "this is a bug of popsync, please report it",
    ]
    assert "KeyError: 'oops'" in events[-1]["exception"]


def test_the_end_is_told_to_people_as_by_any_command(capsys: pytest.CaptureFixture[str]) -> None:
    """With its name in front, as long as no log goes to programs."""
    set_up_logs(level="info", form="plain", verbosity=0)

    say_why("the disk is full")
    list_problems(["a.toml:1:1: no\n    x = 1"])
    confess(KeyError("oops"))

    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["popsync: the disk is full", "a.toml:1:1: no", "    x = 1"]
    assert lines[-2:] == [
        "KeyError: 'oops'",
        "popsync: this is a bug of popsync, please report it",
    ]
