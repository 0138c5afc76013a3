"""Commands of an SMTP or LMTP client (RFC 5321 §4.1, RFC 2033 §4), one function each.

Every argument is checked here, whoever checked it before: an address or a name with a line end in
it would be a second command.
"""

from base64 import b64encode

from popsync.errors import LocalProtocolError, escape
from popsync.wire.smtp.addresses import is_host_name, is_mailbox, is_recipient

DATA = b"DATA\r\n"
FINAL_DOT = b".\r\n"
"""Ends the data; it stands at the beginning of a line because an encoded body ends in CRLF."""
NOOP = b"NOOP\r\n"
QUIT = b"QUIT\r\n"
RSET = b"RSET\r\n"
STARTTLS = b"STARTTLS\r\n"
AUTH_LOGIN = b"AUTH LOGIN\r\n"
AUTH_PLAIN = b"AUTH PLAIN\r\n"

MAX_COMMAND_OCTETS = 512
"""RFC 5321 §4.5.3.1.4, CRLF included."""


def format_hello(verb: str, name: str) -> bytes:
    """Write EHLO, HELO or LHLO. Raises LocalProtocolError unless ``name`` is a host's name."""
    if not is_host_name(name):
        raise LocalProtocolError(f"no host name to greet with: {escape(name)}")
    return f"{verb} {name}\r\n".encode("ascii")


def format_mail(reverse_path: str, *, octets: int | None, eightbit: bool, smtputf8: bool) -> bytes:
    """Write MAIL FROM.

    reverse_path: empty for ``<>``. octets: for SIZE (RFC 1870), None when it is not offered.
    eightbit: say BODY=8BITMIME (RFC 6152). Raises LocalProtocolError unless it is a mailbox.
    """
    if reverse_path and not is_mailbox(reverse_path):
        raise LocalProtocolError(f"no reverse-path: {escape(reverse_path)}")
    size = "" if octets is None else f" SIZE={octets}"
    body = " BODY=8BITMIME" if eightbit else ""
    utf8 = " SMTPUTF8" if smtputf8 else ""
    return f"MAIL FROM:<{reverse_path}>{size}{body}{utf8}\r\n".encode()


def format_rcpt(recipient: str) -> bytes:
    """Write RCPT TO. Raises LocalProtocolError unless ``recipient`` can be one."""
    if not is_recipient(recipient):
        raise LocalProtocolError(f"no recipient: {escape(recipient)}")
    return f"RCPT TO:<{recipient}>\r\n".encode()


def format_auth_plain(user: str, password: str) -> bytes:
    """Give what PLAIN (RFC 4616) sends, in base64 and without CRLF.

    Raises LocalProtocolError when NUL is in either: it separates them.
    """
    if "\0" in user or "\0" in password:
        raise LocalProtocolError("NUL in a user name or password")
    return b64encode(f"\0{user}\0{password}".encode())


def format_auth_answer(secret: str) -> bytes:
    """Give one answer of LOGIN: ``secret`` in base64 and CRLF."""
    return b64encode(secret.encode()) + b"\r\n"
