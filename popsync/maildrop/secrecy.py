"""Keeps what must not be shown out of what is shown (P7)."""

import re
from base64 import b64encode

_MASK = b"***"
_LEAST_CUT_OCTETS = 3


def shown_forms(text: str) -> tuple[bytes, ...]:
    """Give what a server may repeat of a password: itself, its capitals, its base64.

    Capitals in ASCII need no form of their own. Raises UnicodeEncodeError.
    """
    forms = (text, text.upper(), text.lower())
    return (*(form.encode() for form in forms), base64_form(text))


def base64_form(text: str) -> bytes:
    """Give what AUTH LOGIN makes of a text, without padding: servers may leave that out."""
    return b64encode(text.encode()).rstrip(b"=")


class Secrecy:
    """Knows the secrets of one session; ``repr`` and errors never show them."""

    def __init__(self) -> None:
        self._secrets: list[bytes] = []

    def keep(self, *secrets: bytes) -> None:
        """Mask these from now on, in any case: response codes are shown in capitals."""
        self._secrets = sorted({*self._secrets, *filter(None, secrets)}, key=len, reverse=True)

    def mask(self, octets: bytes) -> bytes:
        """Give ``octets`` without secrets, a secret cut short at their end included."""
        for secret in self._secrets:
            octets = re.sub(re.escape(secret), _MASK, octets, flags=re.IGNORECASE)
        for secret in self._secrets:
            octets = _without_cut_secret(octets, secret.lower())
        return octets


def _without_cut_secret(octets: bytes, secret: bytes) -> bytes:
    end = octets.lower()
    for kept in range(min(len(secret), len(octets)), _LEAST_CUT_OCTETS - 1, -1):
        if end.endswith(secret[:kept]):
            return octets[:-kept] + _MASK
    return octets
