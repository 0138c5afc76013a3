"""Odd SMTP and LMTP servers by name, and what a poll has to make of each."""

from dataclasses import dataclass, field, replace

from tests.doubles.smtp_script import CLOSE, STALL, Answer, Raw
from tests.odd_servers.form import make_mail
from tests.odd_servers.server import Mail

FIVE = tuple(make_mail(name, b"Line.\r\n.dot\r\n") for name in ("a", "b", "c", "d", "e"))
JANE = ("jane@example.org",)
BOTH = ("jane@example.org", "joe@example.org")


@dataclass(frozen=True)
class RelayCase:
    """One odd relay, which is polled into several times, two hours apart.

    answers: as of ``SmtpScript``. first: how many messages the first poll delivers, defers and
    holds. password: with one, the relay is logged in to.
    """

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    first: tuple[int, int, int] = (5, 0, 0)
    extensions: tuple[str, ...] = ("8BITMIME",)
    recipients: tuple[str, ...] = JANE
    lmtp: bool = False
    silence: str = ""
    """The deadline that its silence meets, which is made a short one."""
    resent: int = 0
    """How many deliveries arrive a second time, marked, as their reply was lost."""
    doubted: int = 0
    """How many are marked though they had not arrived, as nobody could know."""
    password: str = ""
    never: tuple[Mail, ...] = ()
    """What the server will not take, whenever it is asked."""
    require_8bitmime: bool = False
    polls: int = 3
    mail: tuple[Mail, ...] = FIVE


def _at(step: str, *answers: Answer, first: tuple[int, int, int]) -> RelayCase:
    return RelayCase({step: list(answers)}, first)


_ALL = (5, 0, 0)
_NOTHING = (0, 0, 0)
_NOT_THE_FIRST = (4, 1, 0)
_FIRST_HELD = (4, 0, 1)
_FIRST_UNKNOWN = (0, 1, 0)
"""It may have arrived; the link is of no use any more, so the others wait for the next poll."""

_TROUBLE_BEFORE_MAIL = {
    "busy-at-connect": _at("GREETING", "421 busy", first=_NOTHING),
    "puts-off-at-connect": _at("GREETING", "450 not now", first=_NOTHING),
    "refuses-at-connect": _at("GREETING", "554 no service", first=_NOTHING),
    "closes-at-connect": _at("GREETING", CLOSE, first=_NOTHING),
    "greets-as-another-protocol": _at("GREETING", Raw(b"+OK POP3\r\n"), first=_NOTHING),
    "silent-at-connect": RelayCase({"GREETING": [STALL]}, _NOTHING, silence="greeting_s"),
    "knows-no-ehlo": _at("EHLO", *["502 what?"] * 99, first=_ALL),
    "knows-no-hello": RelayCase({"EHLO": ["502 what?"], "HELO": ["502 what?"]}, _NOTHING),
    "refuses-the-login": RelayCase(
        {"AUTH": ["535 no"]}, _NOTHING, extensions=("AUTH PLAIN",), password="secret"
    ),
    "puts-off-the-login": RelayCase(
        {"AUTH": ["454 later"]}, _NOTHING, extensions=("AUTH PLAIN",), password="secret"
    ),
    "offers-no-login-of-ours": RelayCase(
        {}, _NOTHING, extensions=("AUTH GSSAPI",), password="secret", never=FIVE
    ),
    "leaves-at-ehlo": _at("EHLO", "421 bye", first=_NOTHING),
    "puts-off-ehlo": _at("EHLO", "451 later", first=_NOTHING),
}

_REFUSALS = {
    f"{answer[:3]}-to-{step}".lower(): _at(step, answer, first=first)
    for step in ("MAIL", "RCPT", "DATA", "DOT")
    for answer, first in (
        ("450 later", _NOT_THE_FIRST),
        ("452 no room", _NOT_THE_FIRST),
        ("550 never", _FIRST_HELD),
        ("552 too much", _FIRST_HELD),
        ("599 odd", _FIRST_HELD),
    )
} | {
    "421-to-mail": _at("MAIL", "421 bye", first=_ALL),
    "421-to-rcpt": _at("RCPT", "421 bye", first=(0, 1, 0)),
    "421-to-data": _at("DATA", "421 bye", first=(0, 1, 0)),
    "421-in-the-body": _at("MID-DATA", "421 bye", first=(0, 1, 0)),
    "421-to-dot": _at("DOT", "421 bye", first=(0, 1, 0)),
    "greylists": _at("RCPT", "450 try again", "450 try again", first=(3, 2, 0)),
}

