from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from popsync.errors import DeliveryUndone, DestinationUnavailable, LedgerUnavailable
from popsync.model import DeliveryState, Intent, Outcome, Refusal
from popsync.poll.policy import Policy
from tests.doubles.destination import OneShotDestination, TwoPhaseDestination
from tests.doubles.polling import Desk

A, B, C = b"Subject: a\r\n\r\n", b"Subject: b\r\n\r\n", b"Subject: c\r\n\r\n"


class Killed(BaseException):
    """The process ends here."""


class KillAt:
    """Dies at a step, once ``after`` others of its name were taken."""

    def __init__(self, step: str, *, after: int = 0) -> None:
        self._step = step
        self._left = after

    def __call__(self, step: str) -> None:
        """Take a step, or die."""
        if step == self._step:
            if self._left == 0:
                raise Killed
            self._left -= 1


def go_on(step: str) -> None:
    """Take every step."""


async def crash(desk: Desk, destination: TwoPhaseDestination | OneShotDestination) -> None:
    """Poll, die, and begin anew with what lies on disk."""
    with pytest.raises(Killed):
        await desk.poll()
    await desk.close()
    await desk.open()
    destination.step = go_on
    desk.server.log.clear()


@pytest.mark.parametrize(("step", "after"), [("rename", 0), ("rename", 1), ("sync", 0)])
async def test_a_staged_delivery_is_finished_before_anything_new(
    desk: Desk, inbox: TwoPhaseDestination, step: str, after: int
) -> None:
    """Renamed or not: no second RETR, no second copy (P4)."""
    desk.server.add(A, B)
    inbox.step = KillAt(step, after=after)
    await crash(desk, inbox)

    await desk.poll_well()

    assert sorted(inbox.contents) == [A, B]
    assert len(inbox.recovered) == 2
    assert desk.server.log == ["LIST", "QUIT"]


async def test_what_was_not_staged_is_retrieved_again(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The ledger knows nothing of it, so nothing is lost and nothing doubled."""
    desk.server.add(A)
    inbox.step = KillAt("stage")
    await crash(desk, inbox)

    await desk.poll_well()

    assert inbox.contents == [A]
    assert inbox.recovered == []
    assert desk.server.log == ["LIST", "RETR 1", "QUIT"]


@pytest.mark.parametrize(("step", "copies"), [("dot", 1), ("reply", 2)])
async def test_a_dot_without_an_answer_is_sent_again_with_a_mark(
    relayed: Desk, relay: OneShotDestination, step: str, copies: int
) -> None:
    """At most one message can come twice, and the repeat says so (P4)."""
    relayed.server.add(A, B)
    relay.step = KillAt(step, after=1)
    await crash(relayed, relay)

    await relayed.poll_well()

    assert relay.contents == [A] + [B] * copies
    assert [m.marked for m in relay.arrived] == [False] * copies + [True]


async def test_nothing_is_retrieved_while_an_open_step_cannot_be_told(
    desk: Desk, inbox: TwoPhaseDestination
) -> None:
    """The message behind it would be delivered twice (P4); the session only looks and parts."""
    desk.server.add(A)
    inbox.step = KillAt("rename")
    await crash(desk, inbox)
    inbox.down = True

    report = await desk.poll()

    assert isinstance(report.error, DestinationUnavailable)
    assert desk.server.log == ["LIST", "QUIT"]
    inbox.down = False
    await desk.poll_well()
    assert inbox.contents == [A]


async def test_what_recovery_found_is_durable_before_a_session_begins(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot take it stops the account."""
    desk.server.add(A)
    inbox.step = KillAt("sync")
    await crash(desk, inbox)

    async def fail(*_: object) -> None:
        raise LedgerUnavailable("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(desk.ledger, "record", fail)
        assert isinstance((await desk.poll()).error, LedgerUnavailable)
    assert desk.server.log == []
    await desk.poll_well()

    assert inbox.contents == [A]


async def test_a_vanished_staged_file_is_retrieved_again_with_a_mark(
    desk: Desk, inbox: TwoPhaseDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither staged nor delivered as far as anybody can see: rather a marked copy than a loss."""
    desk.server.add(A)
    inbox.step = KillAt("rename")
    await crash(desk, inbox)

    async def undone(intents: list[Intent]) -> list[Refusal]:
        keys = [key for intent in intents for key in intent.deliveries]
        return [Refusal(key, DeliveryUndone("gone from tmp")) for key in keys]

    monkeypatch.setattr(inbox, "recover", undone)
    await desk.poll_well()

    assert [(m.octets, m.marked) for m in inbox.arrived] == [(A, True)]


async def test_an_open_step_of_a_removed_destination_is_held(
    both: Desk, inbox: TwoPhaseDestination, relay: OneShotDestination
) -> None:
    """Nobody can say what became of it; the mail stays on the server (P1)."""
    both.server.add(A)
    relay.step = KillAt("reply")
    await crash(both, relay)
    del both.destinations["relay"]

    await both.poll_well()

    assert inbox.contents == [A]
    assert (await both.states(A, b"u1"))["relay:"] is DeliveryState.HELD


@dataclass
class ForgetfulDestination(TwoPhaseDestination):
    """Has a bug that some unique-ids bring to light when it recovers."""

    culprits: set[bytes] = field(default_factory=set)

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Say what became of open steps, or fail."""
        if self.culprits & {intent.message.unique_id for intent in intents}:
            raise ValueError("bug\nforged line")
        return await super().recover(intents)


async def test_a_bug_in_recovery_costs_one_message(tmp_path: Path) -> None:
    """It is told, new mail goes on (P5), and what may have arrived is not sent again (P4)."""
    inbox = ForgetfulDestination("inbox", culprits={b"u1"})
    desk = Desk(tmp_path, inbox)
    desk.policy = Policy(deletes=True)
    await desk.open()
    desk.server.add(A, B)
    inbox.step = KillAt("rename")
    await crash(desk, inbox)
    desk.server.add(C)

    await desk.poll_well()
    assert inbox.contents == [B, C]
    assert desk.server.left == [A]
    assert desk.warnings == [
        "popsync fails to find out whether inbox has message u1: ValueError: bug\\nforged line"
    ]

    inbox.culprits.clear()
    await desk.poll_well()
    assert inbox.contents == [B, C, A]
    assert desk.server.left == []
    await desk.close()


async def test_a_destination_that_goes_down_while_its_bug_is_sought_gets_nothing(
    tmp_path: Path,
) -> None:
    """As it does without a bug."""
    inbox = ForgetfulDestination("inbox", culprits={b"u2"})
    desk = Desk(tmp_path, inbox)
    await desk.open()
    desk.server.add(A, B)
    inbox.step = KillAt("rename")
    await crash(desk, inbox)
    inbox.down = True

    report = await desk.poll()

    assert isinstance(report.error, DestinationUnavailable)
    assert desk.server.log == ["LIST", "QUIT"]
    await desk.close()
