"""What single values must look like.

Each check gives the value to use, or raises ValueError with the second half of a sentence whose
first half is the key's name.
"""

import ipaddress
import re
import string
from typing import NamedTuple

MAX_USER_OCTETS = 512
MAX_PASSWORD_OCTETS = 4096
MAX_NAME_CHARACTERS = 64
MAX_ADDRESS_CHARACTERS = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets
MAX_HOST_CHARACTERS = 253
MAX_LABEL_CHARACTERS = 63

_WEAKER_DIGESTS = {32: "MD5", 40: "SHA-1"}
_ADDRESS = re.compile(r"[!-;=?-~]+")
_MAILBOX_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+=-]{0,127}")
_HOST_WITH_PORT = re.compile(r"[^:\[\]]+:[0-9]+|\[[^\]]+\]:[0-9]+")


class ListenAddress(NamedTuple):
    """Where a bundled server listens."""

    host: str
    port: int
    """0 lets the system choose a free one."""


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_text(text: str) -> str:
    """Refuse what could end a protocol's line or steer a terminal."""
    if not text:
        raise ValueError("is empty")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text):
        raise ValueError("holds a control character, such as a line end or a tab; remove it")
    return text


def check_user(text: str) -> str:
    """Refuse a user name that no server would take."""
    check_text(text)
    if len(text.encode()) > MAX_USER_OCTETS:
        raise ValueError(f"is longer than {MAX_USER_OCTETS} octets")
    return text


def check_name(name: str) -> str:
    """Refuse a table's name that could not be typed, shown or logged."""
    check_text(name)
    if "/" in name:
        raise ValueError('holds a "/", which a name may not')
    if name != name.strip() or name.startswith("-"):
        raise ValueError(
            "begins with a hyphen, or begins or ends with a space; choose another name"
        )
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"is longer than {MAX_NAME_CHARACTERS} characters")
    return name


def check_mailbox_name(name: str) -> str:
    """Refuse a mailbox's name that could not be both a login and a directory's name."""
    if not _MAILBOX_NAME.fullmatch(name):
        raise ValueError(
            "may have letters, digits and _.@+=- (at most 128), and begins with a letter, a digit "
            "or _"
        )
    return name


def check_host(host: str) -> str:
    """Give ``host`` without the brackets of an IPv6 address and without a final dot."""
    check_text(host)
    if "://" in host:
        raise ValueError(f'must be the bare name, without "{host.partition("://")[0]}://"')
    if _HOST_WITH_PORT.fullmatch(host):
        raise ValueError(
            "must not contain the port; write it in the key port, on a line of its own"
        )
    bare = host.removeprefix("[").removesuffix("]")
    if not _is_ip_address(bare):
        _check_labels(host.removesuffix("."))
    return bare.removesuffix(".")


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_labels(name: str) -> None:
    strangers = {c for c in name if c.isspace() or c in "/@:,;[]()<>\"'\\"}
    if strangers:
        shown = "a space" if any(c.isspace() for c in strangers) else min(strangers)
        raise ValueError(f"is not a host name: {shown} cannot be part of one")
    if len(name) > MAX_HOST_CHARACTERS:
        raise ValueError(f"is longer than {MAX_HOST_CHARACTERS} characters")
    for label in name.split("."):
        if not 0 < len(label) <= MAX_LABEL_CHARACTERS:
            raise ValueError("is not a host name: each part between dots has 1 to 63 characters")


def check_address(address: str) -> str:
    """Refuse a recipient that could not stand in an SMTP command (RFC 5321 §4.1.2).

    A bare local part passes: LMTP servers know their users by it.
    """
    if not _ADDRESS.fullmatch(address):
        raise ValueError(
            "is not an address; write it as jane@example.org, in ASCII, without spaces or <>"
        )
    if len(address) > MAX_ADDRESS_CHARACTERS:
        raise ValueError(f"is longer than {MAX_ADDRESS_CHARACTERS} characters")
    return address


def check_reverse_path(text: str) -> str:
    """Give ``auto``, the empty string for ``<>``, or an address with a domain."""
    if text in {"auto", "<>"}:
        return "auto" if text == "auto" else ""
    local, _, domain = text.rpartition("@")
    if not (local and domain and _ADDRESS.fullmatch(text)):
        raise ValueError('must be "auto", "<>" or an address such as "jane@example.org"')
    return check_address(text)


def check_fingerprint(text: str) -> str:
    """Give the 64 hex digits of a SHA-256 fingerprint in lower case, without colons."""
    digits = text.replace(":", "").lower()
    if not digits or set(digits) - set(string.hexdigits):
        raise ValueError("must be hex digits, with or without colons")
    if len(digits) in _WEAKER_DIGESTS:
        raise ValueError(
            f"looks like {_WEAKER_DIGESTS[len(digits)]}, which can be forged; "
            "use the SHA-256 fingerprint (64 hex digits)"
        )
    if len(digits) != 64:
        raise ValueError(f"has {len(digits)} hex digits; a SHA-256 fingerprint has 64")
    return digits


def parse_listen_address(text: object) -> ListenAddress:
    """Read ``127.0.0.1:2525``, ``[::1]:2525`` or ``localhost:0``."""
    host, colon, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not (colon and host and port.isascii() and port.isdigit() and int(port[:6]) <= 65_535):
        raise ValueError('must be an address and a port from 0 to 65535, such as "127.0.0.1:2525"')
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError('must have an IPv6 address in brackets, such as "[::1]:2525"')
    return ListenAddress(check_host(host), int(port))
