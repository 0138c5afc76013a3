"""Odd servers by name, each with its mail, its oddity and what a fetcher has to make of it."""

from collections.abc import Callable

from tests.odd_servers.cases_of_listings import LISTING_CASES
from tests.odd_servers.cases_of_messages import MESSAGE_CASES
from tests.odd_servers.form import MAIL, ONE, THREE, Case, answer_verb, answers, make_mail
from tests.odd_servers.server import CLOSE, SILENCE, Answer, Mail, Oddity, Turn, stuff


def _rename(names: dict[bytes, bytes]) -> tuple[Mail, ...]:
    return tuple(Mail(names.get(m.unique_id, m.unique_id), m.octets) for m in MAIL)


def _blanks_before_unique_ids(turn: Turn) -> bytes | None:
    return turn.usual.replace(b" uid", b" \t  uid") if turn.verb == b"UIDL" else None


def listing_backwards(turn: Turn) -> bytes | None:
    """Give LIST and UIDL from the last row to the first."""
    if turn.line.upper() not in (b"LIST", b"UIDL"):
        return None
    first, *rows, dot, end = turn.usual.split(b"\r\n")
    return b"\r\n".join([first, *reversed(rows), dot, end])


def _zero(_octets: bytes) -> int:
    return 0


def _doubled(octets: bytes) -> int:
    return 2 * len(octets)


def _line_ends_counted_once(octets: bytes) -> int:
    return len(octets.replace(b"\r\n", b"\n"))


def _sizes(measure: Callable[[bytes], int]) -> Oddity:
    def oddity(turn: Turn) -> bytes | None:
        if turn.line.upper() != b"LIST":
            return None
        mail = enumerate(turn.server.mail, 1)
        rows = [b"%d %d\r\n" % (number, measure(one.octets)) for number, one in mail]
        return b"+OK\r\n" + b"".join(rows) + b".\r\n"

    return oddity


