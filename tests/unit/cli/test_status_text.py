"""How accounts are doing, in words and as JSON."""

from typing import Any

from popsync.cli.status_text import format_status, join_status, status_document
from popsync.config.account import AccountConfig
from popsync.config.secrets import LiteralSecret
from popsync.ledger.reports import AccountReport
from popsync.model import AccountId, PollSummary

NOW = 1_000_000.0


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
        day="",
        delivered_today=0,
        standing="",
    )
    return report._replace(**changes)


def states(*reports: AccountReport, **accounts: AccountConfig) -> list[str]:
    """Give the table's lines without its header, spaces made one."""
    lines = format_status(join_status(accounts, reports), NOW)
    return [" ".join(line.split()) for line in lines[1:]]


def test_an_account_that_does_well() -> None:
    """Last poll in relative words, then counts."""
    assert states(reported("jane"), gmx=configured("jane")) == ["gmx 1 minute ago 2 1,234 1 3 ok"]


def test_nothing_polled_yet_is_no_error() -> None:
    """Without a ledger, or before its first poll, an account is simply not polled yet."""
    assert states(gmx=configured("jane")) == ["gmx never 0 0 0 0 not polled yet"]
    assert states(reported("jane", last_poll=None), gmx=configured("jane")) == [
        "gmx never 0 0 0 0 not polled yet"
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

    for width in (100, 80, 60):
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
    )
    polled, fresh = status_document(rows)["accounts"]

    assert polled.keys() == fresh.keys()
    assert (polled["account"], polled["id"]) == ("gmx", "jane@pop.example")
    assert (polled["new"], polled["total"], polled["held"]) == (2, 1234, 3)
    assert polled["error_since"] == "1970-01-12T13:46:40.000+00:00"
    assert (fresh["last_poll_at"], fresh["total"], fresh["error"]) == (None, 0, None)
