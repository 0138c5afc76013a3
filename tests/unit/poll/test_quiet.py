"""Listings that left nothing to do are recognised, and nothing else is taken for them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from popsync.model import (
    AccountMemory,
    KnownMessage,
    ListedMessage,
    Listing,
    MessageNumber,
    MessageState,
    Quiet,
    UniqueId,
)
from popsync.poll.plan import plan_poll
from popsync.poll.policy import Policy
from popsync.poll.quiet import MAX_QUIET_S, find_quiet, is_quiet
from tests.doubles.polling import DAY_S, Desk

A, B = b"Subject: a\r\n\r\n", b"Subject: b\r\n\r\n"
NOW = 1_000_000.0
KEEP = Policy(deletes=False, destinations=frozenset({"inbox", "mta"}))
STAMP = b"12345678"


def listing(*octets: int, complete: bool = True, left_out: int = 0) -> Listing:
    """List messages ``u0``… of these sizes."""
    rows = (
        ListedMessage(MessageNumber(n + 1), UniqueId(b"u%d" % n), size)
        for n, size in enumerate(octets)
    )
    return Listing(tuple(rows), complete, left_out)


def known(number: int, **changes: object) -> KnownMessage:
    """Give a settled message of 100 octets."""
    message = KnownMessage(
        UniqueId(b"u%d" % number),
        digest=None,
        state=MessageState.SETTLED,
        copies=1,
        first_seen=NOW - 10,
        settled_at=NOW - 5,
        next_try=None,
        suspect=False,
        deletions=0,
        oversize=False,
        listed_octets=100,
        served=frozenset({"inbox", "mta"}),
    )
    return message._replace(**changes)  # type: ignore[arg-type]


def memory(*messages: KnownMessage, **changes: object) -> AccountMemory:
    """Give what the ledger knows."""
    base = AccountMemory(
        {message.unique_id: (message,) for message in messages}, polled_before=True, stamp=STAMP
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def quiet_of(listed: Listing, known_before: AccountMemory, policy: Policy = KEEP) -> Quiet | None:
    """Plan and give what comes of it."""
    plan = plan_poll(listed, known_before, policy, NOW)
    return find_quiet(listed, known_before, plan, policy, NOW)


def test_a_listing_of_what_is_delivered_is_quiet_for_a_day() -> None:
    """Then everything is compared again, though nothing has changed."""
    both = listing(100, 100)
    quiet = quiet_of(both, memory(known(0), known(1)))

    assert quiet is not None
    assert (quiet.until, quiet.stamp) == (NOW + MAX_QUIET_S, STAMP)
    assert is_quiet(both, KEEP, quiet, NOW)
    assert is_quiet(both, KEEP, quiet, NOW + MAX_QUIET_S - 1)
    assert not is_quiet(both, KEEP, quiet, NOW + MAX_QUIET_S)
    assert not is_quiet(both, KEEP, quiet, NOW - 1)  # the clock was set back
    assert not is_quiet(both, KEEP, None, NOW)


OTHERS: list[Listing] = [
    listing(100),
    listing(100, 100, 100),
    listing(100, 101),
    listing(100, 100, complete=False),
    Listing(tuple(reversed(listing(100, 100).messages)), complete=True),
    replace(
        listing(100, 100),
        messages=(*listing(100).messages, ListedMessage(MessageNumber(2), UniqueId(b"x"), 100)),
    ),
]


@pytest.mark.parametrize("other", OTHERS)
def test_another_listing_is_compared(other: Listing) -> None:
    """One more, one less, another size, another name, another order, or a doubtful one."""
    quiet = quiet_of(listing(100, 100), memory(known(0), known(1)))

    assert not is_quiet(other, KEEP, quiet, NOW)


@pytest.mark.parametrize(
    "other",
    [
        replace(KEEP, deletes=True),
        replace(KEEP, delete_after_s=DAY_S),
        replace(KEEP, max_octets=50),
        replace(KEEP, fetch_limit=1),
        replace(KEEP, adopts=True),
        replace(KEEP, destinations=frozenset({"inbox"})),
    ],
)
def test_under_another_policy_it_is_compared(other: Policy) -> None:
    """What the operator wants now may be something to do."""
    quiet = quiet_of(listing(100), memory(known(0)))

    assert is_quiet(listing(100), KEEP, quiet, NOW)
    assert not is_quiet(listing(100), other, quiet, NOW)


def test_it_is_quiet_only_until_something_is_due() -> None:
    """A message to be tried again, or one whose time in the maildrop is over."""
    deferred = memory(known(0), known(1, state=MessageState.PENDING, next_try=NOW + 60))
    waiting = memory(known(0), known(1, settled_at=NOW - DAY_S + 30))
    later = replace(KEEP, deletes=True, delete_after_s=DAY_S)

    retry = quiet_of(listing(100, 100), deferred)
    deletion = quiet_of(listing(100, 100), waiting, later)

    assert retry is not None
    assert retry.until == NOW + 60
    assert deletion is not None
    assert deletion.until == NOW + 30


LOUD: dict[str, tuple[Listing, AccountMemory, Policy]] = {
    "new mail": (listing(100, 100), memory(known(0)), KEEP),
    "mail to delete": (listing(100), memory(known(0)), replace(KEEP, deletes=True)),
    "mail that has left": (listing(100), memory(known(0), known(1)), KEEP),
    "mail too large": (listing(100, 900), memory(known(0)), replace(KEEP, max_octets=500)),
    "mail to adopt": (
        listing(100),
        memory(polled_before=False),
        replace(KEEP, adopts=True),
    ),
    "never polled": (listing(), memory(polled_before=False), KEEP),
    "just changed": (listing(100), memory(known(0), stamp=b""), KEEP),
    "renumbering": (listing(100), memory(known(0), renumbering=True), KEEP),
    "content keys": (listing(100), memory(known(0), content_keys=True), KEEP),
    "a hint": (listing(100), memory(known(0), hints={MessageNumber(1): None}), KEEP),
    "incomplete": (listing(100, complete=False), memory(known(0)), KEEP),
    "left out": (listing(100, left_out=1), memory(known(0)), KEEP),
    "a warning": (
        listing(100),
        memory(known(0, suspect=True, looked_again=True)),
        replace(KEEP, deletes=True),
    ),
    "another warning": (
        listing(100),
        memory(known(0, served=frozenset())),
        replace(KEEP, deletes=True),
    ),
}


@pytest.mark.parametrize("case", LOUD)
def test_what_leaves_something_to_do_or_to_say_is_not_quiet(case: str) -> None:
    """Or what nobody can be sure of."""
    assert quiet_of(*LOUD[case]) is None


def test_a_message_without_a_name_is_never_quiet() -> None:
    """Nothing but its content tells which it is."""
    nameless = Listing((ListedMessage(MessageNumber(1), UniqueId(b""), 100),), complete=True)
    plan = plan_poll(listing(), memory(), KEEP, NOW)

    assert find_quiet(nameless, memory(), plan, KEEP, NOW) is None


# -- a whole poll ----------------------------------------------------------------------------


async def _count_readings(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Have the desk's account quiet; give a list that grows when all is read of it."""
    desk.server.add(A, B)
    for _ in range(2):
        await desk.poll_well()
    readings: list[object] = []
    read = desk.ledger.memory

    async def memory_of(account: object) -> AccountMemory:
        readings.append(account)
        return await read(account)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.ledger, "memory", memory_of)
    return readings


