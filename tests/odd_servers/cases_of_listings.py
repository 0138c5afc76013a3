"""Odd sizes and unique-ids, odd answers to DELE and QUIT, and odd sessions, by name."""

from tests.odd_servers.form import MAIL, TWO, Case, answer_verb, answers, make_mail
from tests.odd_servers.server import CLOSE, SILENCE, Answer, Mail, Oddity, Turn

# -- sizes -----------------------------------------------------------------------------------


def _size_texts(*texts: bytes) -> Oddity:
    """Give these in place of the sizes in LIST, in turn."""

    def oddity(turn: Turn) -> bytes | None:
        if turn.verb != b"LIST":
            return None
        numbers = range(1, len(turn.server.mail) + 1)
        rows = [b"%d%b\r\n" % (n, texts[n % len(texts)]) for n in numbers]
        if b" " in turn.line:
            return b"+OK " + rows[int(turn.line.split()[1]) - 1]
        return b"+OK\r\n" + b"".join(rows) + b".\r\n"

    return oddity


def _rounded_up(turn: Turn) -> bytes | None:
    if turn.line.upper() != b"LIST":
        return None
    sizes = [-(-len(mail.octets) // 1024) * 1024 for mail in turn.server.mail]
    rows = [b"%d %d\r\n" % row for row in enumerate(sizes, 1)]
    return b"+OK\r\n" + b"".join(rows) + b".\r\n"


def _differ_each_session(turn: Turn) -> bytes | None:
    if turn.line.upper() != b"LIST":
        return None
    sizes = [len(mail.octets) + turn.session for mail in turn.server.mail]
    rows = [b"%d %d\r\n" % row for row in enumerate(sizes, 1)]
    return b"+OK\r\n" + b"".join(rows) + b".\r\n"


def _uidl_of_one(answer: bytes) -> Oddity:
    """Answer UIDL of one message so, on a server whose sizes make us ask."""
    sizes = _size_texts(b" 10")

    def oddity(turn: Turn) -> bytes | Answer | None:
        return answer if turn.line.upper().startswith(b"UIDL ") else sizes(turn)

    return oddity


_SIZES = {
    "sizes-rounded-up": Case(_rounded_up, stays=MAIL),
    "sizes-enormous": Case(_size_texts(b" 4294967297"), stays=MAIL),
    "sizes-beyond-64-bits": Case(_size_texts(b" 99999999999999999999"), stays=()),
    "sizes-absent": Case(_size_texts(b""), stays=()),
    "sizes-negative": Case(_size_texts(b" -1"), stays=()),
    "sizes-much-too-small": Case(_size_texts(b" 10"), stays=()),
    "sizes-differ-each-session": Case(_differ_each_session, stays=None),
    "uidl-of-one-lacks-the-number": Case(_uidl_of_one(b"+OK uid-one\r\n"), stays=()),
    "uidl-of-one-is-a-listing": Case(
        _uidl_of_one(b"+OK\r\n1 uid-one\r\n.\r\n"), polls=8, stays=None
    ),
    "uidl-of-one-is-refused": Case(_uidl_of_one(b"-ERR no argument\r\n"), stays=()),
}

# -- unique-ids ------------------------------------------------------------------------------

TWINS = (MAIL[0], Mail(b"uid-twin", TWO.octets), Mail(b"uid-twin", TWO.octets))


def _extras(turn: Turn) -> bytes | None:
    extras = (
        b"LANG\r\nXTND XMIT\r\nUTF8 USER\r\nEXPIRE 60 USER\r\nX-ODD 1 2 3\r\nIMPLEMENTATION \xff"
    )
    return b"+OK\r\nUSER\r\nUIDL\r\n" + extras + b"\r\n.\r\n" if turn.verb == b"CAPA" else None


def _shifted_in_first_session(turn: Turn) -> bytes | None:
    """Put a new message in front of all others once the listing has been given."""
    if turn.session > 1 or turn.verb not in {b"RETR", b"UIDL", b"LIST"} or b" " not in turn.line:
        return None
    verb, number = turn.line.upper().split()
    before = int(number) - 1
    return turn.answer_to(b"%b %d" % (verb, before)) if before else _NEW_REPLY[verb]


_NEW = make_mail("newer", b"Came in between, longer than all others.\r\n" * 3)
_NEW_REPLY = {
    b"RETR": b"+OK\r\n" + _NEW.octets + b".\r\n",
    b"UIDL": b"+OK 1 uid-newer\r\n",
    b"LIST": b"+OK 1 %d\r\n" % len(_NEW.octets),
}

_NAMES = {
    "two-copies-share-a-unique-id": Case(lambda _turn: None, TWINS),
    "capabilities-nobody-knows": Case(_extras),
    "numbers-shift-behind-the-listing": Case(_shifted_in_first_session, stays=None),
}

# -- the end of a session --------------------------------------------------------------------

_FORGOTTEN = Answer(b"+OK bye\r\n", forgets=True)

_ENDS = {
    "one-deletion-refused": Case(answer_verb(b"DELE 2", b"-ERR no\r\n", until=1)),
    "deletions-are-of-deleted": Case(
        answer_verb(b"DELE", b"-ERR message already deleted\r\n"), stays=MAIL
    ),
    "quit-forgets": Case(answer_verb(b"QUIT", _FORGOTTEN), stays=MAIL),
    "quit-forgets-at-first": Case(answer_verb(b"QUIT", _FORGOTTEN, until=1)),
    "quit-forgets-twice": Case(answer_verb(b"QUIT", _FORGOTTEN, until=2)),
    **answers(
        "quit-at-first-",
        b"QUIT",
        {
            "refused": b"-ERR [SYS/TEMP] some deleted messages not removed\r\n",
            "closes": CLOSE,
            "silent": SILENCE,
            "is-no-reply": b"bye\r\n",
        },
        until=1,
        hasty={"silent"},
    ),
    "session-cut-at-second-message": Case(answer_verb(b"RETR 2", CLOSE, until=2)),
}

LISTING_CASES: dict[str, Case] = {**_SIZES, **_NAMES, **_ENDS}
