"""How accounts are doing, in words and as JSON."""

from dataclasses import replace
from typing import Any

from popsync.agent.memory import Remembered, format_remembered
from popsync.agent.overview import AccountOverview, AccountState
from popsync.agent.standing import Standing
from popsync.cli.status_text import (
    format_status,
    join_polled,
    join_status,
    status_document,
)
from popsync.config.account import AccountConfig
from popsync.config.secrets import LiteralSecret
from popsync.ledger.recording import format_day
from popsync.ledger.reports import AccountReport
from popsync.model import AccountId, PollSummary

NOW = 1_000_000.0
SUSPENDED = "suspended until its configuration or password changes, or 'popsync resume gmx'"


def configured(user: str, *, enabled: bool = True) -> AccountConfig:
    """Make one account's table."""
    return AccountConfig(
        host="pop.example",
        user=user,
        password=LiteralSecret("secret"),
        mode="keep",
        enabled=enabled,
    )


def reported(user: str, **changes: Any) -> AccountReport:
    """Make what the ledger tells of an account that was polled a minute ago."""
    report = AccountReport(
        account=AccountId(f"{user}@pop.example"),
        last_poll=PollSummary(NOW - 61, NOW - 60, listed=9, delivered=2, octets=99),
        last_success_at=NOW - 60,
        error_since=None,
        total_delivered=1234,
        total_octets=5678,
        pending=1,
        held=3,
        polled_before=True,
        renumbering=False,
        lock_step=False,
        paused=False,
        day=format_day(NOW),
        delivered_today=2,
        standing="",
    )
    return report._replace(**changes)


def live(state: AccountState, **changes: Any) -> AccountOverview:
    """Make what the daemon tells of jane."""
    overview = AccountOverview(
        name="gmx",
        account=AccountId("jane@pop.example"),
        state=state,
        next_poll_at=NOW + 240,
        polling_since=None,
        standing=Standing(),
    )
    return replace(overview, **changes)


def live_state(overview: AccountOverview, report: AccountReport | None = None) -> str:
    """Give jane's line from next poll on, spaces made one."""
    rows = join_status({"gmx": configured("jane")}, [report or reported("jane")], [overview])
    return " ".join(format_status(rows, NOW)[1].split()).partition("1 minute ago ")[2]


def states(*reports: AccountReport, **accounts: AccountConfig) -> list[str]:
    """Give the table's lines without its header, spaces made one."""
    lines = format_status(join_status(accounts, reports), NOW)
    return [" ".join(line.split()) for line in lines[1:]]


def test_an_account_that_does_well() -> None:
    """Last poll in relative words, then counts."""
    assert states(reported("jane"), gmx=configured("jane")) == [
        "gmx 1 minute ago - 2 1,234 1 3 ok"
    ]


def test_nothing_polled_yet_is_no_error() -> None:
    """Without a ledger, or before its first poll, an account is simply not polled yet."""
    assert states(gmx=configured("jane")) == ["gmx never - 0 0 0 0 not polled yet"]
    nothing = reported(
        "jane", last_poll=None, total_delivered=0, pending=0, held=0, delivered_today=0
    )
    assert states(nothing, gmx=configured("jane")) == ["gmx never - 0 0 0 0 not polled yet"]


def test_a_first_poll_that_was_cut_off_still_shows_what_it_delivered() -> None:
    """As `log` does: the ledger knows it, whether a poll ended or not."""
    report = reported("jane", last_poll=None, last_success_at=None, delivered_today=0)

    assert states(report, gmx=configured("jane")) == [
        "gmx never - 0 1,234 1 3 no poll was finished yet"
    ]


def test_a_failing_account_says_why_and_since_when() -> None:
    """The last error in words, escaped, with the time since polls began to fail."""
    poll = PollSummary(NOW - 61, NOW - 60, error="login refused\x07")
    report = reported("jane", last_poll=poll, error_since=NOW - 7200)

    (line,) = states(report, gmx=configured("jane"))

    assert line.endswith("failing for 2 hours: login refused\\x07")


def test_a_long_error_is_folded_between_words() -> None:
    """Beside its row where there is room, else below it; no word is broken, none is lost."""
    poll = PollSummary(NOW - 61, NOW - 60, error="pop.example:995: the login was refused, sorry")
    report = reported("jane", last_poll=poll, error_since=NOW - 7200)
    rows = join_status({"gmx": configured("jane")}, [report])
    whole = format_status(rows, NOW)[1].split()

    for width in (100, 80, 68):
        _, *lines = format_status(rows, NOW, width=width)
        assert max(map(len, lines)) <= width
        assert " ".join(lines).split() == whole
    assert format_status(rows, NOW, width=74)[2] == (
        "    failing for 2 hours: pop.example:995: the login was refused, sorry"
    )


def test_disabled_renumbered_and_forgotten_accounts_are_marked() -> None:
    """What the configuration no longer holds comes last, by the ledger's name for it."""
    lines = states(
        reported("jane", renumbering=True),
        reported("gone"),
        gmx=configured("jane", enabled=False),
    )

    assert "disabled; ok; the server has renumbered" in lines[0]
    assert lines[1].startswith("gone@pop.example")
    assert lines[1].endswith("no longer in the configuration")


