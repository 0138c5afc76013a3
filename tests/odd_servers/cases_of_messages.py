"""Odd answers to RETR by name: what is sent in the place of a message, or behind it."""

from tests.doubles.pop3_script import Talk
from tests.odd_servers.form import ONE, THREE, TWO, Case, answer_verb, answers, make_mail
from tests.odd_servers.server import CLOSE, SILENCE, Answer, Mail, Oddity, Turn, stuff

# -- mail of odd shapes, sent as it should be ------------------------------------------------

SHAPES: dict[str, bytes] = {
    "lines-like-replies": b"+OK\r\n-ERR no\r\n+OK 3 100\r\n.\r\n",
    "dots": b".\r\n..\r\n...\r\n.x\r\n..x\r\n",
    "bare-line-feeds": b"a\nb\n.\nc\n.\r\nd\n\r\n",
    "a-dot-between-line-feeds": b"before\n.\nafter\r\n",
    "a-dot-line-in-line-feeds": b"before\n.\r\nafter\r\n",
    "bare-carriage-returns": b"a\rb\r.\rc\r\n",
    "carriage-return-before-line-ends": b"a\r\r\n.\r\r\nb\r\r\n",
    "line-feed-before-carriage-return": b"a\n\rb\n\r.\n\rc\r\n",
    "carriage-return-before-a-dot": b"a\r\n\r.\r\nb\r\n",
    "nul-octets": b"a\0b\r\n\0\r\n.\0\r\n",
    "eight-bit-octets": bytes(range(128, 256)) + b"\r\n",
    "a-line-of-a-megabyte": b"x" * 1_000_000 + b"\r\n+OK\r\n",
    "a-line-of-5000-octets-and-a-reply": b"x" * 5000 + b"\r\n+OK\r\n.\r\n",
    "no-line-at-all": b"",
}
HEADS: dict[str, bytes] = {
    "a-blank-line-first": b"\r\nSubject: too late\r\n\r\nBody.\r\n",
    "a-body-without-header": b"Body.\r\nMore.\r\n",
    "a-mailbox-line-first": b"From jane Mon Jan  1 00:00:00 2024\r\nSubject: x\r\n\r\nBody.\r\n",
    "a-continuation-first": b" folded\r\nSubject: x\r\n\r\nBody.\r\n",
    "nul-octets-in-the-header": b"Subject: a\0b\r\nX\0Y: z\r\n\r\nBody.\r\n",
    "one-octet": b"x\r\n",
}


def _well(mail: Mail) -> Case:
    return Case(lambda _turn: None, (ONE, mail, THREE))


_WELL_SENT = {
    **{f"message-with-{name}": _well(make_mail(name, body)) for name, body in SHAPES.items()},
    **{f"message-with-{name}": _well(Mail(b"uid-odd", head)) for name, head in HEADS.items()},
}

# -- one message, sent as it should not be ---------------------------------------------------

EARLY = make_mail("early", b"Before.\r\n.\r\nAfter.\r\n")
FORGING = make_mail("forging", b"Before.\r\n.\r\n+OK\r\nSubject: forged\r\n\r\nEvil.\r\n.\r\n")
UNDOUBLED = make_mail("undoubled", b"a\r\n.x\r\n..\r\nb\r\n")


def _is_about(mail: Mail, turn: Turn) -> bool:
    return turn.usual == b"+OK\r\n" + stuff(mail.octets) + b".\r\n"


def _sent_as_it_is(mail: Mail) -> Oddity:
    """Send a message without doubling its dots, whatever its number is by now."""

    def oddity(turn: Turn) -> bytes | None:
        return b"+OK\r\n" + mail.octets + b".\r\n" if _is_about(mail, turn) else None

    return oddity


def _rest_comes_late(mail: Mail) -> Oddity:
    """Send what is behind the false end only in front of the next reply."""
    late: dict[int, bytes] = {}

    def oddity(turn: Turn) -> bytes | None:
        if _is_about(mail, turn):
            first, end, rest = mail.octets.partition(b"\r\n.\r\n")
            late[turn.session] = rest + b".\r\n"
            return b"+OK\r\n" + first + end
        return late.pop(turn.session, b"") + turn.usual

    return oddity


