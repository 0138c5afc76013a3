from collections.abc import Sequence

import pytest

from popsync.errors import DestinationUnavailable, LedgerUnavailable, RecipientRejected
from popsync.model import DeliveryState, Intent, Outcome, Parcel, Receipt
from popsync.wire.smtp.body import MAX_BLOCK_OCTETS, encode_blocks
from tests.doubles.smtp_script import LOOSE_END, SmtpScript
from tests.unit.destinations.relaying import (
    FALSE_ENDS,
    RecordingJournal,
    make_parcel,
    make_smtp,
    smuggle,
)

PIPELINED = ("PIPELINING", "8BITMIME", "SIZE 0")
BOTH = pytest.mark.parametrize("extensions", [PIPELINED, ()], ids=["pipelining", "lock-step"])


async def deliver(
    script: SmtpScript, parcels: Sequence[Parcel], journal: RecordingJournal | None = None
) -> RecordingJournal:
    """Deliver ``parcels`` to ``script`` and part from it."""
    journal = journal or RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        await destination.deliver(parcels, journal)
        await destination.close()
    return journal


@BOTH
async def test_messages_arrive_in_order_each_with_its_header_in_front(
    extensions: tuple[str, ...],
) -> None:
    """One connection, one transaction a message, one receipt each in the server's own words."""
    script = SmtpScript(extensions=extensions)
    journal = await deliver(script, [make_parcel(n) for n in (1, 2, 3)])

    assert [m.data for m in script.messages] == [
        b"X-Trace: 1\r\nSubject: %d\r\n\r\nhello\r\n" % n for n in (1, 2, 3)
    ]
    assert journal.kinds() == ["receipt"] * 3
    assert [o.reply for o in journal.outcomes.values() if isinstance(o, Receipt)] == [
        "250 stored"
    ] * 3
    assert len(script.sessions) == 1
    assert script.commands[-1] == "QUIT"


@BOTH
async def test_each_dot_waits_for_the_commit_that_announces_it(
    extensions: tuple[str, ...],
) -> None:
    """Intent n+1 is durable together with outcome n, before the server stores n+1 (P2, P4)."""
    stored_at_record: list[int] = []
    script = SmtpScript(extensions=extensions)
    journal = RecordingJournal(lambda: stored_at_record.append(len(script.messages)))
    await deliver(script, [make_parcel(n) for n in (1, 2, 3)], journal)

    assert [
        ([o.delivery.message.unique_id for o in settled], [i.message.unique_id for i in intents])
        for settled, intents in journal.records
    ] == [([], [b"u1"]), ([b"u1"], [b"u2"]), ([b"u2"], [b"u3"]), ([b"u3"], [])]
    assert stored_at_record == [0, 1, 2, 3]
    assert {i.state for _, intents in journal.records for i in intents} == {DeliveryState.DOT_SENT}


async def test_with_pipelining_the_next_envelope_rides_with_the_dot() -> None:
    """MAIL, RCPT and DATA of the next message leave in the same write as the dot (P8)."""
    script = SmtpScript()
    await deliver(script, [make_parcel(n) for n in (1, 2)])

    assert b"\r\n.\r\nMAIL FROM" in bytes(script.sessions[0].received)


@pytest.mark.parametrize("refused_at", [1, 2, 3])
async def test_a_journal_that_fails_keeps_the_dot_back(refused_at: int) -> None:
    """The dot that was not announced is not sent, nothing more is recorded, the error comes."""
    calls = iter(range(1, 9))

    def fail() -> None:
        if next(calls) == refused_at:
            raise LedgerUnavailable("disk full")

    script = SmtpScript()
    journal = RecordingJournal(fail)
    with pytest.raises(LedgerUnavailable):
        await deliver(script, [make_parcel(n) for n in (1, 2, 3)], journal)

    assert len(script.messages) == refused_at - 1
    assert len(journal.records) == refused_at - 1