_LEAVES_BETWEEN = {
    "leaves-after-two": _at("MAIL", "", "", "421 enough", first=_ALL),
    "closes-after-two": _at("MAIL", "", "", CLOSE, first=_ALL),
}

_huge = make_mail("huge", b"x" * 70 + b"\r\n" + b"Line.\r\n" * 3_000_000)
_STOPS_READING = {
    "stops-reading": RelayCase(
        {"MID-DATA": [STALL]}, (5, 1, 0), silence="block_s", mail=(_huge, *FIVE), polls=2
    ),
}

_large = make_mail("large", b"x" * 70 + b"\r\n" + b"Line.\r\n" * 200)
_ONE_LARGE = (*FIVE[:2], _large, *FIVE[2:])
_NO_SENSE = {
    "takes-data-unasked": _at("DATA", "250 taken already", first=(0, 1, 0)),
    "code-99": _at("MAIL", "99 bottles", first=(0, 1, 0)),
    "code-600": _at("RCPT", "600 what", first=(0, 1, 0)),
    "code-abc": _at("DATA", "abc", first=(0, 1, 0)),
    "not-even-a-line": RelayCase({"MAIL": [Raw(b"x" * 3_000_000)]}, (0, 1, 0)),
    "replies-twice": _at("DATA", Raw(b"354 go on\r\n250 stored\r\n"), first=(0, 1, 0)),
    "replies-in-pieces-of-lines": _at("MAIL", "250-a\r\n250-b\r\n250 c", first=_ALL),
    "replies-without-text": _at("MAIL", "250", first=_ALL),
    "replies-octet-by-octet": RelayCase(
        {
            "DOT": [Raw(b"250 stored\r\n", pieces=True)],
            "MAIL": [Raw(b"250-a\r\n250 b\r\n", pieces=True)],
        }
    ),
    "extensions-in-lower-case": RelayCase(
        {}, (5, 0, 1), extensions=("8bitmime", "size 1000"), mail=_ONE_LARGE, never=(_large,)
    ),
    "a-code-of-the-past": _at("DOT", "251 stored elsewhere", first=_ALL),
}

_LOST_REPLIES = {
    "closes-after-dot": RelayCase({"DOT": [CLOSE]}, _FIRST_UNKNOWN, resent=1),
    "cut-after-25": RelayCase({"DOT": [Raw(b"25", close=True)]}, _FIRST_UNKNOWN, resent=1),
    "cut-before-line-end": RelayCase(
        {"DOT": [Raw(b"250 stored", close=True)]}, _FIRST_UNKNOWN, resent=1
    ),
    "silent-after-dot": RelayCase({"DOT": [STALL]}, _FIRST_UNKNOWN, resent=1, silence="dot_s"),
    "odd-after-dot": RelayCase({"DOT": [Raw(b"2xx\r\n")]}, _FIRST_UNKNOWN, resent=1),
    "silent-at-mail": RelayCase({"MAIL": [STALL]}, _ALL, silence="command_s"),
    "silent-at-data": RelayCase({"DATA": [STALL]}, (0, 1, 0), silence="data_s"),
    "closes-in-the-body": RelayCase({"MID-DATA": [CLOSE]}, _FIRST_UNKNOWN, doubted=1),
}

_TOO_MUCH = {
    "refuses-every-message": RelayCase({"DOT": ["550 no"] * 3}, (0, 0, 3)),
    "puts-off-every-message": RelayCase({"DOT": ["452 no room"] * 3}, (0, 3, 0)),
    "refuses-every-recipient": RelayCase({"RCPT": ["550 no"] * 3}, (0, 0, 3)),
    "puts-off-every-recipient": RelayCase({"RCPT": ["450 later"] * 3}, (0, 3, 0)),
}