def _never(answer: bytes) -> Case:
    """Give a case in which the second message is always answered so."""

    def oddity(turn: Turn) -> bytes | None:
        return answer if _is_about(TWO, turn) else None

    return Case(oddity, stays=(TWO,), missing=(TWO,))


def _spoilt(oddity: Oddity, mail: Mail) -> Case:
    """Give a case in which one message never arrives as it is."""
    return Case(oddity, (ONE, mail, THREE), stays=(mail,), missing=(mail,))


_SPOILT = {
    "message-ended-early": _spoilt(_sent_as_it_is(EARLY), EARLY),
    "message-that-forges-a-reply": _spoilt(_sent_as_it_is(FORGING), FORGING),
    "message-that-forges-a-reply-later": _spoilt(_rest_comes_late(FORGING), FORGING),
    "dots-not-doubled": _spoilt(_sent_as_it_is(UNDOUBLED), UNDOUBLED),
    "message-refused-for-now": _never(b"-ERR [SYS/TEMP] later\r\n"),
    "message-cannot-be-rendered": _never(b"-ERR message could not be rendered\r\n"),
    "message-is-not-there": _never(b"-ERR no such message\r\n"),
    "message-refused-without-a-word": _never(b"-ERR\r\n"),
    "message-needs-utf8": _never(b"-ERR [UTF8] needs UTF8 mode\r\n"),
    "message-is-always-empty": _never(b"+OK\r\n.\r\n"),
    "message-is-always-an-error": _never(b"+OK\r\nbad message from server\r\n.\r\n"),
}

# -- one message, odd in the first session only ----------------------------------------------


async def _pour_lines(talk: Talk) -> None:
    while True:
        await talk.send(b"Line without end.\r\n" * 4096)


async def _pour_one_line(talk: Talk) -> None:
    while True:
        await talk.send(b"x" * 65536)


async def _drip(talk: Talk) -> None:
    await talk.drip_until_closed(b"x")


async def _reset(talk: Talk) -> None:
    talk.reset()


_ONCE: dict[str, bytes | Answer] = {
    "pours-lines": Answer(b"+OK\r\n", then=_pour_lines),
    "pours-one-line": Answer(b"+OK\r\n", then=_pour_one_line),
    "drips": Answer(b"+OK\r\n", then=_drip),
    "drips-its-status": Answer(b"+OK ", then=_drip),
    "resets": Answer(b"+OK\r\nFrom: a@", then=_reset),
    "closes": CLOSE,
    "silent": SILENCE,
    "empty": b"+OK\r\n.\r\n",
    "empty-with-a-line": b"+OK\r\n\r\n.\r\n",
    "error-as-body": b"+OK\r\nbad message from server\r\n.\r\n",
    "status-of-5000-octets": b"+OK " + b"x" * 5000 + b"\r\n.\r\n",
    "status-of-5000-octets-and-a-reply": b"+OK " + b"x" * 5000 + b"\r\n+OK\r\n",
    "status-with-nul": b"+O\0K\r\n.\r\n",
    "two-statuses": b"+OK\r\n+OK\r\nFrom: a@example.org\r\n\r\nHello.\r\n.\r\n",
    "listing-in-its-place": b"+OK\r\n1 100\r\n2 200\r\n.\r\n",
}
_AT_FIRST = answers(
    "second-message-at-first-",
    b"RETR 2",
    _ONCE,
    until=1,
    stays=None,
    hasty={"drips", "drips-its-status", "silent"},
)


def _nul_in_replies(turn: Turn) -> bytes | None:
    single = turn.verb in {b"USER", b"PASS", b"STAT", b"DELE", b"QUIT"}
    return turn.usual.replace(b"\r\n", b" \0\x00\r\n") if single else None


def _says_another_size(turn: Turn) -> bytes | None:
    return turn.usual.replace(b"+OK", b"+OK 120 octets", 1) if turn.verb == b"RETR" else None


MESSAGE_CASES: dict[str, Case] = {
    **_WELL_SENT,
    **_SPOILT,
    **_AT_FIRST,
    "nul-octets-in-replies": Case(_nul_in_replies),
    "another-size-behind-ok": Case(_says_another_size),
    "all-messages-refused-at-first": Case(answer_verb(b"RETR", b"-ERR no\r\n", until=1)),
}