async def test_a_dot_stays_back_while_the_journal_is_busy() -> None:
    """While the commit is awaited all but the last block is on its way, the dot is not."""
    script = SmtpScript()
    large = make_parcel(1, b"Subject: 1\r\n\r\n" + b"line\r\n" * 40_000)
    seen: list[tuple[bool, int]] = []

    class SlowJournal(RecordingJournal):
        async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
            while intents and len(script.sessions[0].received) < 3 * MAX_BLOCK_OCTETS // 2:
                await script.arrived()
            seen.append((b"\r\n.\r\n" in script.sessions[0].received, script.dots))
            await super().record(settled, intents)

    await deliver(script, [large], SlowJournal())

    assert seen == [(False, 0), (True, 1)]


@BOTH
async def test_recipients_are_answered_each_for_itself(extensions: tuple[str, ...]) -> None:
    """A refused one does not touch the others, and the data go to those accepted only."""
    words = {"no@x.example": "550 5.1.1 unknown", "later@x.example": "450 try later"}
    script = SmtpScript(extensions=extensions, refuse=lambda r: words.get(r, ""))
    to = ("a@x.example", "no@x.example", "later@x.example", "b@x.example")
    journal = await deliver(script, [make_parcel(1, to=to), make_parcel(2)])

    assert script.messages[0].recipients == ("a@x.example", "b@x.example")
    assert sorted(journal.told()) == [
        ("u1", "a@x.example", "receipt"),
        ("u1", "b@x.example", "receipt"),
        ("u1", "later@x.example", "RecipientDeferred"),
        ("u1", "no@x.example", "RecipientRejected"),
        ("u2", "jane@example.org", "receipt"),
    ]
    assert journal.intended == {
        key for key, o in journal.outcomes.items() if isinstance(o, Receipt)
    }
    (error,) = [r.error for r in journal.refusals() if isinstance(r.error, RecipientRejected)]
    assert str(error) == ("destination 'local' refused RCPT TO:<no@x.example>: 550 5.1.1 unknown")


@BOTH
async def test_nobody_accepted_means_no_data_and_a_clean_next_transaction(
    extensions: tuple[str, ...],
) -> None:
    """All recipients refused: RSET, and the next message is delivered as if nothing had been."""
    script = SmtpScript(
        extensions=extensions, refuse=lambda r: "550 no" if r.startswith("no") else ""
    )
    parcels = [make_parcel(1, to=("no@x", "none@x")), make_parcel(2)]
    journal = await deliver(script, parcels)

    assert journal.kinds() == ["RecipientRejected", "RecipientRejected", "receipt"]
    assert script.dots == 1
    assert "RSET" in script.commands
    if not extensions:
        assert script.commands.count("DATA") == 1


async def test_an_idle_link_is_left_without_a_half_made_transaction() -> None:
    """The RSET comes before the link goes idle, not with the next batch."""
    script = SmtpScript(refuse=lambda _: "550 no")
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        await destination.deliver([make_parcel(1)], RecordingJournal())

        assert script.commands[-1] == "RSET"
        await destination.close()


async def test_data_invited_for_nobody_is_ended_by_a_lone_dot() -> None:
    """RFC 2920 §3.1: a pipelined DATA may get 354 though every recipient was refused."""
    script = SmtpScript(answers={"RCPT": ["550 no"], "DATA": ["354 go on"]})
    journal = await deliver(script, [make_parcel(1), make_parcel(2)])

    assert journal.kinds() == ["RecipientRejected", "receipt"]
    assert script.dots == 2
    assert [m.data.splitlines()[1] for m in script.messages] == [b"Subject: 2"]


