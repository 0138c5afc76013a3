"""Who may read which mailbox, and whose mail comes into it: two look-ups, no files.

What comes over the wire is only ever looked up here. The name that leads on to the mailstore is
the one from the configuration, never the one that a client sent.
"""

import hashlib
import hmac
from collections.abc import Mapping

from popsync.server.settings import MailboxSettings


class Mailboxes:
    """The configured mailboxes."""

    def __init__(self, mailboxes: Mapping[str, MailboxSettings]) -> None:
        self.names = tuple(mailboxes)
        self._logins = {
            name.encode(): (name, _digest(mailbox.password.encode()))
            for name, mailbox in mailboxes.items()
        }
        self._owners = {
            address.lower(): name
            for name, mailbox in mailboxes.items()
            for address in mailbox.addresses
        }

    def authenticate(self, login: bytes, password: bytes) -> str | None:
        """Give the mailbox's name when ``password`` is that of ``login``, else None.

        An unknown login takes the same steps as a wrong password, so time does not tell them
        apart; digests of equal length are compared, so neither does the password's length.
        """
        name, expected = self._logins.get(login, (None, _NOBODY))
        return name if hmac.compare_digest(_digest(password), expected) else None

    def find_owner(self, address: str) -> str | None:
        """Give the mailbox that takes the mail of a recipient; None: nobody here.

        Case does not count, also left of the ``@``: as everybody expects, whatever RFC 5321 §2.4
        would allow.
        """
        return self._owners.get(address.lower())


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


# No password has this digest for all that is known, and with it no name belongs to it.
_NOBODY = bytes(32)
