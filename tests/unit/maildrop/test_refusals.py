import pytest

from popsync.errors import (
    AuthRejected,
    LoginDelayed,
    MaildropError,
    MaildropLocked,
    ServerRefused,
    ServerUnavailable,
)
from popsync.maildrop.refusals import Stage, refusal_kind
from popsync.maildrop.secrecy import Secrecy, shown_forms
from popsync.maildrop.strangers import name_stranger
from popsync.wire.pop3.replies import parse_status


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-ERR [IN-USE] x", MaildropLocked),
        (b"-ERR [in-use] bad password", MaildropLocked),
        (b"-ERR [LOGIN-DELAY] x", LoginDelayed),
        (b"-ERR [SYS/TEMP] x", ServerUnavailable),
        (b"-ERR [SYS/TEMP/DISK] x", ServerUnavailable),
        (b"-ERR [SYS/PERM] x", ServerRefused),
        (b"-ERR [AUTH] try again later", AuthRejected),
        (b"-ERR [X/Y] x", AuthRejected),
        (b"-ERR [AUTH unclosed", AuthRejected),
        (b"-ERR", AuthRejected),
        (b"-ERR Authentication failed.", AuthRejected),
        (b"-ERR invalid username or password", AuthRejected),
        (b"-ERR Logon failure: unknown user name or bad password.", AuthRejected),
        (b"-ERR mailbox locked", MaildropLocked),
        (b"-ERR Unable to lock maildrop", MaildropLocked),
        (b"-ERR maildrop already locked", MaildropLocked),
        (b"-ERR Mailbox in use by another POP3 session", MaildropLocked),
        (b"-ERR server busy", ServerUnavailable),
        (b"-ERR Please wait 5 minutes", ServerUnavailable),
        (b"-ERR service temporarily unavailable", ServerUnavailable),
        (b"-ERR Too many connections", ServerUnavailable),
        (b"-ERR Download exceed limit", ServerUnavailable),
        (b"-ERR Try again later", ServerUnavailable),
        (b"-ERR System error", ServerUnavailable),
        (b"-ERR internal failure", ServerUnavailable),
        (b"-ERR mailbox is under maintenance", ServerUnavailable),
        (b"-ERR login too frequent", LoginDelayed),
        (b"-ERR minimum time between logins is 15 minutes", LoginDelayed),
        (b"-ERR locked out, wrong password", AuthRejected),
    ],
)
def test_a_refused_login_is_read_by_its_code_or_its_words(
    line: bytes, kind: type[MaildropError]
) -> None:
    """A code counts more than words; what sounds like 'not now' is temporary."""
    assert refusal_kind(parse_status(line), Stage.LOGIN) is kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-ERR", ServerUnavailable),
        (b"-ERR go away", ServerUnavailable),
        (b"-ERR [AUTH] no", ServerUnavailable),
        (b"-ERR maildrop locked", MaildropLocked),
        (b"-ERR [SYS/PERM] no", ServerRefused),
    ],
)
def test_a_greeting_is_never_about_the_password(line: bytes, kind: type[MaildropError]) -> None:
    """None was given yet."""
    assert refusal_kind(parse_status(line), Stage.GREETING) is kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-ERR", MaildropError),
        (b"-ERR [AUTH] no", MaildropError),
        (b"-ERR [SYS/TEMP] no", ServerUnavailable),
    ],
)
def test_within_a_session_a_plain_refusal_is_just_that(
    line: bytes, kind: type[MaildropError]
) -> None:
    """Temporary unless a code says otherwise."""
    assert refusal_kind(parse_status(line), Stage.SESSION) is kind


@pytest.mark.parametrize(
    ("opening", "words"),
    [
        (b"220 mail ESMTP\r\n", "SMTP"),
        (b"* OK IMAP4rev1\r\n", "IMAP"),
        (b"HTTP/1.1 400 Bad\r\n", "web"),
        (b"<html>", "web"),
        (b"SSH-2.0-OpenSSH_9\r\n", "SSH"),
        (b"\x15\x03\x01\0\x02\x02\x0a", "implicit"),
        (b"\x16\x03\x01", "implicit"),
    ],
)
def test_another_protocol_is_recognised_by_its_first_octets(opening: bytes, words: str) -> None:
    """A wrong port is the likeliest mistake."""
    assert words in name_stranger(opening)


def test_octets_that_tell_nothing_name_nobody() -> None:
    """No guess is better than a wrong one."""
    assert name_stranger(b"hello") == ""


def test_secrets_are_masked_whole_and_cut_short() -> None:
    """Evidence ends somewhere, perhaps in the middle of a password (P7)."""
    secrecy = Secrecy()
    secrecy.keep(b"hunter2", b"", b"hunter2 longer")

    assert secrecy.mask(b"a hunter2 longer b hunter2 c") == b"a *** b *** c"
    assert secrecy.mask(b"evidence: hunt") == b"evidence: ***"
    assert secrecy.mask(b"hu") == b"hu"
    assert b"hunter2" not in repr(secrecy).encode()


def test_a_password_is_known_in_any_case_and_in_base64_with_and_without_padding() -> None:
    """As AUTH LOGIN would carry it, and as servers fold it."""
    secrecy = Secrecy()
    secrecy.keep(*shown_forms("Öffne dich"))

    for shown in ("öffne Dich", "ÖFFNE DICH", "Öffne dich", "w5ZmZm5lIGRpY2g=", "w5ZmZm5lIGRpY2g"):
        assert secrecy.mask(shown.encode() + b"!").rstrip(b"=!") == b"***"
    assert secrecy.mask(b"bad: W5zMzM w5Zm") == b"bad: W5zMzM ***"
