import pytest

from popsync.errors import LocalProtocolError
from popsync.wire.smtp.addresses import is_host_name, is_mailbox, is_recipient
from popsync.wire.smtp.commands import (
    format_auth_answer,
    format_auth_plain,
    format_hello,
    format_mail,
    format_rcpt,
)

STRANGE = [
    "",
    "@",
    "a@",
    "@b",
    "a b@c",
    "a@b c",
    "a@b>",
    "<a@b>",
    "a@b\r\nRCPT TO:<evil@x>",
    "a@b\n",
    "a@b\r",
    "a\0@b",
    "a@b\0",
    "a@b\x7f",
    ".a@b",
    "a.@b",
    "a..c@b",
    "a@b..c",
    "a@-b",
    "a@b-",
    "a@b.",
    "a@b@c",
    "@relay,@other:a@b",
    '"a@b',
    '"a"b"@c',
    '""@b',
    '"a b"@c',
    '"a<b"@c',
    '"a\\>b"@c',
    '"a\\\n"@c',
    "a@[127.0.0.1",
    "a@[127.0.0]",
    "a@[IPv6:::1\r\n]",
    "a@[anything]",
    "a@b\u2028",
    "a\u202e@b",
    "a@b\x85",
    "a@\ud800",
    "a" * 250 + "@b.example",
]

SOUND = [
    "a@b",
    "jane.doe+tag@mail.example.org",
    "!#$%&'*+-/=?^_`{|}~@b",
    '"a.b"@c',
    '"a\\"b"@c',
    '".."@c',
    "a@[127.0.0.1]",
    "a@[IPv6:2001:db8::1]",
    "bounce-" + "x" * 100 + "=jane=example.org@lists.example.com",
    "jörg@bücher.example",
    "名前@例え.example",
    "a" * 252 + "@b",
]


@pytest.mark.parametrize("address", STRANGE)
def test_what_is_no_strict_mailbox_never_reaches_the_wire(address: str) -> None:
    """An address cannot carry a second command, nor end early for a loose reader."""
    assert not is_mailbox(address)
    assert not is_recipient(address)
    with pytest.raises(LocalProtocolError):
        format_rcpt(address)
    if address:
        with pytest.raises(LocalProtocolError):
            format_mail(address, octets=None, eightbit=False, smtputf8=True)


@pytest.mark.parametrize("address", SOUND)
def test_a_strict_mailbox_is_written_as_it_is(address: str) -> None:
    """Nothing is quoted, folded or cut."""
    written = f"<{address}>\r\n".encode()

    assert format_rcpt(address) == b"RCPT TO:" + written
    assert format_mail(address, octets=None, eightbit=False, smtputf8=False) == (
        b"MAIL FROM:" + written
    )


def test_a_recipient_may_be_a_bare_local_part() -> None:
    """A user of the server's own, as LMTP servers know them; a reverse-path may not be one."""
    assert format_rcpt("jane") == b"RCPT TO:<jane>\r\n"
    assert not is_mailbox("jane")


def test_mail_carries_what_it_is_told() -> None:
    """The null reverse-path stays null, and parameters stand in a fixed order."""
    assert format_mail("", octets=9, eightbit=True, smtputf8=True) == (
        b"MAIL FROM:<> SIZE=9 BODY=8BITMIME SMTPUTF8\r\n"
    )


@pytest.mark.parametrize("name", ["mx.example.org", "localhost", "[127.0.0.1]", "[IPv6:::1]"])
def test_a_host_may_be_greeted_with(name: str) -> None:
    """A domain or an address literal."""
    assert format_hello("EHLO", name) == f"EHLO {name}\r\n".encode()


@pytest.mark.parametrize("name", ["", "a b", "a\r\nMAIL", "x" * 256, "ä", "[x]"])
def test_what_is_no_host_name_is_not_greeted_with(name: str) -> None:
    """Nothing but a name goes behind EHLO."""
    assert not is_host_name(name)
    with pytest.raises(LocalProtocolError):
        format_hello("EHLO", name)


def test_a_login_is_written_in_base64() -> None:
    """PLAIN joins user and password by NUL; LOGIN sends one after the other."""
    assert format_auth_plain("jane", "s3cret word") == b"AGphbmUAczNjcmV0IHdvcmQ="
    assert format_auth_answer("jane") == b"amFuZQ==\r\n"


@pytest.mark.parametrize(("user", "password"), [("a\0b", "x"), ("a", "x\0y")])
def test_nul_in_a_login_is_refused(user: str, password: str) -> None:
    """It would shift the parts of PLAIN."""
    with pytest.raises(LocalProtocolError):
        format_auth_plain(user, password)
