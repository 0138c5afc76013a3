"""Recognises servers that do not speak POP3, or not on this port."""

_OPENINGS = (
    (b"220", "an SMTP or FTP server answers here"),
    (b"* ", "an IMAP server answers here"),
    (b"HTTP/", "a web server answers here"),
    (b"<", "a web server answers here"),
    (b"SSH-", "an SSH server answers here"),
    (b"\x15\x03", "the port expects TLS at once; should tls be 'implicit'?"),
    (b"\x16\x03", "the port expects TLS at once; should tls be 'implicit'?"),
)


def name_stranger(opening: bytes) -> str:
    """Say what a server's first octets look like; empty when they tell nothing."""
    for start, words in _OPENINGS:
        if opening.startswith(start):
            return words
    return ""
