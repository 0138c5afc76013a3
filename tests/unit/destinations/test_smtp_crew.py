"""Several links carry one batch: they share commits, and each has one message in doubt at most."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from popsync.destinations.relay.links import Reuse
from popsync.errors import DestinationUnavailable, LedgerUnavailable
from popsync.model import Intent, Outcome
from tests.doubles.smtp_script import CLOSE, STALL, Answer, SmtpScript, StoredMessage
from tests.unit.destinations.relaying import (
    QUICK,
    RecordingJournal,
    kind_of,
    make_parcel,
    make_smtp,
)

MANY = [make_parcel(n) for n in range(60)]


class CheckingJournal(RecordingJournal):
    """Gives the others a chance to gather, and counts the dots that have no outcome yet."""

    def __init__(self, on_record: Callable[[], None] = lambda: None) -> None:
        super().__init__(on_record)
        self.most_open = 0
        self.most_intents = 0

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Take it for durable after a while."""
        for _ in range(30):
            await asyncio.sleep(0)
        await super().record(settled, intents)
        self.most_open = max(self.most_open, len(self.intended - self.outcomes.keys()))
        self.most_intents = max(self.most_intents, len(intents))


class WaitingJournal(RecordingJournal):
    """Takes nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.may_go = asyncio.Event()

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Wait, then take it for durable."""
        self.asked.set()
        await self.may_go.wait()
        await super().record(settled, intents)


def _arrived(script: SmtpScript) -> Counter[bytes]:
    return Counter(message.data for message in script.messages)


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelining", "lock-step"])
async def test_several_links_carry_a_batch_and_share_commits(extensions: tuple[str, ...]) -> None:
    """Each message arrives once; no more dots are ever open than there are links (P4)."""
    script = SmtpScript(extensions)
    journal = CheckingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=3)
        await destination.deliver(MANY, journal)
        await destination.close()

    assert len(script.sessions) == 3
    assert min(session.commands.count("DATA") for session in script.sessions) > 5
    assert len(_arrived(script)) == len(script.messages) == len(MANY)
    assert journal.kinds() == ["receipt"] * len(MANY)
    assert 1 < journal.most_open <= 3
    assert journal.most_intents > 1
    assert len(journal.records) < len(MANY)


async def test_a_short_batch_takes_one_link() -> None:
    """To open another takes longer than what it could carry."""
    script = SmtpScript()
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=3)
        await destination.deliver(MANY[:8], RecordingJournal())
        await destination.close()

    assert len(script.sessions) == 1


@pytest.mark.parametrize("connections", [1, 2])
async def test_one_connection_keeps_the_order(connections: int) -> None:
    """Messages are begun in their order; only with several links may one overtake another."""
    script = SmtpScript()
    begun: list[bytes] = []
    script.on_message = lambda message: begun.append(message.data.splitlines()[1])
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=connections)
        await destination.deliver(MANY, RecordingJournal())
        await destination.close()

    in_order = [b"Subject: %d" % n for n in range(60)]
    late = max(begun.index(subject) - n for n, subject in enumerate(in_order))
    assert late < connections * 2 if connections > 1 else begun == in_order


async def test_a_server_that_refuses_all_sees_one_link() -> None:
    """The others come only once it has taken a message."""
    script = SmtpScript(answers={"RCPT": ["550 no" for _ in MANY]})
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=3)
        with pytest.raises(DestinationUnavailable, match="refuses every message"):
            await destination.deliver(MANY, RecordingJournal())
        await destination.close()

    assert len(script.sessions) == 1
    assert script.commands.count("RCPT TO:<jane@example.org>") <= 4


