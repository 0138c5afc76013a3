from collections.abc import Callable

import pytest

from popsync.config import checks


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("pop.gmx.net", "pop.gmx.net"),
        ("pop.gmx.net.", "pop.gmx.net"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("bücher.example", "bücher.example"),
        ("localhost", "localhost"),
    ],
)
def test_host_is_given_bare(given: str, host: str) -> None:
    """Brackets and a final dot are not part of a name."""
    assert checks.check_host(given) == host


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("", "is empty"),
        ("pop3s://pop.gmx.net", 'without "pop3s://"'),
        ("pop.gmx.net:995", "key port"),
        ("[::1]:995", "key port"),
        ("pop gmx net", "a space"),
        ("jane@gmx.net", "@ cannot"),
        ("pop.gmx.net/inbox", "/ cannot"),
        ("pop..net", "1 to 63"),
        (".", "1 to 63"),
        ("a" * 64, "1 to 63"),
        (".".join(["a" * 60] * 5), "longer than 253"),
        ("pop\r\n.net", "control character"),
    ],
)
def test_what_is_no_host_is_refused_with_the_reason(host: str, advice: str) -> None:
    """Each common mistake has its own advice."""
    with pytest.raises(ValueError, match=advice):
        checks.check_host(host)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_known_by_name_and_address(host: str) -> None:
    """Only these may go without TLS (P7)."""
    assert checks.is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.evil.example", "10.0.0.1", "::", "pop"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    """A name that merely begins like it is not this machine (P7)."""
    assert not checks.is_loopback(host)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\0b", "a\tb", "a\x7fb", "a\x85b", ""])
def test_text_with_control_characters_is_refused(text: str) -> None:
    """Nothing of it may end a command's line."""
    with pytest.raises(ValueError, match=r"control character|empty"):
        checks.check_text(text)


def test_user_of_more_than_512_octets_is_refused() -> None:
    """Octets count, not characters."""
    assert checks.check_user("ü" * 256) == "ü" * 256
    with pytest.raises(ValueError, match="longer than 512"):
        checks.check_user("ü" * 257)


@pytest.mark.parametrize("name", ["gmx", "jane doe", "jane@gmx.net", "büro", "x" * 64])
def test_name_that_can_be_typed_passes(name: str) -> None:
    """A name is the user's own choice."""
    assert checks.check_name(name) == name


@pytest.mark.parametrize("name", ["", "a/b", "-x", " a", "a ", "a\nb", "x" * 65])
def test_name_that_cannot_be_typed_or_logged_is_refused(name: str) -> None:
    """A name is an argument of commands and a part of log lines."""
    with pytest.raises(ValueError, match=r"\w"):
        checks.check_name(name)


@pytest.mark.parametrize("name", ["", ".jane", "-jane", "jane/x", "..", "jane doe", "x" * 129])
def test_mailbox_name_that_could_leave_its_directory_is_refused(name: str) -> None:
    """A mailbox's name is also its directory's."""
    with pytest.raises(ValueError, match="letters, digits"):
        checks.check_mailbox_name(name)


def test_mailbox_name_may_be_an_address() -> None:
    """POP3 users often log in with theirs."""
    assert checks.check_mailbox_name("jane@example.org") == "jane@example.org"


@pytest.mark.parametrize("address", ["jane", "jane@example.org", "jane+x=y@[192.0.2.1]"])
def test_address_that_fits_a_command_passes(address: str) -> None:
    """LMTP servers also know users by a bare name."""
    assert checks.check_address(address) == address


@pytest.mark.parametrize(
    "address",
    ["", "jane doe@example.org", "<jane@example.org>", "jäne@example.org", "a\r\nb", "a" * 255],
)
def test_address_that_does_not_fit_a_command_is_refused(address: str) -> None:
    """Nothing can leave the angle brackets of MAIL or RCPT."""
    with pytest.raises(ValueError, match=r"is not an address|longer than 254"):
        checks.check_address(address)


@pytest.mark.parametrize(
    ("given", "path"), [("auto", "auto"), ("<>", ""), ("a@b.example", "a@b.example")]
)
def test_reverse_path_is_auto_null_or_an_address(given: str, path: str) -> None:
    """The null reverse-path is the empty string, as in an Envelope."""
    assert checks.check_reverse_path(given) == path


@pytest.mark.parametrize("text", ["", "jane", "@example.org", "jane@", "<a@b>", "a b@c"])
def test_other_reverse_paths_are_refused(text: str) -> None:
    """A reverse-path needs a domain (RFC 5321 §4.1.2)."""
    with pytest.raises(ValueError, match='"<>"'):
        checks.check_reverse_path(text)


def test_fingerprint_is_given_as_bare_lower_case_digits() -> None:
    """Colons and case are as openssl happened to print them."""
    assert checks.check_fingerprint(":".join(["AB"] * 32)) == "ab" * 32


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "hex digits"),
        ("zz", "hex digits"),
        ("a" * 32, "MD5"),
        ("a" * 40, "SHA-1"),
        ("a" * 63, "has 63"),
    ],
)
def test_other_fingerprints_are_refused_with_the_reason(text: str, advice: str) -> None:
    """MD5 and SHA-1 are told apart, since users copy them from old guides."""
    with pytest.raises(ValueError, match=advice):
        checks.check_fingerprint(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:2525", ("127.0.0.1", 2525)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_listen_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    """Port 0 lets the system choose."""
    assert checks.parse_listen_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "2525", ":2525", "a:", "a:x", "a:65536", "a:9999999", "::1:25", "a b:25", "a:²", 25],
)
def test_other_listen_addresses_are_refused(text: object) -> None:
    """An IPv6 address without brackets is ambiguous."""
    with pytest.raises(ValueError, match=r"\w"):
        checks.parse_listen_address(text)


@pytest.mark.parametrize("check", [checks.check_host, checks.check_user, checks.check_name])
def test_checks_never_show_the_value(check: Callable[[str], str]) -> None:
    """A password may have been typed into the wrong line (P7)."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        check("hunter2\n" * 100)

    assert "hunter2" not in str(caught.value)
