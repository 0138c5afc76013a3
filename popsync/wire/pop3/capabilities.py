"""What CAPA tells (RFC 2449 §5 and §6, RFC 2595 §4, RFC 6856 §2)."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_SECONDS = re.compile(r"[0-9]{1,9}")


class Capabilities(NamedTuple):
    """What a server says it can do; the default is one that knows no CAPA."""

    pipelining: bool = False
    stls: bool = False
    user: bool = False
    uidl: bool = False
    top: bool = False
    utf8: bool = False
    resp_codes: bool = False
    auth_resp_code: bool = False
    sasl: tuple[str, ...] = ()
    """Mechanisms in upper case, in the server's order."""
    login_delay_s: int = 0
    expire: str = ""
    """``NEVER``, or days that messages are kept; empty when it does not say."""
    implementation: str = ""


_FLAGS = {
    "PIPELINING": "pipelining",
    "STLS": "stls",
    "USER": "user",
    "UIDL": "uidl",
    "TOP": "top",
    "UTF8": "utf8",
    "RESP-CODES": "resp_codes",
    "AUTH-RESP-CODE": "auth_resp_code",
}


def parse_capabilities(rows: Iterable[bytes]) -> Capabilities:
    """Read CAPA's rows: any case, unknown tags and odd arguments ignored, the first one counts."""
    told: dict[str, list[str]] = {}
    for row in rows:
        tag, *arguments = row.decode("ascii", "replace").split() or [""]
        told.setdefault(tag.upper(), arguments)
    delay = " ".join(told.get("LOGIN-DELAY", [])[:1])
    return Capabilities(
        **{name: tag in told for tag, name in _FLAGS.items()},
        sasl=tuple(dict.fromkeys(name.upper() for name in told.get("SASL", []))),
        login_delay_s=int(delay) if _SECONDS.fullmatch(delay) and delay.isascii() else 0,
        expire=" ".join(told.get("EXPIRE", [])[:1]).upper(),
        implementation=" ".join(told.get("IMPLEMENTATION", [])),
    )


def format_capabilities(capabilities: Capabilities) -> tuple[bytes, ...]:
    """Give CAPA's rows without their CRLF."""
    return tuple(row.encode("ascii") for row in _rows(capabilities))


def _rows(told: Capabilities) -> Iterator[str]:
    yield from (tag for tag, name in _FLAGS.items() if getattr(told, name))
    if told.sasl:
        yield "SASL " + " ".join(told.sasl)
    if told.login_delay_s:
        yield f"LOGIN-DELAY {told.login_delay_s}"
    if told.expire:
        yield f"EXPIRE {told.expire}"
    if told.implementation:
        yield f"IMPLEMENTATION {told.implementation}"
