"""Keeps what must not be shown out of what is shown (P7)."""

_MASK = b"***"
_LEAST_CUT_OCTETS = 3


class Secrecy:
    """Knows the secrets of one session; ``repr`` and errors never show them."""

    def __init__(self) -> None:
        self._secrets: list[bytes] = []

    def keep(self, *secrets: bytes) -> None:
        """Mask these from now on, in capitals as well: response codes are shown in capitals."""
        self._secrets += {form for secret in secrets for form in (secret, secret.upper()) if form}
        self._secrets.sort(key=len, reverse=True)

    def mask(self, octets: bytes) -> bytes:
        """Give ``octets`` without secrets, a secret cut short at their end included."""
        for secret in self._secrets:
            octets = octets.replace(secret, _MASK)
        for secret in self._secrets:
            octets = _without_cut_secret(octets, secret)
        return octets


def _without_cut_secret(octets: bytes, secret: bytes) -> bytes:
    for kept in range(min(len(secret), len(octets)), _LEAST_CUT_OCTETS - 1, -1):
        if octets.endswith(secret[:kept]):
            return octets[:-kept] + _MASK
    return octets
