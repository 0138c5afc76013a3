"""What a relay gets to see of odd messages: envelope, size, header, and how often."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from popsync.destinations.smtp import SmtpDestination, SmtpSettings
from popsync.model import AccountId
from popsync.poll.header import format_loop_mark, make_loop_mark
from popsync.poll.policy import Account
from popsync.wire.smtp.reverse_path import find_reverse_path
from tests.doubles.smtp_script import SmtpScript, StoredMessage
from tests.odd_servers.form import make_mail
from tests.odd_servers.harness import Bench, open_bench
from tests.odd_servers.server import Mail, OddServer, Turn

JANE = ("jane@example.org",)
BODY = b"Subject: a\r\n\r\nHello.\r\n"
OWN_MARK = make_loop_mark("token", AccountId("jane@127.0.0.1"))
NOBODY, JOE = "", "joe@example.net"
RETURN_PATHS = {
    "strict": (b"Return-Path: <joe@example.net>\r\n", JOE),
    "spelt otherwise": (b"return-PATH : <joe@example.net> \r\n", JOE),
    "null": (b"Return-Path: <>\r\n", NOBODY),
    "missing": (b"", NOBODY),
    "several": (b"Return-Path: <joe@example.net>\r\n" * 2, NOBODY),
    "folded": (b"Return-Path:\r\n <joe@example.net>\r\n", NOBODY),
    "bare CR": (b"Return-Path: <joe\r@example.net>\r\n", NOBODY),
    "a command behind": (b"Return-Path: <joe@example.net>\r\nRCPT TO:<eve@example.com>\r\n", JOE),
    "a command inside": (b"Return-Path: <joe@example.net>\rRCPT TO:<eve@example.com>\r\n", NOBODY),
    "a parameter": (b"Return-Path: <joe@example.net> SIZE=1\r\n", NOBODY),
    "bracket inside": (b"Return-Path: <joe>x@example.net>\r\n", NOBODY),
    "space inside": (b"Return-Path: <jo e@example.net>\r\n", NOBODY),
    "NUL inside": (b"Return-Path: <joe\0@example.net>\r\n", NOBODY),
    "8-bit": (b"Return-Path: <j\xf6e@example.net>\r\n", NOBODY),
    "long": (b"Return-Path: <%s@example.net>\r\n" % (b"j" * 2048), NOBODY),
    "no brackets": (b"Return-Path: joe@example.net\r\n", NOBODY),
    "a source route": (b"Return-Path: <@a.example,@b.example:joe@example.net>\r\n", NOBODY),
    "below Received": (b"Received: by a\r\nReturn-Path: <joe@example.net>\r\n", NOBODY),
    "in the body": (b"X: 1\r\n\r\nReturn-Path: <joe@example.net>\r\n", NOBODY),
}


async def _relay(
    script: SmtpScript,
    server: OddServer,
    directory: Path,
    *,
    polls: int = 2,
    account: dict[str, object] | None = None,
) -> Bench:
    """Poll ``server`` into ``script`` so many times; give the bench for what it has noted."""

    def adapt(plain: Account) -> Account:
        return replace(plain, **(account or {}))  # type: ignore[arg-type]

    async with script.on_tcp() as port:
        relay = SmtpDestination("relay", SmtpSettings(host="127.0.0.1", port=port))
        async with open_bench(
            server, directory, destination=relay, recipients=JANE, adapt=adapt
        ) as bench:
            for _ in range(polls):
                await bench.poll()
        await relay.close()
    return bench


async def test_the_reverse_path_is_one_strict_address_or_null(tmp_path: Path) -> None:
    """One MAIL a message, nothing of a header becomes a command, and nothing is repaired."""
    mail = {n: Mail(n.encode(), head + BODY) for n, (head, _) in RETURN_PATHS.items()}
    script = SmtpScript()
    await _relay(
        script,
        OddServer(list(mail.values())),
        tmp_path,
        account={"find_reverse_path": find_reverse_path},
    )

    named = Counter((message.data, message.reverse_path) for message in script.messages)
    mended = {n: re.sub(rb"\r(?!\n)", b"\r\n", message.octets) for n, message in mail.items()}
    assert named == Counter((mended[n], path) for n, (_, path) in RETURN_PATHS.items())
    verbs = Counter(command.split(" ")[0] for command in script.commands)
    each = len(RETURN_PATHS)
    assert {verb: verbs[verb] for verb in ("MAIL", "RCPT", "DATA")} == dict.fromkeys(
        ("MAIL", "RCPT", "DATA"), each
    )
    assert verbs.keys() <= {"EHLO", "NOOP", "MAIL", "RCPT", "DATA", "QUIT"}


async def test_recipients_are_those_of_the_configuration(tmp_path: Path) -> None:
    """Nobody is guessed from any header, however it is called."""
    names = (
        "To Cc Bcc Resent-To Resent-Cc Resent-Bcc Delivered-To X-Original-To Envelope-To "
        "X-Envelope-To Apparently-To X-Rcpt-To Reply-To Errors-To Sender"
    )
    head = b"".join(b"%s: eve@example.com\r\n" % name.encode() for name in names.split())
    script = SmtpScript()
    await _relay(script, OddServer([Mail(b"1", head + BODY)]), tmp_path)

    assert [message.recipients for message in script.messages] == [JANE]
    assert [c for c in script.commands if c.startswith("RCPT")] == ["RCPT TO:<jane@example.org>"]


async def test_what_is_refused_makes_nobody_mail(tmp_path: Path) -> None:
    """Neither the sender nor a postmaster hears of it: no bounce, and none of a bounce."""
    mail = [
        Mail(b"%d" % n, b"Return-Path: <%s>\r\n" % path + BODY)
        for n, path in enumerate((b"joe@example.net", b""))
    ]
    script = SmtpScript(answers={"DOT": ["550 no"] * 99})
    await _relay(
        script,
        OddServer(mail),
        tmp_path,
        polls=5,
        account={"find_reverse_path": find_reverse_path},
    )

    assert script.messages == []
    assert {c for c in script.commands if c.startswith("RCPT")} == {"RCPT TO:<jane@example.org>"}
    paths = {c.split(" ")[1] for c in script.commands if c.startswith("MAIL")}
    assert paths == {"FROM:<joe@example.net>", "FROM:<>"}
    # One hour, six hours and a day after the first refusal, and then no more.
    assert sum(c.startswith("MAIL") for c in script.commands) <= 2 * 4


def _half(turn: Turn) -> bytes | None:
    if turn.line.upper() != b"LIST":
        return None
    rows = [b"%d %d" % (n, len(m.octets) // 2) for n, m in enumerate(turn.server.mail, 1)]
    return b"+OK\r\n" + b"\r\n".join(rows) + b"\r\n.\r\n"


async def test_size_is_counted_and_not_taken_from_the_list(tmp_path: Path) -> None:
    """A server that lists half of each size does not make a relay be told half."""
    mail = [make_mail("a"), make_mail("b", b"Line.\r\n.dot\r\n"), make_mail("c", b"bare\nlf\r\n")]
    script = SmtpScript(extensions=("SIZE 100000",))
    await _relay(script, OddServer(mail, _half), tmp_path, polls=5)

    assert len(script.messages) == 3
    told = [message.mail.partition(" SIZE=")[2] for message in script.messages]
    assert told == [str(len(message.data)) for message in script.messages]


FIRST_LINES = {
    "field": (b"Subject: a\r\n", b""),
    "empty": (b"\r\n", b""),
    "mbox": (b"From joe@example.net Sat Nov 28 00:00:00 2026\r\n", b"\r\n"),
    "continuation": (b" folded\r\n", b"\r\n"),
    "text": (b"just text\r\n", b"\r\n"),
    "a dot": (b".\r\n", b"\r\n"),
    "a colon": (b": no name\r\n", b"\r\n"),
}


@pytest.mark.parametrize("name", FIRST_LINES)
async def test_a_header_in_front_leaves_the_message_what_it_was(name: str, tmp_path: Path) -> None:
    """What begins with no field does not become part of ours: an empty line keeps it apart."""
    line, between = FIRST_LINES[name]
    octets = line + BODY
    trace = b"Received: from a by b with POP3\r\n"
    script = SmtpScript()
    await _relay(
        script,
        OddServer([Mail(b"1", octets)]),
        tmp_path,
        account={"trace": lambda _name, _at: trace},
    )

    assert [message.data for message in script.messages] == [trace + between + octets]


async def test_a_message_that_too_many_servers_have_received_is_held(tmp_path: Path) -> None:
    """Fifty are borne, the fifty-first is not; the other messages are delivered."""
    looped, near, other = (
        Mail(b"%d" % times, b"Received: by a\r\n" * times + BODY) for times in (51, 50, 0)
    )
    server = OddServer([looped, near, other])
    script = SmtpScript()
    await _relay(script, server, tmp_path, polls=4)

    assert {message.data for message in script.messages} == {near.octets, other.octets}
    assert server.mail == [looped]


async def test_what_the_relay_sends_back_is_not_sent_on_again(tmp_path: Path) -> None:
    """The relay forwards to the very maildrop: the message comes round once, and is held."""
    server = OddServer([Mail(b"first", BODY), make_mail("other")])
    script = SmtpScript()

    def forward(message: StoredMessage) -> None:
        back = b"Received: by the relay\r\n" + message.data
        server.mail.append(Mail(b"round-%d" % len(script.messages), back))

    script.on_message = forward
    bench = await _relay(script, server, tmp_path, polls=6, account={"loop_mark": OWN_MARK})

    assert len(script.messages) == 2
    assert sorted(mail.unique_id for mail in server.mail) == [b"round-1", b"round-2"]
    assert any("loop" in str(getattr(event, "error", "")) for event in bench.events)


async def test_nobody_can_have_a_message_held_by_forging_the_mark(tmp_path: Path) -> None:
    """Only the ledger's own secret makes the mark of an account."""
    marks = ["", "0" * 32, make_loop_mark("", AccountId("jane@127.0.0.1"))]
    marks.append(make_loop_mark("token", AccountId("joe@127.0.0.1")))
    mail = [Mail(b"%d" % n, format_loop_mark(mark) + BODY) for n, mark in enumerate(marks)]
    server, script = OddServer(mail), SmtpScript()
    await _relay(script, server, tmp_path, account={"loop_mark": OWN_MARK})

    assert len(script.messages) == len(marks)
    assert server.mail == []
