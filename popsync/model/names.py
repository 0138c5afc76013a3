"""What accounts and messages are known by."""

from typing import NewType

AccountId = NewType("AccountId", str)
"""``user@host`` with the host in lower case: what the ledger knows an account by."""

MessageNumber = NewType("MessageNumber", int)
"""1…n, valid in one session only."""

UniqueId = NewType("UniqueId", bytes)
"""What UIDL names a message by, as the server sent it; not an identity (RFC 1939 §7).

Or a content key (``popsync.poll.content_keys``), where the server gives none that can be used.
"""

NAMELESS = UniqueId(b"")
"""In the place of a unique-id that the server does not give, or not one that can be used."""

Digest = NewType("Digest", bytes)
"""SHA-256 of a message's content."""