def _cut_in_the_second_body(turn: Turn) -> Answer | None:
    if turn.line.upper() != b"RETR 2" or turn.session > 1:
        return None
    return Answer(turn.usual[: len(turn.usual) // 2], closes=True)


def _unique_ids_change_once(turn: Turn) -> bytes | None:
    return (
        turn.usual.replace(b" uid", b" new") if turn.verb == b"UIDL" and turn.session > 1 else None
    )


def _refusal_inside_the_listing(turn: Turn) -> bytes | None:
    if turn.line.upper() != b"UIDL" or turn.session > 1:
        return None
    return turn.usual.removesuffix(b".\r\n") + b"-ERR expunged\r\n.\r\n"


_FORGED = make_mail("forged", b"Before.\r\n.\r\n+OK\r\nSubject: forged\r\n\r\nEvil.\r\n")


def _unstuffed(turn: Turn) -> bytes | None:
    """Send the one message with its lone dot as it is, whatever its number is by now."""
    forged = turn.usual == b"+OK\r\n" + stuff(_FORGED.octets) + b".\r\n"
    return b"+OK\r\n" + _FORGED.octets + b".\r\n" if forged else None


def _bare_line_feeds(turn: Turn) -> bytes:
    return turn.usual.replace(b"\r\n", b"\n")


def _bare_line_feeds_counted_once(turn: Turn) -> bytes:
    sized = _sizes(_line_ends_counted_once)(turn)
    usual = sized if isinstance(sized, bytes) else turn.usual
    return usual.replace(b"\r\n", b"\n")


def _bare_line_feed_in_the_greeting(turn: Turn) -> bytes | None:
    return None if turn.line else b"+OK ready\n"


def _bare_line_feeds_except_in_bodies(turn: Turn) -> bytes | None:
    return None if turn.verb == b"RETR" else _bare_line_feeds(turn)


def _unasked_line_behind_the_second_message(turn: Turn) -> bytes | None:
    at_second = turn.line.upper() == b"RETR 2" and turn.session == 1
    return turn.usual + b"+OK 3 more\r\n" if at_second else None


_DOTS = make_mail("dots", b".\r\n..\r\n.x\r\nend\r\n")

CASES: dict[str, Case] = {
    **MESSAGE_CASES,
    **LISTING_CASES,
    "bare-line-feeds": Case(_bare_line_feeds, (*MAIL, _DOTS)),
    "bare-line-feeds-counted-once": Case(
        _bare_line_feeds_counted_once, (*MAIL, _DOTS), stays=None
    ),
    "bare-line-feed-in-the-greeting": Case(
        _bare_line_feed_in_the_greeting, stays=MAIL, missing=MAIL, hasty=True
    ),
    "bare-line-feeds-except-in-bodies": Case(
        _bare_line_feeds_except_in_bodies, stays=MAIL, missing=MAIL, polls=2, hasty=True
    ),
    **answers(
        "greeting-at-first-",
        b"",
        {
            "in-use": b"-ERR [IN-USE] locked\r\n",
            "temporary": b"-ERR [SYS/TEMP] later\r\n",
            "silent": SILENCE,
            "closed": CLOSE,
            "smtp": b"220 mail ESMTP\r\n",
            "imap": b"* OK IMAP4\r\n",
            "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "ssh": b"SSH-2.0-OpenSSH_9\r\n",
            "tls-alert": b"\x15\x03\x01\x00\x02\x02\x46",
            "endless": b"+OK " + b"x" * 1_000_000,
            "blank-line": b"\r\n+OK\r\n",
            "twice": b"+OK ready\r\n+OK steady\r\n",
        },
        until=1,
        hasty={"silent", "tls-alert"},
    ),
    **answers(
        "greeting-",
        b"",
        {
            "without-text": b"+OK\r\n",
            "with-odd-octets": b"+OK \0\x1b[2J\xff\r\n",
            "with-a-tab": b"+OK\tready\r\n",
        },
    ),
    **answers(
        "login-at-first-",
        b"PASS",
        {
            "too-soon": b"-ERR [LOGIN-DELAY] come back later\r\n",
            "temporary": b"-ERR [SYS/TEMP] later\r\n",
            "broken": b"-ERR [SYS/PERM] broken\r\n",
            "wrong": b"-ERR [AUTH] no\r\n",
            "unclosed-code": b"-ERR [odd\r\n",
            "unknown-code": b"-ERR [X/Y] odd\r\n",
            "no-reply-at-all": b"hello\r\n",
            "silent": SILENCE,
        },
        until=1,
        hasty={"silent"},
    ),
    **answers(
        "second-message-at-first-",
        b"RETR 2",
        {
            "is-no-reply": b"hello\r\n",
            "never-comes": SILENCE,
            "never-ends": b"+OK\r\nFrom: a@example.org\r\n",
            "ends-without-line-end": b"+OK\r\nFrom: a@example.org\r\n\r\nx.\r\n",
            "ends-in-bare-cr": b"+OK\r\nFrom: a@example.org\r\n\r\nx\r\n.\r",
            "ends-in-line-feeds": b"+OK\r\nFrom: a@example.org\n\nx\n.\n",
        },
        until=1,
        stays=None,
        hasty={
            "never-comes",
            "never-ends",
            "ends-without-line-end",
            "ends-in-bare-cr",
            "ends-in-line-feeds",
        },
    ),
    "line-unasked-behind-a-message": Case(_unasked_line_behind_the_second_message, stays=None),
    "capabilities-without-end": Case(answer_verb(b"CAPA", b"+OK\r\n" + b"X\r\n" * 99, until=1)),
    "capabilities-twice": Case(
        answer_verb(b"CAPA", b"+OK\r\nUSER\r\nUSER\r\nUIDL\r\nUIDL\r\n\xff\r\n.\r\n")
    ),
    "capabilities-none": Case(answer_verb(b"CAPA", b"+OK\r\n.\r\n")),
    "deletion-unanswered-at-first": Case(answer_verb(b"DELE", SILENCE, until=1), hasty=True),
    "deletion-closes-at-first": Case(answer_verb(b"DELE 2", CLOSE, until=1)),
    "quit-is-no-reply": Case(answer_verb(b"QUIT", b"bye\r\n"), stays=MAIL),
    "greeting-in-lower-case": Case(answer_verb(b"", b"+ok\r\n")),
    "greeting-busy-at-first": Case(answer_verb(b"", b"-ERR busy\r\n", until=1)),
    "capa-refused": Case(answer_verb(b"CAPA", b"-ERR what?\r\n")),
    "capa-closes": Case(answer_verb(b"CAPA", CLOSE)),
    "capa-unanswered": Case(answer_verb(b"CAPA", SILENCE), hasty=True),
    "capa-in-lower-case": Case(answer_verb(b"CAPA", b"+OK\r\nuser\r\nuidl \r\n x-odd\r\n.\r\n")),
    "maildrop-locked-at-first": Case(answer_verb(b"PASS", b"-ERR [IN-USE] locked\r\n", until=1)),
    "closed-after-password-at-first": Case(answer_verb(b"PASS", CLOSE, until=1)),
    "stat-refused": Case(answer_verb(b"STAT", b"-ERR no\r\n")),
    "stat-says-none-at-first": Case(answer_verb(b"STAT", b"+OK 0 0\r\n", until=1)),
    "list-refused": Case(answer_verb(b"LIST", b"-ERR no\r\n")),
    "blanks-before-unique-ids": Case(_blanks_before_unique_ids),
    "blanks-in-unique-ids": Case(
        lambda _: None, _rename({b"uid-one": b"uid one ", b"uid-two": b'u/"2"'})
    ),
    "eight-bit-unique-ids": Case(lambda _: None, _rename({b"uid-two": b"\x80\x01\x7f\xff"})),
    "long-unique-ids": Case(lambda _: None, _rename({b"uid-two": b"u" * 200})),
    "same-unique-id-for-two": Case(lambda _: None, _rename({b"uid-two": b"uid-one"}), stays=None),
    "unique-ids-change": Case(_unique_ids_change_once),
    "listing-backwards": Case(listing_backwards),
    "refusal-inside-the-listing": Case(_refusal_inside_the_listing),
    "sizes-zero": Case(_sizes(_zero), stays=None),
    "sizes-doubled": Case(_sizes(_doubled), stays=None),
    "sizes-count-line-feeds": Case(_sizes(_line_ends_counted_once), stays=None),
    "one-message-refused": Case(
        answer_verb(b"RETR 2", b"-ERR cannot be rendered\r\n", until=1), stays=None
    ),
    "cut-inside-a-message": Case(_cut_in_the_second_body),
    "dot-line-not-doubled": Case(
        _unstuffed, (ONE, _FORGED, THREE), stays=None, missing=(_FORGED,)
    ),
    "deletion-refused": Case(answer_verb(b"DELE", b"-ERR no\r\n"), stays=MAIL),
    "quit-refused": Case(answer_verb(b"QUIT", b"-ERR not deleted\r\n"), stays=MAIL),
    "quit-closes": Case(answer_verb(b"QUIT", CLOSE), stays=MAIL),
    "quit-unanswered": Case(answer_verb(b"QUIT", SILENCE), stays=MAIL, polls=2, hasty=True),
}