@BOTH
@pytest.mark.parametrize(
    ("step", "answer", "kind"),
    [
        ("MAIL", "451 busy", "DeliveryDeferred"),
        ("MAIL", "552 too big", "DeliveryRejected"),
        ("RCPT", "452 too many", "RecipientDeferred"),
        ("RCPT", "550 unknown", "RecipientRejected"),
        ("DATA", "451 busy", "DeliveryDeferred"),
        ("DATA", "554 no", "DeliveryRejected"),
        ("DOT", "452 full", "DeliveryDeferred"),
        ("DOT", "552 5.3.4 too big", "DeliveryRejected"),
        ("DOT", "550-5.7.1 spam\r\n550 5.7.1 go away", "DeliveryRejected"),
    ],
)
async def test_one_refused_message_does_not_stop_the_others(
    extensions: tuple[str, ...], step: str, answer: str, kind: str
) -> None:
    """Whatever the step, the refusal is the second message's own; ten are settled (P5)."""
    script = SmtpScript(extensions=extensions, answers={step: ["", answer]})
    journal = await deliver(script, [make_parcel(n) for n in range(10)])

    assert journal.kinds() == ["receipt", kind, *["receipt"] * 8]
    assert len(script.messages) == 9
    assert len(script.sessions) == 1
    assert answer[:3] in str(journal.refusals()[0].error)


@BOTH
@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_421_before_the_dot_defers_the_message_and_stops(
    extensions: tuple[str, ...], step: str
) -> None:
    """The server leaves: the rest waits, and this one lets it go first the next time (P5)."""
    script = SmtpScript(extensions=extensions, answers={step: ["421 leaving"]})
    journal = RecordingJournal()
    with pytest.raises(DestinationUnavailable, match=r"'local'.*421 leaving") as caught:
        await deliver(script, [make_parcel(1), make_parcel(2)], journal)

    assert caught.value.temporary
    assert journal.told() == [("u1", "jane@example.org", "DeliveryDeferred")]


@BOTH
async def test_421_at_the_dot_defers_the_message_and_stops(extensions: tuple[str, ...]) -> None:
    """It was announced to the journal, so it gets its outcome; the rest waits."""
    script = SmtpScript(extensions=extensions, answers={"DOT": ["", "421 leaving"]})
    journal = RecordingJournal()
    with pytest.raises(DestinationUnavailable, match="421 leaving"):
        await deliver(script, [make_parcel(n) for n in (1, 2, 3)], journal)

    assert journal.kinds() == ["receipt", "DeliveryDeferred"]


@BOTH
@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("MAIL", "354 what"),
        ("RCPT", "334 what"),
        ("DATA", "250 taken already"),
        ("DATA", "334 what"),
        ("MAIL", "99 bottles"),
        ("DATA", "nonsense"),
        ("DATA", "354 go on\r\n250 one too many"),
    ],
)
async def test_a_reply_that_makes_no_sense_ends_the_session_before_any_dot(
    extensions: tuple[str, ...], step: str, answer: str
) -> None:
    """Replies out of step may belong to other commands, so none refuses for good or accepts."""
    script = SmtpScript(extensions=extensions, answers={step: [answer]})
    journal = RecordingJournal()
    with pytest.raises(DestinationUnavailable):
        await deliver(script, [make_parcel(1), make_parcel(2)], journal)

    assert journal.told() == [("u1", "jane@example.org", "DeliveryDeferred")]
    assert script.messages == []


@BOTH
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_after_three_rejections_in_a_row_the_rest_waits(
    extensions: tuple[str, ...], step: str
) -> None:
    """A server that is set up wrongly must not have a thousand messages held."""
    script = SmtpScript(extensions=extensions, answers={step: ["550 never"] * 1000})
    journal = RecordingJournal()
    with pytest.raises(DestinationUnavailable, match=r"refuses every message: .*550 never"):
        await deliver(script, [make_parcel(n) for n in range(1000)], journal)

    assert len(journal.refusals()) == 3
    assert {uid for uid, _, _ in journal.told()} == {"u0", "u1", "u2"}