@pytest.mark.parametrize(
    "answers",
    [{"GREETING": ["", "421 one is enough"]}, {"GREETING": ["", CLOSE]}],
    ids=["421", "cut"],
)
async def test_a_second_link_that_is_refused_is_done_without(
    answers: dict[str, list[Answer]],
) -> None:
    """The first link carries everything, and for a while no other one is asked for."""
    script = SmtpScript(answers=answers)
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=2)
        await destination.deliver(MANY[:30], journal)
        await destination.deliver(MANY[30:], journal)
        await destination.close()

    assert journal.kinds() == ["receipt"] * len(MANY)
    assert [session.commands.count("DATA") for session in script.sessions] == [60, 0]


async def test_a_second_link_that_ends_at_mail_is_done_without() -> None:
    """What it had taken goes over the first, without doubt; a server may count so late."""
    script = SmtpScript(answers={"MAIL": ["", "421 one is enough"]})
    journal = RecordingJournal()
    # Only the first message goes alone, so the second MAIL may be the first link's as well.
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=2)
        await destination.deliver(MANY, journal)
        await destination.close()

    assert journal.kinds() == ["receipt"] * len(MANY)
    assert len(_arrived(script)) == len(script.messages)


async def test_worn_links_are_replaced_by_helpers_too() -> None:
    """Each carries its share, then another one goes on."""
    script = SmtpScript()
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=2, reuse=Reuse(max_messages=10))
        await destination.deliver(MANY, journal)
        await destination.close()

    assert journal.kinds() == ["receipt"] * len(MANY)
    assert max(session.commands.count("DATA") for session in script.sessions) == 10
    assert all(session.commands[-1] == "QUIT" for session in script.sessions)


@pytest.mark.parametrize("answer", [STALL, CLOSE, "2xx"])
@pytest.mark.parametrize("nth", [2, 9, 10, 11, 12, 13])
async def test_when_one_link_fails_the_others_finish_what_they_have(
    answer: Answer, nth: int
) -> None:
    """One message is in doubt, nothing is lost or doubled, and the rest waits."""
    dots: list[Answer] = [*[""] * nth, answer]
    script = SmtpScript(answers={"DOT": dots})
    journal = CheckingJournal()
    async with script.on_tcp() as port:
        # Only what falls silent is waited for less: a loaded machine must not add silence.
        deadlines = replace(QUICK, dot_s=1.0) if answer == STALL else QUICK
        destination = make_smtp(port, connections=3, deadlines=deadlines)
        with pytest.raises(DestinationUnavailable, match="local"):
            await destination.deliver(MANY, journal)
        await destination.close()

    kinds = Counter(journal.kinds())
    assert kinds["DeliveryInDoubt"] == 1
    assert kinds["receipt"] >= nth
    if answer != STALL:  # it is seen at once; each of the others has one, and one that rode along
        assert kinds["receipt"] <= nth + 6
    assert journal.intended == journal.outcomes.keys()
    assert len(_arrived(script)) == len(script.messages)
    assert journal.most_open <= 3


@pytest.mark.parametrize("nth", range(1, 20))
async def test_no_dot_is_announced_once_the_ledger_has_refused(nth: int) -> None:
    """Whoever shared that commit hears of it, and whoever comes later; receipts are still told."""
    refused = False

    def refuse() -> None:
        nonlocal refused
        if len(journal.records) == nth and not refused:
            refused = True
            raise LedgerUnavailable("no room")

    script = SmtpScript()
    journal = CheckingJournal(refuse)
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=3)
        with pytest.raises(LedgerUnavailable):
            await destination.deliver(MANY, journal)
        await destination.close()

    assert not any(intents for _, intents in journal.records[nth:])
    assert script.dots <= len(journal.intended)
    assert len(journal.intended - journal.outcomes.keys()) <= 3


