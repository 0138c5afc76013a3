"""Which addresses may reach the wire (RFC 5321 §4.1.2, RFC 6531 §3.3), stricter where it is safer.

No source routes, no space and no angle bracket even where quoting would allow them: nothing in an
address may end it early for a server that reads less strictly than we write.
"""

import re
from functools import lru_cache

MAX_MAILBOX_OCTETS = 254
"""RFC 5321 §4.5.3.1.3: a path has 256 octets at most, angle brackets included.

The 64 octets for a local part (§4.5.3.1.1) are not demanded: bounce addresses of large senders
are longer.
"""

# Beyond ASCII all but C1 controls, line separators, surrogates and what is no character.
_WIDE = "\u00a1-\u1fff\u2030-\u205e\u2c00-\ud7ff\uf900-\ufdcf\ufdf0-\ufffc\U00010000-\U0003fffd"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_WIDE}-]+"
_DOT_STRING = rf"{_ATOM}(?:\.{_ATOM})*"
_QUOTED = rf'"(?:[!#-;=?-\[\]-~{_WIDE}]|\\[!-;=?-~])+"'
_LABEL = rf"[A-Za-z0-9{_WIDE}](?:[A-Za-z0-9{_WIDE}-]*[A-Za-z0-9{_WIDE}])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-Fa-f:.]{2,45})\]"

# Compiled by re at their first use, and kept there: it takes 10 ms, and a Maildir needs none.
_MAILBOX = rf"(?:{_DOT_STRING}|{_QUOTED})@(?:{_DOMAIN}|{_LITERAL})"
_HOST = re.compile(rf"[A-Za-z0-9_.-]{{1,255}}|{_LITERAL}")


@lru_cache(maxsize=1024)
def is_mailbox(address: str) -> bool:
    """Tell whether ``address`` is a strict ``local-part@domain``; needs SMTPUTF8 if not ASCII."""
    return _fits(address) and re.fullmatch(_MAILBOX, address) is not None


@lru_cache(maxsize=1024)
def is_recipient(address: str) -> bool:
    """Tell whether ``address`` is a mailbox or a bare local part, a user of the server's own."""
    return is_mailbox(address) or (
        _fits(address) and re.fullmatch(_DOT_STRING, address) is not None
    )


def is_host_name(name: str) -> bool:
    """Tell whether ``name`` may stand in EHLO: a domain or an address literal."""
    return _HOST.fullmatch(name) is not None


def _fits(address: str) -> bool:
    return len(address.encode("utf-8", "surrogatepass")) <= MAX_MAILBOX_OCTETS
