"""What TLS must look like, and the contexts that see to it.

Building a context costs many times a whole poll, so there is one for each distinct demand and all
connections share it.
"""

import hashlib
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from popsync.errors import TlsRefused

TlsMode = Literal["none", "starttls", "implicit"]


class TlsOptions(NamedTuple):
    """What one server's configuration demands of TLS."""

    mode: TlsMode = "implicit"
    ca_file: str | None = None
    """PEM file with the only authorities to trust; None for the system's."""
    fingerprint: str = ""
    """SHA-256 of the certificate in hex, colons allowed; replaces authorities and name."""
    server_hostname: str | None = None
    """The name that the certificate must bear; None for the host that is connected to."""


class Handshake(NamedTuple):
    """All that one side needs to begin TLS on a connection."""

    context: ssl.SSLContext
    server_side: bool = False
    server_hostname: str | None = None
    fingerprint: str = ""


def client_handshake(options: TlsOptions, host: str) -> Handshake | None:
    """Give what a client needs for ``options``; None when they say no TLS.

    Raises TlsRefused when ``ca_file`` cannot be used.
    """
    if options.mode == "none":
        return None
    name = options.server_hostname or host.rstrip(".")
    return Handshake(client_context(options), False, name, options.fingerprint)


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """Give the shared context for ``options``: TLS 1.2 or later, verified unless pinned.

    A file of authorities that was replaced is read again. Raises TlsRefused when it cannot be
    used.
    """
    if options.fingerprint:
        return _pinned_context()
    try:
        changed_ns = Path(options.ca_file).stat().st_mtime_ns if options.ca_file else 0
        return _verifying_context(options.ca_file, changed_ns)
    except OSError as error:
        reason = error.strerror or str(error)
        raise TlsRefused(f"ca_file {options.ca_file} cannot be used: {reason}") from error


def check_fingerprint(peer: str, pinned: str, certificate: bytes | None) -> None:
    """Compare a certificate (DER) with its pin. Raises TlsRefused."""
    shown = hashlib.sha256(certificate or b"").hexdigest()
    if shown != pinned.replace(":", "").lower():
        raise TlsRefused(f"{peer}: the certificate's SHA-256 is {shown}, not the pinned one")


@lru_cache(maxsize=64)
def _verifying_context(ca_file: str | None, _changed_ns: int) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@lru_cache(maxsize=1)
def _pinned_context() -> ssl.SSLContext:
    # The pin is compared after the handshake, before an octet of ours is sent.
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