async def test_a_cancelled_delivery_takes_its_helpers_along() -> None:
    """As after a crash, no task goes on by itself; recovery settles what was open (P4)."""
    script = SmtpScript(answers={"DOT": [*[""] * 20, *[STALL] * 9]})
    some = asyncio.Event()

    def stop_after(_message: StoredMessage) -> None:
        if len(script.messages) == 20:
            some.set()

    script.on_message = stop_after
    journal = CheckingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=3)
        delivering = asyncio.create_task(destination.deliver(MANY, journal))
        await some.wait()
        delivering.cancel()
        await asyncio.wait([delivering], timeout=2)
        assert delivering.cancelled()
        assert asyncio.all_tasks() - script.tasks == {asyncio.current_task()}
        await destination.close()

    assert len(journal.intended - journal.outcomes.keys()) <= 3
    assert len(_arrived(script)) == len(script.messages) < 30


@pytest.mark.parametrize("direction", ["sent", "received"])
@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelining", "lock-step"])
async def test_a_cut_of_the_first_link_anywhere_leaves_the_truth(
    extensions: tuple[str, ...], direction: str
) -> None:
    """Stored means receipt or in doubt, at most one is in doubt, and nothing is stored twice."""
    parcels = MANY[:30]
    doubtful = 0
    for octets in range(0, 5_000, 61):
        script = SmtpScript(extensions)
        setattr(script, f"cut_after_{direction}", octets)
        journal = CheckingJournal()
        async with script.on_tcp() as port:
            destination = make_smtp(port, connections=3)
            with suppress(DestinationUnavailable):
                await destination.deliver(parcels, journal)
            await destination.close()
        outcomes = {key.message.unique_id: kind_of(o) for key, o in journal.outcomes.items()}
        stored = Counter(b"u" + message.data.split()[3] for message in script.messages)
        receipts = {name for name, kind in outcomes.items() if kind == "receipt"}
        doubts = {name for name, kind in outcomes.items() if kind == "DeliveryInDoubt"}
        assert stored.keys() <= receipts | doubts
        assert receipts <= stored.keys()
        assert len(doubts) <= 1
        assert stored.total() == len(stored)
        assert journal.most_open <= 3
        assert journal.intended <= journal.outcomes.keys()
        doubtful += len(doubts)
    assert doubtful > 1


async def test_a_helper_comes_too_late_when_others_have_taken_the_connections() -> None:
    """Two accounts begin at once; neither waits for a connection that the other one has."""
    script = SmtpScript()
    first, second = CheckingJournal(), CheckingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=3)
        await asyncio.gather(
            destination.deliver(MANY[:30], first), destination.deliver(MANY[30:], second)
        )
        await destination.close()

    assert first.kinds() == second.kinds() == ["receipt"] * 30
    assert len(script.sessions) == 3


async def test_a_connection_that_another_batch_gives_back_is_used_at_once() -> None:
    """The rest of a long batch does not go over one link alone because it began so."""
    script = SmtpScript()
    short, long = WaitingJournal(), CheckingJournal()

    def let_go_after(_message: StoredMessage) -> None:
        if len(script.messages) == 10:
            short.may_go.set()

    script.on_message = let_go_after
    async with script.on_tcp() as port:
        destination = make_smtp(port, connections=2)
        delivering = asyncio.create_task(destination.deliver(MANY[:1], short))
        await short.asked.wait()
        await destination.deliver(MANY[1:], long)
        await delivering
        await destination.close()

    assert short.kinds() + long.kinds() == ["receipt"] * len(MANY)
    assert min(session.commands.count("DATA") for session in script.sessions) > 5
    assert len(script.sessions) == 2


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelining", "lock-step"])
async def test_a_stop_finishes_what_is_in_hand_and_begins_nothing(
    extensions: tuple[str, ...],
) -> None:
    """Each link has one message in hand, and one whose envelope rode along; the rest can wait."""
    script, links = SmtpScript(extensions), 3
    journal = CheckingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(
            port, connections=links, stopping=lambda: len(script.messages) >= 9
        )
        await destination.deliver(MANY, journal)
        await destination.close()

    assert 9 <= len(script.messages) <= 9 + 2 * links
    assert journal.kinds() == ["receipt"] * len(script.messages)