@BOTH
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_after_three_deferrals_in_a_row_the_rest_waits(
    extensions: tuple[str, ...], step: str
) -> None:
    """A server that has no room now is not sent a thousand messages in vain."""
    script = SmtpScript(extensions=extensions, answers={step: ["452 no room"] * 1000})
    journal = RecordingJournal()
    with pytest.raises(DestinationUnavailable, match=r"puts off every message: .*452 no room"):
        await deliver(script, [make_parcel(n) for n in range(1000)], journal)

    assert [uid for uid, _, _ in journal.told()] == ["u0", "u1", "u2"]
    assert len(journal.refusals()) == 3


@pytest.mark.parametrize("pardon", ["", "451 later"])
async def test_a_message_that_is_not_rejected_breaks_the_row(pardon: str) -> None:
    """Only rejections in a row count, and none once a message was accepted."""
    script = SmtpScript(answers={"MAIL": ["550 no", "550 no", pardon, "550 no", "550 no"]})
    journal = await deliver(script, [make_parcel(n) for n in range(6)])

    assert len(journal.told()) == 6


async def test_once_a_message_was_accepted_any_number_may_be_rejected() -> None:
    """Then the server works, and it is the messages that it does not want."""
    script = SmtpScript(answers={"MAIL": ["", *["550 no"] * 9]})
    journal = await deliver(script, [make_parcel(n) for n in range(10)])

    assert journal.kinds() == ["receipt", *["DeliveryRejected"] * 9]


# -- what is decided before MAIL -------------------------------------------------------------


async def test_what_exceeds_size_is_refused_without_asking() -> None:
    """The limit holds for header and content together; one octet less goes through."""
    octets = len(make_parcel(1).header) + make_parcel(1).content.octets
    for limit, kind in ((octets, "receipt"), (octets - 1, "DeliveryRejected")):
        script = SmtpScript(extensions=("PIPELINING", f"SIZE {limit}"))
        journal = await deliver(script, [make_parcel(1)])

        assert journal.kinds() == [kind]
        assert any(c.startswith("MAIL") for c in script.commands) == (kind == "receipt")


async def test_size_is_the_count_of_what_is_sent() -> None:
    """Mended line ends count, doubled dots do not (RFC 1870 §3)."""
    body = b"Subject: x\n\n.dot\nend"
    script = SmtpScript()
    await deliver(script, [make_parcel(1, body)])

    (message,) = script.messages
    assert f"SIZE={len(message.data)}" in message.mail


@pytest.mark.parametrize(
    ("extensions", "body", "parameter"),
    [
        (("8BITMIME",), b"\r\n\xe4\r\n", True),
        (("8BITMIME",), b"\r\na\r\n", False),
        ((), b"\r\n\xe4\r\n", False),
    ],
)
async def test_8bitmime_is_said_when_it_is_offered_and_needed(
    extensions: tuple[str, ...], body: bytes, *, parameter: bool
) -> None:
    """Where it is not offered the octets go as they are: never re-encoded (P6).

    Nobody is warned: a server that cannot take them says so, and who does not trust it to has
    ``require_8bitmime``.
    """
    script = SmtpScript(extensions=extensions)
    await deliver(script, [make_parcel(1, body)])

    (message,) = script.messages
    assert message.data.endswith(body)
    assert ("BODY=8BITMIME" in message.mail) == parameter
    assert "SIZE" not in message.mail


async def test_smtputf8_is_said_for_addresses_beyond_ascii_only() -> None:
    """A header beyond ASCII alone needs no parameter."""
    script = SmtpScript(extensions=("PIPELINING", "SMTPUTF8", "8BITMIME"))
    parcels = [
        make_parcel(1, "Subject: Grüße\r\n\r\n".encode()),
        make_parcel(2, to=("jörg@example.org",)),
        make_parcel(3, reverse_path="jörg@example.net"),
    ]
    await deliver(script, parcels)

    assert ["SMTPUTF8" in m.mail for m in script.messages] == [False, True, True]
    assert script.messages[1].recipients == ("jörg@example.org",)