def test_the_document_has_the_same_keys_polled_or_not() -> None:
    """Scripts need no special case for an account that was never polled."""
    rows = join_status(
        {"gmx": configured("jane"), "new": configured("new")},
        [reported("jane", error_since=NOW)],
        [live(AccountState.POLLING, polling_since=NOW)],
    )
    polled, fresh = status_document(rows, NOW)["accounts"]

    assert polled.keys() == fresh.keys()
    assert (polled["account"], polled["id"]) == ("gmx", "jane@pop.example")
    assert (polled["new"], polled["today"], polled["total"], polled["held"]) == (2, 2, 1234, 3)
    assert (polled["state"], fresh["state"]) == ("polling", None)
    assert polled["polling_since"] == "1970-01-12T13:46:40.000+00:00"
    assert polled["error_since"] == "1970-01-12T13:46:40.000+00:00"
    assert (fresh["last_poll_at"], fresh["total"], fresh["error"]) == (None, 0, None)


def test_a_running_daemon_tells_the_next_poll() -> None:
    """One that is due is made now; a paused account has none."""
    waiting = live(AccountState.WAITING)

    assert live_state(waiting) == "in 4 minutes 2 1,234 1 3 ok"
    assert live_state(replace(waiting, next_poll_at=NOW - 1)).startswith("now ")
    assert live_state(replace(waiting, next_poll_at=None)).startswith("- ")


def test_what_the_daemon_does_about_an_account_comes_first() -> None:
    """Polling, waiting for a connection, suspended with what to do, paused."""
    polling = live(AccountState.POLLING, polling_since=NOW - 5)

    assert live_state(polling) == "now 2 1,234 1 3 polling for 5 seconds; ok"
    assert "; ok" in live_state(replace(polling, polling_since=None))
    assert "waits for its turn" in live_state(replace(polling, polling_since=None))
    assert live_state(live(AccountState.PAUSED, next_poll_at=None)).endswith(" paused; ok")
    assert live_state(live(AccountState.SUSPENDED)).endswith(f" {SUSPENDED}; ok")
    assert live_state(live(AccountState.BACKING_OFF)).endswith(" 3 ok")


def test_a_suspension_is_known_without_a_daemon() -> None:
    """The ledger remembers it, and a script hears of it in the same place either way."""
    standing = format_remembered(Remembered(Standing(3, 5.0, 3, suspended=True, trouble="no")))
    failing = reported("jane", standing=standing, error_since=NOW - 600)
    rows = join_status({"gmx": configured("jane")}, [failing])
    by_hand = failing._replace(error_since=None)

    assert f" 3 {SUSPENDED}; failing for 10 minutes" in states(failing, gmx=configured("jane"))[0]
    assert status_document(rows, NOW)["accounts"][0]["suspended"]
    assert states(by_hand, gmx=configured("jane"))[0].endswith(" 3 ok")


def test_a_pause_is_known_without_a_daemon() -> None:
    """The ledger remembers it."""
    assert states(reported("jane", paused=True), gmx=configured("jane"))[0].endswith("paused; ok")


def test_what_waits_is_said_with_the_destination_that_lacks_it() -> None:
    """An account whose mail is owed to one of its destinations has not just done well."""
    owing = reported("jane", waiting_for=(("mta", 1), ("office", 12)))
    (document,) = status_document(join_status({"gmx": configured("jane")}, [owing]), NOW)[
        "accounts"
    ]

    said = "ok; waiting: 1 message for mta, 12 messages for office"
    assert states(owing, gmx=configured("jane"))[0].endswith(said)
    assert document["waiting_for"] == [
        {"destination": "mta", "messages": 1},
        {"destination": "office", "messages": 12},
    ]


def test_yesterdays_messages_are_not_todays() -> None:
    """An account that was not polled since midnight brought nothing today."""
    report = reported("jane", day="1969-12-31", delivered_today=7)

    assert states(report, gmx=configured("jane")) == ["gmx 1 minute ago - 0 1,234 1 3 ok"]


def test_while_the_files_are_broken_the_daemon_names_the_accounts() -> None:
    """Those that it polls, and no others."""
    rows = join_polled([live(AccountState.WAITING)], [reported("jane"), reported("gone")])

    assert [(row.name, row.account, row.enabled) for row in rows] == [
        ("gmx", "jane@pop.example", True)
    ]
    assert rows[0].report is not None


def test_trouble_that_the_ledger_could_not_take_is_shown_all_the_same() -> None:
    """Its disk may be full; the daemon knows it, as does its log."""
    standing = Standing(
        failures=2, failing_since=NOW - 300, trouble="LedgerUnavailable: the disk is full"
    )
    overview = live(AccountState.BACKING_OFF, standing=standing)

    assert live_state(overview).endswith("failing for 5 minutes: the disk is full")
    assert live_state(overview, reported("jane", error_since=NOW - 60)).count("failing") == 1