_eight_bit = make_mail("eight-bit", "Grüße aus Köln.\r\n".encode())
_wide_header = Mail(b"uid-wide", "Subject: Grüße\r\n\r\nHello.\r\n".encode())
_long_lines = make_mail("long-lines", b"x" * 5000 + b"\r\n" + b"." * 3000 + b"\r\n")
_nul = make_mail("nul", b"a\0b\r\n\0\r\n")
_dots = make_mail("dots", b".\r\n..\r\n.x\r\n...\r\n" + b"y" * 65_520 + b"\r\n.\r\n\r\n.\r\n")
_CONTENTS = {
    "takes-no-8-bit": RelayCase({}, (6, 0, 0), extensions=(), mail=(*FIVE, _eight_bit)),
    "takes-no-8-bit-and-it-matters": RelayCase(
        {},
        (5, 0, 1),
        extensions=(),
        mail=(*FIVE, _eight_bit),
        never=(_eight_bit,),
        require_8bitmime=True,
    ),
    "refuses-8-bit": RelayCase({"DOT": ["554 8-bit"]}, (0, 0, 1), (), mail=(_eight_bit,)),
    "takes-no-header-beyond-ascii": RelayCase({}, (6, 0, 0), mail=(*FIVE, _wide_header)),
    "gets-long-lines": RelayCase({}, (6, 0, 0), mail=(_long_lines, *FIVE)),
    "takes-no-long-lines": RelayCase(
        {"DOT": ["500 line too long"]}, (5, 0, 1), mail=(_long_lines, *FIVE)
    ),
    "gets-nul": RelayCase({}, (6, 0, 0), mail=(_nul, *FIVE)),
    "takes-no-nul": RelayCase({"DOT": ["554 NUL"]}, (5, 0, 1), mail=(_nul, *FIVE)),
    "gets-lines-that-begin-with-a-dot": RelayCase({}, (6, 0, 0), mail=(*FIVE, _dots)),
    "lmtp-gets-lines-that-begin-with-a-dot": RelayCase(
        {}, (6, 0, 0), mail=(*FIVE, _dots), lmtp=True
    ),
}

_LIMITS = {
    "takes-no-large-message": RelayCase(
        {}, (5, 0, 1), extensions=("SIZE 1000",), mail=_ONE_LARGE, never=(_large,)
    ),
    "says-nothing-of-size": RelayCase({}, (6, 0, 0), extensions=(), mail=_ONE_LARGE),
    "size-zero": RelayCase({}, (6, 0, 0), extensions=("SIZE 0",), mail=_ONE_LARGE),
    "size-is-nonsense": RelayCase({}, (6, 0, 0), extensions=("SIZE much",), mail=_ONE_LARGE),
    "takes-no-address-beyond-ascii": RelayCase(
        {}, (0, 0, 5), recipients=("jürgen@example.org",), never=FIVE
    ),
}

_RECIPIENTS = {
    "one-recipient-refused-at-first": RelayCase(
        {"RCPT": ["", "550 no"]}, (4, 0, 1), recipients=BOTH
    ),
    "one-recipient-put-off": RelayCase({"RCPT": ["", "450 later"]}, (4, 1, 0), recipients=BOTH),
    "no-recipient-taken-at-first": RelayCase(
        {"RCPT": ["450 later", "550 no"]}, (4, 0, 1), recipients=BOTH
    ),
}

_LMTP = {
    "lmtp-one-put-off": RelayCase(
        {"DOT": ["", "450 full"]}, (4, 1, 0), recipients=BOTH, lmtp=True
    ),
    "lmtp-one-refused": RelayCase({"DOT": ["", "550 no"]}, (4, 0, 1), recipients=BOTH, lmtp=True),
    "lmtp-both-refused-differently": RelayCase(
        {"DOT": ["550 no", "450 full"]}, (4, 0, 1), recipients=BOTH, lmtp=True
    ),
    "lmtp-fewer-replies": RelayCase(
        {"DOT": ["", CLOSE]}, _FIRST_UNKNOWN, recipients=BOTH, lmtp=True, resent=1
    ),
    "lmtp-silent-for-one": RelayCase(
        {"DOT": ["", STALL]}, _FIRST_UNKNOWN, recipients=BOTH, lmtp=True, resent=1, silence="dot_s"
    ),
    "lmtp-more-replies": RelayCase(
        {"DOT": ["", Raw(b"250 stored\r\n250 one too many\r\n")]},
        (1, 0, 0),
        recipients=BOTH,
        lmtp=True,
    ),
    "lmtp-leaves-at-lhlo": RelayCase({"EHLO": ["421 bye"]}, _NOTHING, lmtp=True),
}

RELAYS: dict[str, RelayCase] = {
    **_TROUBLE_BEFORE_MAIL,
    **_REFUSALS,
    **_LEAVES_BETWEEN,
    **_STOPS_READING,
    **_NO_SENSE,
    **_LOST_REPLIES,
    **_TOO_MUCH,
    **_CONTENTS,
    **_LIMITS,
    **_RECIPIENTS,
    **_LMTP,
}
PIPELINED = {
    f"{name}-pipelining": replace(case, extensions=(*case.extensions, "PIPELINING"))
    for name, case in RELAYS.items()
    if not case.answers.keys() & {"GREETING", "EHLO", "AUTH"}
} | {
    # The envelope of the next message is on its way already, and its replies are one late.
    "lmtp-more-replies-pipelining": replace(
        RELAYS["lmtp-more-replies"], first=(1, 1, 0), extensions=("8BITMIME", "PIPELINING")
    )
}
