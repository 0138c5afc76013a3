"""Turns what the operating system and OpenSSL say into our errors, once and in plain words."""

import os
import re
import socket
import ssl

from popsync.errors import ConnectFailed, PeerClosed, StreamError, TlsRefused, escape

_WORDS_OF_PLAINTEXT = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
_WORDS_OF_VERSION = frozenset(
    {
        "UNSUPPORTED_PROTOCOL",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "DH_KEY_TOO_SMALL",
        "NO_PROTOCOLS_AVAILABLE",
    }
)
PLAINTEXT_HINT = "it speaks without TLS here; should tls be 'starttls' or 'none'?"

# With several addresses asyncio folds all their errors into the text of one.
_ERRNO = re.compile(r"\[Errno (-?\d+)\]")


def connect_failure(peer: str, error: OSError | UnicodeError) -> ConnectFailed:
    """Say why no connection came about."""
    return ConnectFailed(f"{peer}: {_connect_reason(error)}")


def tls_failure(peer: str, error: OSError) -> StreamError:
    """Say why the handshake failed; TlsRefused only for what time alone will not mend."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsRefused(f"{peer}: TLS certificate refused: {error.verify_message}")
    reason = getattr(error, "reason", None) or ""
    if reason in _WORDS_OF_PLAINTEXT:
        return TlsRefused(f"{peer}: no TLS came back: {PLAINTEXT_HINT}")
    if reason in _WORDS_OF_VERSION:
        return TlsRefused(f"{peer}: no common version or cipher of TLS: {_plain(reason)}")
    return PeerClosed(f"{peer}: the TLS handshake broke off{_because(error)}")


def loss(peer: str, error: BaseException | None) -> PeerClosed:
    """Say how an established connection was lost."""
    if error is None:
        return PeerClosed(f"{peer}: the server closed the connection")
    return PeerClosed(f"{peer}: the connection broke{_because(error)}")


def _connect_reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "not a valid host name"
    if isinstance(error, socket.gaierror):
        return f"name not found ({error.strerror})"
    number = error.errno or _folded_errno(str(error))
    return os.strerror(number).lower() if number else escape(str(error))


def _folded_errno(text: str) -> int:
    found = _ERRNO.search(text)
    return int(found[1]) if found else 0


def _because(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return f": {_plain(reason)}" if reason else ""


def _plain(reason: object) -> str:
    return escape(str(reason)).replace("_", " ").lower()
