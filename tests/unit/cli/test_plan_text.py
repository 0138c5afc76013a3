"""What a poll would do, in words and as JSON."""

from popsync.agent.agent import AccountPlan
from popsync.cli.plan_text import format_plans, plans_document
from popsync.errors import ConnectFailed
from popsync.model import ListedMessage, Listing, MessageNumber, UniqueId
from popsync.poll.judgement import Reason, Skip
from popsync.poll.plan import PollPlan


def row(number: int, octets: int = 1000) -> ListedMessage:
    """Make one row of a listing."""
    return ListedMessage(MessageNumber(number), UniqueId(b"u%d\x1b" % number), octets)


PLAN = AccountPlan(
    "gmx",
    Listing(tuple(map(row, range(1, 6))), complete=True),
    PollPlan(
        retrieve=(row(2), row(4)),
        delete=(row(1),),
        skip=(Skip(row(3), Reason.TOO_LARGE), Skip(row(5), Reason.WAITING, 60.0)),
    ),
)
FAILED = AccountPlan(
    "work", Listing((), complete=False), PollPlan(), ConnectFailed("pop.example: refused")
)


def test_each_account_has_a_line_with_counts_and_reasons() -> None:
    """An account that cannot be listed says why; the others are not affected."""
    header, gmx, work = format_plans([PLAN, FAILED], each_message=False)

    assert header.split() == ["ACCOUNT", "LISTED", "RETRIEVE", "OCTETS", "DELETE", "SKIP", "WHY"]
    assert gmx.split()[:7] == ["gmx", "5", "2", "2.0", "kB", "1", "2"]
    assert gmx.endswith("1 larger than max_size; 1 delivered, to be deleted later")
    assert work.endswith("failed: pop.example: refused")


def test_each_message_is_shown_in_order_when_asked_for() -> None:
    """What happens to it and why; a unique-id cannot steer the terminal."""
    lines = list(format_plans([PLAN], each_message=True))[2:]

    assert lines == [
        "gmx 1 u1\\x1b 1.0 kB: delete",
        "gmx 2 u2\\x1b 1.0 kB: retrieve",
        "gmx 3 u3\\x1b 1.0 kB: skip (larger than max_size)",
        "gmx 4 u4\\x1b 1.0 kB: retrieve",
        "gmx 5 u5\\x1b 1.0 kB: skip (delivered, to be deleted later)",
    ]


def test_renumbering_is_told() -> None:
    """A plan under the guard says so, since it deletes nothing."""
    plan = AccountPlan("gmx", Listing((), complete=True), PollPlan(renumbered=True))

    assert "renumbered" in "\n".join(format_plans([plan], each_message=False))


def test_the_document_holds_every_message_and_the_exit_code() -> None:
    """Actions, reasons and times for scripts; a failure decides the code."""
    document = plans_document([PLAN, FAILED])

    gmx, work = document["accounts"]
    assert document["exit_code"] == 69
    assert (gmx["retrieve"], gmx["delete"], gmx["skip"], gmx["error"]) == (2, 1, 2, None)
    assert gmx["messages"][4] == {
        "number": 5,
        "unique_id": "u5\\x1b",
        "octets": 1000,
        "action": "skip",
        "reason": "delivered, to be deleted later",
        "until": "1970-01-01T00:01:00.000+00:00",
    }
    assert work["error"] == {"kind": "ConnectFailed", "text": "pop.example: refused"}