async def test_the_third_poll_reads_no_message(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first delivers, the second compares, the third recognises."""
    readings = await _count_readings(desk, monkeypatch)
    report = await desk.poll_well()

    assert readings == []
    assert report.summary.listed == 2
    assert desk.server.log[-1] == "QUIT"


def _new_mail(desk: Desk) -> None:
    desk.server.add(b"Subject: new\r\n\r\n")


def _deletion(desk: Desk) -> None:
    desk.policy = replace(desk.policy, deletes=True)


def _time(desk: Desk) -> None:
    desk.now += DAY_S + 1


CHANGES: list[Callable[[Desk], None]] = [_new_mail, _deletion, _time]


@pytest.mark.parametrize("change", CHANGES)
async def test_any_change_has_all_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, change: Callable[[Desk], None]
) -> None:
    """New mail, another policy, a day."""
    readings = await _count_readings(desk, monkeypatch)
    change(desk)
    await desk.poll_well()

    assert len(readings) == 1


async def test_mail_that_left_is_noticed_and_mail_that_came_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the listing is the one that was quiet before (P1)."""
    readings = await _count_readings(desk, monkeypatch)
    before = list(desk.server.messages)
    del desk.server.messages[1]
    await desk.poll_well()
    desk.server.messages[:] = before
    await desk.poll_well()

    assert len(readings) == 2
    assert [event.unique_id for event in desk.delivered] == [m.unique_id for m in before]
