from base64 import b64encode

import pytest

from popsync.destinations.relay.dialogue import Dialogue
from popsync.destinations.relay.login import Login, log_in
from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.errors import (
    DeadlineExceeded,
    DestinationMisconfigured,
    DestinationUnavailable,
    SecretUnavailable,
)
from popsync.net.replay import ReplayStream
from popsync.net.tls import TlsOptions
from popsync.wire.smtp.extensions import Extensions
from tests.doubles.smtp_script import CLOSE, STALL, Answer, Raw, SmtpScript
from tests.servers.certificates import Certificate, issue_certificate
from tests.unit.destinations.relaying import (
    HASTY,
    RecordingJournal,
    make_parcel,
    make_smtp,
)

PASSWORD = "s3cret pässword"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1 and its authority."""
    return issue_certificate(tmp_path_factory.mktemp("tls"))


async def fail_to_open(
    script: SmtpScript, *, password: str | None = None, tls: TlsOptions | None = None
) -> DestinationUnavailable:
    """Give the error that both ready and deliver raise; nothing is delivered."""
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port, password=password, user="jane", deadlines=HASTY, tls=tls)
        with pytest.raises(DestinationUnavailable) as caught:
            await destination.deliver([make_parcel(1)], journal)

    assert journal.records == []
    assert script.messages == []
    assert not any(command.startswith("MAIL") for command in script.commands)
    assert PASSWORD not in str(caught.value)
    assert str(caught.value).startswith("destination 'local': ")
    return caught.value


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("GREETING", "421 too busy"),
        ("GREETING", "554 no service"),
        ("GREETING", "250 hello"),
        ("GREETING", "-ERR this is POP3"),
        ("GREETING", "* OK IMAP4rev1"),
        ("GREETING", CLOSE),
        ("GREETING", Raw(b"22", close=True)),
        ("GREETING", STALL),
        ("EHLO", "421 too busy"),
        ("EHLO", "451 later"),
        ("EHLO", "354 what"),
        ("EHLO", CLOSE),
        ("EHLO", STALL),
        ("EHLO", "250 script\r\n250 and more"),
    ],
)
async def test_trouble_before_mail_is_never_a_messages_fault(step: str, answer: Answer) -> None:
    """Greeting and EHLO say something of the server only, and it may be better later."""
    error = await fail_to_open(SmtpScript(answers={step: [answer]}))

    assert error.temporary


async def test_nobody_listening_is_temporary() -> None:
    """The MTA may be restarting."""
    async with SmtpScript().on_tcp() as port:
        pass
    with pytest.raises(DestinationUnavailable, match="refused") as caught:
        await make_smtp(port).ready()

    assert caught.value.temporary


@pytest.mark.parametrize("answer", ["502 what", "500-what\r\n500 is that"])
async def test_a_server_without_ehlo_is_greeted_with_helo(answer: str) -> None:
    """And then has no extensions, whatever it said before."""
    script = SmtpScript(answers={"EHLO": [answer], "HELO": ["250-script\r\n250 PIPELINING"]})
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        destination = make_smtp(port)
        await destination.deliver([make_parcel(1), make_parcel(2)], journal)
        await destination.close()

    assert script.commands[:3] == [
        "EHLO client.example",
        "HELO client.example",
        "MAIL FROM:<joe@example.net>",
    ]
    assert b".\r\nMAIL" in bytes(script.sessions[0].received)
    assert journal.kinds() == ["receipt", "receipt"]


async def test_a_deadline_counts_from_the_question() -> None:
    """However little of a reply is there already."""
    with pytest.raises(DeadlineExceeded, match="no whole reply"):
        await Dialogue(ReplayStream([b"220-x\r\n"])).receive(timeout_s=0)


async def test_a_server_that_knows_neither_ehlo_nor_helo_is_unavailable() -> None:
    """Its second refusal is reported."""
    script = SmtpScript(answers={"EHLO": ["500 what"], "HELO": ["501 still no"]})

    assert "HELO was answered 501 still no" in str(await fail_to_open(script))


# -- STARTTLS --------------------------------------------------------------------------------


async def test_starttls_secures_all_that_follows(certificate: Certificate) -> None:
    """EHLO is said again, and the login comes after it (P7)."""
    script = SmtpScript(
        extensions=("STARTTLS", "AUTH PLAIN"),
        certificate=(certificate.chain_file, certificate.key_file),
    )
    journal = RecordingJournal()
    async with script.on_tcp() as port:
        tls = TlsOptions("starttls", str(certificate.ca_file))
        destination = make_smtp(port, tls=tls, user="jane", password=PASSWORD)
        await destination.deliver([make_parcel(1)], journal)
        await destination.close()

    assert [c.split()[0] for c in script.commands[:4]] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]
    assert script.sessions[0].secured
    assert journal.kinds() == ["receipt"]


@pytest.mark.parametrize(
    ("extensions", "answer"),
    [
        (("AUTH PLAIN",), ""),
        (("STARTTLS", "AUTH PLAIN"), "454 not now"),
        (("STARTTLS", "AUTH PLAIN"), "501 no"),
        (("STARTTLS", "AUTH PLAIN"), "250 fine"),
        (("STARTTLS", "AUTH PLAIN"), "220 go\r\n250 injected"),
        (("STARTTLS", "AUTH PLAIN"), STALL),
        (("STARTTLS", "AUTH PLAIN"), CLOSE),
        (("STARTTLS", "AUTH PLAIN"), Raw(b"220 go\r\n", close=True)),
    ],
)
async def test_without_tls_nothing_goes_on(extensions: tuple[str, ...], answer: Answer) -> None:
    """Missing, refused, stalled or followed by plaintext: no login and no mail in clear (P7)."""
    script = SmtpScript(extensions=extensions, answers={"STARTTLS": [answer]})
    error = await fail_to_open(script, password=PASSWORD, tls=TlsOptions("starttls"))

    assert error.temporary or "injected" in str(answer)
    assert ("STARTTLS" in script.commands) == ("STARTTLS" in extensions)
    assert not any(command.startswith("AUTH") for command in script.commands)


async def test_a_certificate_that_does_not_verify_is_misconfiguration(
    certificate: Certificate,
) -> None:
    """Somebody has to look at it; trying again will not help."""
    script = SmtpScript(
        extensions=("STARTTLS",), certificate=(certificate.chain_file, certificate.key_file)
    )
    error = await fail_to_open(script, tls=TlsOptions("starttls"))

    assert isinstance(error, DestinationMisconfigured)


# -- AUTH ------------------------------------------------------------------------------------


async def log_in_to(script: SmtpScript, password: str = PASSWORD) -> list[str]:
    """Get ready with a password and give the commands after EHLO."""
    async with script.on_tcp() as port:
        destination = make_smtp(port, user="jane", password=password)
        await destination.ready()
        await destination.close()
    return script.commands[1:-1]


async def test_plain_goes_in_one_command() -> None:
    """User and password with the initial response (RFC 4954 §4)."""
    script = SmtpScript(extensions=("AUTH LOGIN PLAIN",))

    expected = b64encode(f"\0jane\0{PASSWORD}".encode()).decode()
    assert await log_in_to(script) == [f"AUTH PLAIN {expected}"]


async def test_a_long_password_goes_in_two_steps() -> None:
    """A command has 512 octets at most."""
    script = SmtpScript(extensions=("AUTH PLAIN",), answers={"AUTH": ["334 "]})

    assert await log_in_to(script, "p" * 500) == ["AUTH PLAIN", f"\0jane\0{'p' * 500}"]


@pytest.mark.parametrize(
    "challenges", [("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"), ("334", "334 ?")]
)
async def test_login_answers_two_challenges(challenges: tuple[str, str]) -> None:
    """What the challenges say does not matter, some servers send no base64."""
    first, second = challenges
    script = SmtpScript(
        extensions=("AUTH=LOGIN",), answers={"AUTH": [first], "RESPONSE": [second]}
    )

    assert await log_in_to(script) == ["AUTH LOGIN", "jane", PASSWORD]


@pytest.mark.parametrize(
    ("answers", "temporary"),
    [
        ({"AUTH": ["535 5.7.8 wrong"]}, False),
        ({"AUTH": ["534 weak"]}, False),
        ({"AUTH": ["454 later"]}, True),
        ({"AUTH": ["421 leaving"]}, True),
        ({"AUTH": ["250 fine"]}, True),
        ({"AUTH": ["334 again"]}, True),
        ({"AUTH": ["334"]}, True),
        ({"AUTH": [CLOSE]}, True),
        ({"AUTH": [STALL]}, True),
        ({"AUTH": ["335 odd"]}, True),
    ],
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_a_login_that_fails_says_whether_it_may_work_later(
    answers: dict[str, list[Answer]], mechanism: str, *, temporary: bool
) -> None:
    """Only a 5yz waits for somebody to change something; no answer is repeated."""
    final = list(answers["AUTH"])
    used = {"AUTH": final}
    if mechanism == "LOGIN":
        used = {"AUTH": ["334 a"], "RESPONSE": ["334 b", *final]}
    script = SmtpScript(extensions=(f"AUTH {mechanism}",), answers=used)
    error = await fail_to_open(script, password=PASSWORD)

    assert error.temporary == temporary


@pytest.mark.parametrize("challenge", ["235 in already", "334-a\r\n334 b", "535 no", "454 no"])
async def test_login_stops_at_an_answer_that_asks_for_nothing(challenge: str) -> None:
    """The password is not sent to a server that has not asked for it."""
    script = SmtpScript(extensions=("AUTH LOGIN",), answers={"AUTH": [challenge]})
    await fail_to_open(script, password=PASSWORD)

    assert PASSWORD not in script.commands


@pytest.mark.parametrize("extensions", [(), ("AUTH CRAM-MD5",)])
async def test_a_server_without_a_mechanism_of_ours_is_misconfiguration(
    extensions: tuple[str, ...],
) -> None:
    """It is named; the password is not asked for."""
    error = await fail_to_open(SmtpScript(extensions=extensions), password=PASSWORD)

    assert isinstance(error, DestinationMisconfigured)


@pytest.mark.parametrize("echo", [PASSWORD, b64encode(PASSWORD.encode()).decode()])
async def test_a_server_that_repeats_the_password_is_not_quoted(echo: str) -> None:
    """The secret would be in the log and in the ledger (P7)."""
    script = SmtpScript(extensions=("AUTH LOGIN",))
    script.answers = {"AUTH": ["334 a"], "RESPONSE": ["334 b", f"535 not {echo}"]}
    error = await fail_to_open(script, password=PASSWORD)

    assert echo not in str(error)
    assert "535" in str(error)


async def test_no_password_is_asked_for_where_it_would_be_seen() -> None:
    """Neither TLS nor this machine: the login stops before the secret is even read (P7)."""

    async def give() -> str:
        raise AssertionError

    dialogue = Dialogue(ReplayStream([], secured=False, loopback=False))
    dialogue.extensions = Extensions(auth=frozenset({"PLAIN"}))
    with pytest.raises(DestinationMisconfigured, match="without TLS"):
        await log_in(dialogue, Login("jane", give), timeout_s=1)


async def test_nul_in_a_password_is_misconfiguration() -> None:
    """It cannot be sent."""
    error = await fail_to_open(SmtpScript(extensions=("AUTH PLAIN",)), password="a\0b")

    assert isinstance(error, DestinationMisconfigured)


async def test_a_secret_that_is_not_there_comes_through_as_it_is() -> None:
    """It says nothing of the destination."""

    async def give() -> str:
        raise SecretUnavailable("pass: not unlocked")

    async with SmtpScript(extensions=("AUTH PLAIN",)).on_tcp() as port:
        settings = SmtpSettings(host="127.0.0.1", port=port, user="jane", password=give)
        destination = SmtpDestination("local", settings)
        with pytest.raises(SecretUnavailable):
            await destination.deliver([make_parcel(1)], RecordingJournal())


async def test_settings_show_neither_password_nor_who_gives_it() -> None:
    """A repr may land in a log."""

    async def give() -> str:
        return PASSWORD

    settings = SmtpSettings(host="mx", user="jane", password=give)

    assert "give" not in repr(settings)
