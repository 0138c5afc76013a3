import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest

from popsync.destinations.relay.dialogue import Deadlines
from popsync.destinations.smtp import SmtpDestination
from popsync.errors import DeliveryInDoubt, DestinationUnavailable
from popsync.model import Receipt
from tests.doubles.smtp_script import CLOSE, DRIP, STALL, Answer, Raw, SmtpScript
from tests.unit.destinations.relaying import (
    HASTY,
    QUICK,
    RecordingJournal,
    make_parcel,
    make_smtp,
)

PARCELS = [
    make_parcel(1, to=("a@x", "b@x")),
    make_parcel(2, b"S: 2\n\n.\n", to=("a@x",)),
    make_parcel(3, to=("c@x",)),
]
DELIVERIES = {(p.message.unique_id, r) for p in PARCELS for r in p.envelope.recipients}
BOTH = pytest.mark.parametrize(
    "extensions", [("PIPELINING",), ()], ids=["pipelining", "lock-step"]
)
EVERYWHERE = range(10_000)


def check_truth(script: SmtpScript, journal: RecordingJournal) -> None:
    """Stored ⇔ receipt or in doubt; at most one message in doubt; no intent without outcome."""
    subjects = {bytes([48 + n]): b"u%d" % n for n in (1, 2, 3)}
    stored = Counter(
        (subjects[m.data.splitlines()[1][-1:]], recipient)
        for m in script.messages
        for recipient in m.recipients
    )
    receipts, doubts = set(), set()
    for key, outcome in journal.outcomes.items():
        row = (key.message.unique_id, key.recipient)
        if isinstance(outcome, Receipt):
            receipts.add(row)
        elif isinstance(outcome.error, DeliveryInDoubt):
            doubts.add(row)

    assert all(count == 1 for count in stored.values())
    assert receipts <= stored.keys() <= receipts | doubts
    assert len({unique_id for unique_id, _ in doubts}) <= 1
    assert journal.intended <= journal.outcomes.keys()
    assert len(journal.told()) == len(journal.outcomes)


async def deliver_cut(script: SmtpScript) -> RecordingJournal:
    """Deliver as far as it goes."""
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        with suppress(DestinationUnavailable):
            await destination.deliver(PARCELS, journal)
        await destination.close()
    return journal


@BOTH
@pytest.mark.parametrize("direction", ["sent", "received"])
async def test_a_cut_after_any_octet_leaves_the_truth(
    extensions: tuple[str, ...], direction: str
) -> None:
    """Whatever octet is the last one, what is said of each delivery is so (P2, P4)."""
    doubtful = 0
    for octets in EVERYWHERE:
        script = SmtpScript(extensions=extensions)
        setattr(script, f"cut_after_{direction}", octets)
        journal = await deliver_cut(script)
        check_truth(script, journal)
        doubtful += "DeliveryInDoubt" in journal.kinds()
        if script.commands[-1:] == ["QUIT"] and len(script.sessions) == 1:
            break
    else:
        pytest.fail("the cut never came too late")

    assert octets > 200
    assert doubtful > 20 if direction == "sent" else doubtful > 2
    assert {(k.message.unique_id, k.recipient) for k in journal.outcomes} == DELIVERIES


@BOTH
@pytest.mark.parametrize(
    "answer",
    [STALL, CLOSE, Raw(b"25", close=True), Raw(b"250 sto", close=True), "250_ok", "99 x", "354 x"],
)
async def test_a_lost_reply_to_the_dot_is_in_doubt(
    extensions: tuple[str, ...], answer: Answer
) -> None:
    """Timeout, end, garbage, half a reply: nobody knows, and the rest waits."""
    script = SmtpScript(extensions=extensions, answers={"DOT": ["", answer]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable):
            await make_smtp(port, deadlines=HASTY).deliver(PARCELS, journal)

    assert journal.kinds() == ["receipt", "receipt", "DeliveryInDoubt"]
    assert "reply to the final dot was lost" in str(journal.refusals()[0].error)


@BOTH
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_silence_before_the_dot_defers_the_message(
    extensions: tuple[str, ...], step: str
) -> None:
    """It was not delivered; perhaps the server cannot bear it, so the rest goes first (P5)."""
    script = SmtpScript(extensions=extensions, answers={step: [STALL]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable, match=r"0\.1 s"):
            await make_smtp(port, deadlines=HASTY).deliver(PARCELS, journal)

    assert journal.told() == [("u1", r, "DeliveryDeferred") for r in ("a@x", "b@x")]


async def test_a_reply_that_trickles_in_is_not_waited_for_for_ever() -> None:
    """The deadline is the whole reply's, not that of each octet."""
    ended = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(b"220-x\r\n")
                await writer.drain()
                await asyncio.sleep(HASTY.greeting_s / 5)
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(DestinationUnavailable, match=r"within|silent"):
        await make_smtp(port, deadlines=HASTY).ready()
    server.close()
    await ended.wait()


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        ("552 too big", ["DeliveryRejected"]),
        ("452 full", ["DeliveryDeferred"]),
        ("421 leaving", ["DeliveryDeferred"]),
        ("250 fine", ["DeliveryDeferred"]),
        ("354 what", ["DeliveryDeferred"]),
        ("what", ["DeliveryDeferred"]),
        (CLOSE, ["DeliveryDeferred"]),
    ],
)
async def test_a_server_that_refuses_and_leaves_in_the_body_is_taken_at_its_word(
    answer: Answer, kinds: list[str]
) -> None:
    """No dot was sent, so a refusal is certain; a promise counts for nothing."""
    text = answer if isinstance(answer, Raw) else Raw(answer.encode() + b"\r\n", close=True)
    script = SmtpScript(answers={"MID-DATA": [text]})
    journal = RecordingJournal()
    large = make_parcel(1, b"\r\n" + b"x" * 70 * 1_000_000)
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable):
            await make_smtp(port).deliver([large, make_parcel(2)], journal)

    assert journal.kinds() == kinds
    assert script.messages == []


