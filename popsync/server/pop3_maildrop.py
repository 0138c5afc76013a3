"""The messages that one session holds, and the deletions it has asked for so far."""

from collections.abc import Iterator, Sequence

from popsync.server.mailstore import StoredMessage
from popsync.wire.pop3.replies import Totals


class LockedMaildrop:
    """A maildrop as it was at login; what arrives later is for the next session.

    A message marked as deleted has no number any more until ``reset`` (RFC 1939 §5).
    """

    def __init__(self, messages: Sequence[StoredMessage]) -> None:
        self._messages = dict(enumerate(messages, start=1))
        self._deleted: dict[int, StoredMessage] = {}

    def get(self, number: int) -> StoredMessage | None:
        """Give a message that is there and not deleted."""
        return None if number in self._deleted else self._messages.get(number)

    def listed(self) -> Iterator[tuple[int, StoredMessage]]:
        """Give every message that is not deleted with its number, in order."""
        return (row for row in self._messages.items() if row[0] not in self._deleted)

    def totals(self) -> Totals:
        """Give what STAT tells: deleted messages do not count."""
        octets = [message.octets for _, message in self.listed()]
        return Totals(len(octets), sum(octets))

    def mark_deleted(self, number: int) -> None:
        """Delete it at QUIT, unless there is a ``reset`` before."""
        self._deleted[number] = self._messages[number]

    def reset(self) -> None:
        """Forget all deletions."""
        self._deleted.clear()

    def doomed(self) -> list[StoredMessage]:
        """Give what is to be deleted, in the order it was asked for."""
        return list(self._deleted.values())