async def test_without_smtputf8_an_address_beyond_ascii_is_refused_alone() -> None:
    """A recipient for itself; a reverse-path takes the message with it."""
    script = SmtpScript()
    parcels = [
        make_parcel(1, to=("jörg@example.org", "jane@example.org")),
        make_parcel(2, reverse_path="jörg@example.net"),
    ]
    journal = await deliver(script, parcels)

    assert sorted(journal.told()) == [
        ("u1", "jane@example.org", "receipt"),
        ("u1", "jörg@example.org", "RecipientRejected"),
        ("u2", "jane@example.org", "DeliveryRejected"),
    ]


async def test_nul_octets_are_sent_and_the_server_decides() -> None:
    """The common MTAs take them as they are; one that does not says so, and mail is held."""
    script = SmtpScript()
    journal = await deliver(script, [make_parcel(1, b"\r\na\0b\r\n")])

    assert journal.kinds() == ["receipt"]
    assert b"a\0b" in script.messages[0].data


async def test_addresses_that_are_none_are_refused_without_asking() -> None:
    """Whatever the configuration let through, no second command gets onto the wire."""
    script = SmtpScript()
    parcels = [
        make_parcel(1, to=("a@b\r\nRCPT TO:<evil@x>", "jane@example.org")),
        make_parcel(2, reverse_path="joe@x>\r\nRCPT TO:<evil@x"),
    ]
    journal = await deliver(script, parcels)

    assert sorted(kind for _, _, kind in journal.told()) == [
        "DeliveryRejected",
        "RecipientRejected",
        "receipt",
    ]
    assert b"evil" not in script.sessions[0].received


async def test_the_null_reverse_path_is_kept() -> None:
    """A bounce must not be answered by another."""
    script = SmtpScript()
    await deliver(script, [make_parcel(1, reverse_path="")])

    assert script.messages[0].mail.startswith("MAIL FROM:<>")


async def test_a_message_for_nobody_says_nothing() -> None:
    """No recipients left, no transaction."""
    script = SmtpScript()
    journal = await deliver(script, [make_parcel(1, to=())])

    assert journal.records == []
    assert script.commands == ["EHLO client.example", "QUIT"]


# -- the data --------------------------------------------------------------------------------


@pytest.mark.parametrize("end", FALSE_ENDS)
@pytest.mark.parametrize("loose", [False, True], ids=["strict", "loose"])
@BOTH
async def test_nothing_can_be_smuggled(
    extensions: tuple[str, ...], end: bytes, *, loose: bool
) -> None:
    """However the server reads line ends, it counts one message for one message."""
    pattern = LOOSE_END if loose else SmtpScript().end
    script = SmtpScript(extensions=extensions, end=pattern)
    body = smuggle(end)
    journal = await deliver(script, [make_parcel(1, body), make_parcel(2)])

    assert len(script.messages) == 2
    assert journal.kinds() == ["receipt", "receipt"]
    assert script.messages[0].data.endswith(b"QUIT\r\n")
    assert sum(command.startswith("MAIL") for command in script.commands) == 2


async def test_a_large_message_arrives_octet_by_octet_the_same() -> None:
    """Several blocks, several contents' pieces, a survey in a thread."""
    body = b"Subject: x\r\n\r\n" + b".line of text\r\n" * 200_000
    script = SmtpScript()
    await deliver(script, [make_parcel(1, body, piece_octets=99_991), make_parcel(2)])

    assert script.messages[0].data == b"X-Trace: 1\r\n" + body
    assert len(list(encode_blocks([body], normalise=True))) > 80


async def test_recovery_calls_every_open_dot_in_doubt() -> None:
    """Nobody can ask an SMTP server what became of a message."""
    parcel = make_parcel(1, to=("a@x", "b@x"))
    intent = Intent(parcel.message, "local", ("a@x", "b@x"), DeliveryState.DOT_SENT)
    destination = make_smtp(1)
    journal = RecordingJournal()
    await journal.record(await destination.recover([intent]), [])

    assert journal.told() == [
        ("u1", "a@x", "DeliveryInDoubt"),
        ("u1", "b@x", "DeliveryInDoubt"),
    ]
    assert destination.name == "local"
