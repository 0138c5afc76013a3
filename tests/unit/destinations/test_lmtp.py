from pathlib import Path

import pytest

from popsync.errors import DestinationUnavailable, RecipientDeferred
from tests.doubles.smtp_script import CLOSE, LOOSE_END, STALL, Answer, SmtpScript
from tests.servers.programs import short_directory
from tests.unit.destinations.relaying import (
    HASTY,
    QUICK,
    RecordingJournal,
    make_lmtp,
    make_parcel,
)

THREE = ("a@x", "b@x", "c@x")
BOTH = pytest.mark.parametrize(
    "extensions", [("PIPELINING",), ()], ids=["pipelining", "lock-step"]
)


@BOTH
async def test_each_recipient_has_a_reply_of_its_own(extensions: tuple[str, ...]) -> None:
    """RFC 2033 §4.2: one reply each after the dot, in the order of the accepted recipients."""
    script = SmtpScript(
        lmtp=True,
        extensions=extensions,
        answers={"RCPT": ["", "550 unknown"], "DOT": ["250 a has it", "452 c is full"]},
    )
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_lmtp(port=port)
        await destination.deliver([make_parcel(1, to=THREE), make_parcel(2)], journal)
        await destination.close()

    assert sorted(journal.told()) == [
        ("u1", "a@x", "receipt"),
        ("u1", "b@x", "RecipientRejected"),
        ("u1", "c@x", "RecipientDeferred"),
        ("u2", "jane@example.org", "receipt"),
    ]
    assert script.commands[0] == "LHLO client.example"
    (error,) = [r.error for r in journal.refusals() if isinstance(r.error, RecipientDeferred)]
    assert str(error) == "destination 'local' refused the message for <c@x>: 452 c is full"


@BOTH
@pytest.mark.parametrize("silence", [STALL, CLOSE, "nonsense", "334 what"])
async def test_missing_replies_are_in_doubt_for_their_recipients_only(
    extensions: tuple[str, ...], silence: Answer
) -> None:
    """Those that were answered are settled."""
    script = SmtpScript(lmtp=True, extensions=extensions, answers={"DOT": ["", silence, silence]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_lmtp(port=port, deadlines=HASTY)
        with pytest.raises(DestinationUnavailable):
            await destination.deliver([make_parcel(1, to=THREE), make_parcel(2)], journal)

    assert journal.told() == [
        ("u1", "a@x", "receipt"),
        ("u1", "b@x", "DeliveryInDoubt"),
        ("u1", "c@x", "DeliveryInDoubt"),
    ]


async def test_421_to_one_recipient_defers_it_and_stops() -> None:
    """The replies that do not come any more are in doubt."""
    script = SmtpScript(lmtp=True, answers={"DOT": ["", "421 leaving"]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable):
            await make_lmtp(port=port).deliver([make_parcel(1, to=THREE)], journal)

    assert [kind for _, _, kind in journal.told()] == [
        "receipt",
        "RecipientDeferred",
        "DeliveryInDoubt",
    ]


async def test_421_to_the_last_recipient_leaves_no_doubt() -> None:
    """All replies are there, and the rest of the batch waits."""
    script = SmtpScript(lmtp=True, answers={"DOT": ["", "", "421 leaving"]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable, match="421 leaving"):
            await make_lmtp(port=port).deliver([make_parcel(1, to=THREE), make_parcel(2)], journal)

    assert journal.kinds() == ["receipt", "receipt", "RecipientDeferred"]


@BOTH
async def test_more_replies_than_recipients_end_the_session(extensions: tuple[str, ...]) -> None:
    """The next message is not taken for delivered by a reply that belongs to nothing."""
    script = SmtpScript(
        lmtp=True, extensions=extensions, answers={"DOT": ["250 stored\r\n250 and again"]}
    )
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable):
            await make_lmtp(port=port).deliver([make_parcel(1), make_parcel(2)], journal)

    assert journal.told()[0] == ("u1", "jane@example.org", "receipt")
    assert journal.kinds()[1:] in ([], ["DeliveryDeferred"])
    assert len(script.messages) == 1


async def test_lhlo_has_no_fallback() -> None:
    """A server that does not know it speaks something else."""
    script = SmtpScript(lmtp=True, answers={"EHLO": ["500 what"]})
    async with script.on_tcp() as port:
        with pytest.raises(DestinationUnavailable, match="LHLO was answered 500"):
            await make_lmtp(port=port).ready()

    assert script.commands == ["LHLO client.example"]


async def test_bare_line_ends_and_nul_are_kept() -> None:
    """LMTP hands over the octets as they came (P6)."""
    body = b"Subject: x\r\n\r\na\nb\rc\0d\r\n"
    script = SmtpScript(lmtp=True)
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        await make_lmtp(port=port).deliver([make_parcel(1, body)], journal)

    assert script.messages[0].data.endswith(body)


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r\n"])
@pytest.mark.parametrize("loose", [False, True], ids=["strict", "loose"])
async def test_nothing_can_be_smuggled(end: bytes, *, loose: bool) -> None:
    """Not even into a server that takes any line end for one."""
    pattern = LOOSE_END if loose else SmtpScript().end
    script = SmtpScript(lmtp=True, end=pattern)
    body = b"\r\nbefore" + end + b"MAIL FROM:<evil@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n\r\nafter" + end
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        await make_lmtp(port=port).deliver([make_parcel(1, body), make_parcel(2)], journal)

    assert len(script.messages) == 2
    assert journal.kinds() == ["receipt", "receipt"]


async def test_a_unix_socket_serves_as_well() -> None:
    """A bare local part is a recipient like any other."""
    script = SmtpScript(lmtp=True)
    journal = RecordingJournal()
    with short_directory() as directory:
        async with script.on_unix(directory / "lmtp") as path:
            destination = make_lmtp(socket=path)
            await destination.ready()
            await destination.deliver([make_parcel(1, to=("jane",))], journal)
            await destination.close()

    assert script.messages[0].recipients == ("jane",)
    assert journal.kinds() == ["receipt"]


async def test_a_socket_that_is_not_there_is_temporary(tmp_path: Path) -> None:
    """The server may be restarting; the text names the socket."""
    path = str(tmp_path / "none")
    with pytest.raises(DestinationUnavailable, match="none") as caught:
        await make_lmtp(socket=path, deadlines=QUICK).ready()

    assert caught.value.temporary