async def test_a_server_that_stops_reading_is_given_up() -> None:
    """Each block has its deadline; the message was not delivered."""
    script = SmtpScript(answers={"MID-DATA": [STALL]})
    journal = RecordingJournal()
    large = make_parcel(1, b"\r\n" + b"x" * 70 * 1_000_000)
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable, match="took nothing"):
            await make_smtp(port, deadlines=HASTY).deliver([large], journal)

    assert journal.kinds() == ["DeliveryDeferred"]


async def test_a_server_that_reads_drop_by_drop_is_given_up() -> None:
    """No block exceeds its deadline, but all of them together do."""
    script = SmtpScript(answers={"MID-DATA": [DRIP]})
    journal = RecordingJournal()
    large = make_parcel(1, b"\r\n" + b"x" * 70 * 1_000_000)
    deadlines = replace(QUICK, body_s=0.3, body_mib_s=0.0)
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable, match=r"too slowly|took nothing"):
            await make_smtp(port, deadlines=deadlines).deliver([large], journal)

    assert journal.kinds() == ["DeliveryDeferred"]
    assert script.messages == []


@pytest.mark.parametrize(
    ("octets", "seconds"), [(0, 180), (1 << 20, 1204), (3 << 20, 3252), (1 << 30, 3600)]
)
def test_a_body_may_take_as_long_as_it_is_large(octets: int, seconds: float) -> None:
    """1 KiB/s is slow enough, and an hour is the end."""
    assert Deadlines().for_body(octets) == seconds


async def test_a_cancelled_delivery_still_tells_what_it_knows() -> None:
    """What was settled is recorded; the open dot is left to recovery (P4)."""
    script = SmtpScript()
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        parcels = [make_parcel(1), make_parcel(2)]
        script.answers = {"MAIL": ["", STALL]}
        delivery = asyncio.create_task(destination.deliver(parcels, journal))
        while len(script.messages) == 0:
            await script.arrived()
        await _settle()
        delivery.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivery

    assert journal.kinds() == ["receipt"]


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


# -- links -----------------------------------------------------------------------------------


async def deliver_each(destination: SmtpDestination, *numbers: int) -> RecordingJournal:
    """Deliver messages in batches of one."""
    journal = RecordingJournal()
    for number in numbers:
        await destination.deliver([make_parcel(number)], journal)
    return journal


@BOTH
@pytest.mark.parametrize("answer", ["421 that is enough", CLOSE])
async def test_a_server_that_ends_the_session_between_messages_is_called_again(
    extensions: tuple[str, ...], answer: Answer
) -> None:
    """Before MAIL is answered nothing can be in doubt; a new connection goes on."""
    script = SmtpScript(extensions=extensions, answers={"MAIL": ["", answer, "", answer]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        await destination.deliver([make_parcel(n) for n in range(4)], journal)
        await destination.close()

    assert journal.kinds() == ["receipt"] * 4
    assert len(script.sessions) == 3


async def test_a_new_connection_that_fails_at_mail_is_not_called_again() -> None:
    """It has not shown that it works, so the destination is unavailable."""
    script = SmtpScript(answers={"MAIL": [CLOSE] * 5})
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable):
            await deliver_each(make_smtp(port), 1)

    assert len(script.sessions) == 1


async def test_an_idle_link_is_used_again_and_replaced_when_it_died() -> None:
    """One connection serves many batches; one that the server closed is noticed silently."""
    script = SmtpScript(answers={"RSET": [CLOSE]})
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        journal = await deliver_each(destination, 1, 2)
        assert len(script.sessions) == 1

        script.answers = {"MAIL": [CLOSE]}
        again = await deliver_each(destination, 3)
        await destination.close()

    assert journal.kinds() + again.kinds() == ["receipt"] * 3
    assert len(script.sessions) == 2


async def test_ready_asks_an_idle_link_and_replaces_a_dead_one() -> None:
    """A NOOP tells; a dead link is no reason to call the destination unavailable."""
    script = SmtpScript()
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        await destination.ready()
        await destination.ready()
        assert script.commands == ["EHLO client.example", "NOOP"]

        script.answers = {"NOOP": [CLOSE]}
        await destination.ready()
        script.answers = {"NOOP": ["500 what"]}
        await destination.ready()
        await destination.close()

    assert len(script.sessions) == 3


async def test_a_link_that_cannot_be_reset_is_dropped() -> None:
    """The next batch begins on a new one."""
    script = SmtpScript(answers={"RCPT": ["550 no"], "RSET": ["500 what"]})
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        journal = await deliver_each(destination, 1, 2)
        await destination.close()

    assert journal.kinds() == ["RecipientRejected", "receipt"]
    assert len(script.sessions) == 2


@BOTH
async def test_a_reset_that_is_refused_ends_the_session(extensions: tuple[str, ...]) -> None:
    """A transaction on top of another half-made one would go wrong."""
    script = SmtpScript(extensions=extensions, answers={"RCPT": ["550 no"], "RSET": ["500 what"]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable, match="RSET"):
            await make_smtp(port).deliver([make_parcel(1), make_parcel(2)], journal)

    assert journal.kinds() == ["RecipientRejected", "DeliveryDeferred"]
