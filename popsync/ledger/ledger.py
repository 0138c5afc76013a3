"""The ledger as the rooms above use it: questions on one thread, transactions on another."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from sqlite3 import Connection
from typing import TypeVar

from popsync.ledger import polling, recording, rerouting, spooling
from popsync.ledger.lock import StateLock
from popsync.ledger.presence import Presence
from popsync.ledger.reading import LedgerReader
from popsync.ledger.reports import AccountReport, HeldDelivery, StoredStanding
from popsync.ledger.writer import NoWriter, Work, Writer
from popsync.model import (
    AccountId,
    AccountMemory,
    AccountOutset,
    DeliveryChange,
    DeliveryKey,
    DeliveryStatus,
    Digest,
    Hint,
    Intent,
    MessageKey,
    MessageNumber,
    PollSummary,
    Quiet,
    SeenMessage,
    SpooledMessage,
    UniqueId,
    UnretrievedMessage,
)

T = TypeVar("T")
Clock = Callable[[], float]


class SqliteLedger:
    """The durable memory; ``poll.ports.Ledger`` and the questions of the commands.

    Every method that writes is one transaction, durable on return (P1, P2). All raise
    LedgerUnavailable or LedgerCorrupt. ``token``: 16 hex digits of this ledger's own, by which
    its files are known.
    """

    def __init__(
        self,
        reader: LedgerReader,
        writer: Writer | NoWriter,
        lock: StateLock | None,
        *,
        token: str,
        clock: Clock,
        presence: Presence | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = lock
        self._clock = clock
        self._presence = presence
        self._questions = ThreadPoolExecutor(1, thread_name_prefix="popsync-ledger-reader")
        self.token = token

    # -- for a poll --------------------------------------------------------------------------

    async def outset(self, account: AccountId) -> AccountOutset:
        """Give what a session must know before it begins; takes the same time for any history."""
        return await self._ask(lambda reader: reader.outset(account))

    async def memory(self, account: AccountId) -> AccountMemory:
        """Give all that is known of the account."""
        return await self._ask(lambda reader: reader.memory(account))

    async def deliveries(
        self, messages: Sequence[MessageKey]
    ) -> Mapping[MessageKey, Mapping[DeliveryKey, DeliveryStatus]]:
        """Give an entry for each of ``messages`` that is known, empty when none was ever owed."""
        return await self._ask(lambda reader: reader.deliveries(messages))

    async def known_digests(
        self, account: AccountId, digests: Sequence[Digest]
    ) -> frozenset[Digest]:
        """Give those of ``digests`` that the account has ever brought and that are settled."""
        return await self._ask(lambda reader: reader.known_digests(account, digests))

    async def open_intents(self, account: AccountId) -> Sequence[Intent]:
        """Give the STAGED and DOT_SENT deliveries: what a crash left open."""
        return await self._ask(lambda reader: reader.open_intents(account))

    async def record(self, seen: Sequence[SeenMessage], changes: Sequence[DeliveryChange]) -> None:
        """Remember messages with the deliveries they owe, then change deliveries.

        Raises LedgerError for a delivery that is not known, or a state that may not follow.
        """
        if not seen and not changes:
            return
        now = self._clock()
        await self._write(lambda connection: recording.record(connection, seen, changes, now=now))

    async def take_over(
        self,
        seen: Sequence[SeenMessage],
        changes: Sequence[DeliveryChange],
        former: Sequence[MessageKey],
    ) -> None:
        """Record what renamed messages owe, and let the ones in the spool that they were end."""
        now = self._clock()

        def take_over(connection: Connection) -> None:
            recording.record(connection, seen, changes, now=now)
            spooling.retire(connection, former, now=now)

        await self._write(take_over)

    async def spooled(self, account: AccountId) -> Sequence[SpooledMessage]:
        """Give what the account still owes of messages that have a copy in the spool."""
        return await self._ask(lambda reader: reader.spooled(account))

    async def note_spooled(self, messages: Collection[MessageKey]) -> None:
        """Remember that messages have a sound copy in the spool."""
        await self._write(lambda connection: spooling.note_spooled(connection, messages))

    async def note_damaged(self, message: MessageKey, reason: str) -> None:
        """Remember that a copy cannot be used; held, if the maildrop shows it no more either."""
        now = self._clock()
        await self._write(
            lambda connection: spooling.note_damaged(connection, message, reason, now=now)
        )

    async def reroute(self, account: AccountId, routes: Collection[tuple[str, str]]) -> int:
        """Let undelivered messages follow ``routes``; give how many deliveries were held now."""
        now = self._clock()
        return await self._write(
            lambda connection: rerouting.reroute(connection, account, routes, now=now)
        )

    async def note_unretrieved(
        self, account: AccountId, messages: Sequence[UnretrievedMessage]
    ) -> None:
        """Remember messages that were not retrieved."""
        now = self._clock()
        await self._write(
            lambda connection: recording.note_unretrieved(connection, account, messages, now=now)
        )

    async def note_deletions(self, account: AccountId, unique_ids: Sequence[UniqueId]) -> None:
        """Count a DELE that is about to be issued for each."""
        await self._write(
            lambda connection: polling.note_deletions(connection, account, unique_ids)
        )

    async def note_undeleted(self, account: AccountId, unique_ids: Sequence[UniqueId]) -> None:
        """Forget the one DELE of each: what is listed since was looked at, and stays."""
        await self._write(
            lambda connection: polling.note_undeleted(connection, account, unique_ids)
        )

    async def close_listing(
        self, account: AccountId, *, gone: Sequence[UniqueId], renumbering: bool
    ) -> None:
        """Take a complete listing as read: bury what it no longer shows, mark it polled."""
        now = self._clock()
        await self._write(
            lambda connection: polling.close_listing(
                connection, account, gone, renumbering=renumbering, now=now
            )
        )

    async def note_lock_step(self, account: AccountId) -> None:
        """Remember that this account's server cannot be trusted with pipelining."""
        await self._write(lambda connection: polling.note_lock_step(connection, account))

    async def note_content_keys(self, account: AccountId) -> None:
        """Remember that this account's unique-ids mean nothing from one session to the next."""
        await self._write(lambda connection: polling.note_content_keys(connection, account))

    async def note_hints(self, account: AccountId, hints: Mapping[MessageNumber, Hint]) -> None:
        """Remember these hints in the place of all earlier ones."""
        await self._write(lambda connection: polling.note_hints(connection, account, hints))

    async def note_poll(
        self,
        account: AccountId,
        summary: PollSummary,
        *,
        can_wait: bool = False,
        quiet: Quiet | None = None,
    ) -> None:
        """Remember what a poll came to.

        can_wait: it may be written with the next transaction, and a crash before that undo it.
        quiet: is remembered as well, if its stamp is still that of the account.
        """

        def work(connection: sqlite3.Connection) -> None:
            polling.note_poll(connection, account, summary, quiet)

        if not (can_wait and self._writer.put_off(work)):
            await self._write(work)

    # -- for the daemon ----------------------------------------------------------------------

    async def standings(self) -> Mapping[AccountId, StoredStanding]:
        """Give how each known account stood with the daemon when it last said so."""
        return await self._ask(LedgerReader.standings)

    async def note_standing(self, account: AccountId, standing: str) -> None:
        """Remember how the daemon goes about an account, in its own words."""
        await self._write(lambda connection: polling.note_standing(connection, account, standing))

    async def set_paused(self, account: AccountId, *, paused: bool) -> None:
        """Remember whether the operator wants an account not to be polled."""
        await self._write(
            lambda connection: polling.set_paused(connection, account, paused=paused)
        )

    async def catch_up(self) -> None:
        """Write what was put off."""
        await self._write(lambda _connection: None)

    async def check(self) -> None:
        """Make sure that nobody has removed or replaced the file. Raises LedgerCorrupt."""
        if self._presence is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._questions, self._presence.check)

    async def all_spooled(self) -> Mapping[MessageKey, int]:
        """Give the messages of all accounts that have a copy in the spool, with their octets."""
        return await self._ask(LedgerReader.all_spooled)

    async def staged_names(self) -> frozenset[str]:
        """Give the names of all files that open intents of any account speak of."""
        return await self._ask(LedgerReader.staged_names)

    # -- for the commands --------------------------------------------------------------------

    async def accounts(self) -> Sequence[AccountReport]:
        """Give where each account stands that was ever polled, by name."""
        return await self._ask(LedgerReader.accounts)

    async def in_doubt(self) -> int:
        """Count the deliveries whose reply was lost and that are to be sent again."""
        return await self._ask(LedgerReader.in_doubt)

    async def held(self) -> Sequence[HeldDelivery]:
        """Give what was set aside or waits in the spool, oldest first, a row for each delivery."""
        return await self._ask(LedgerReader.held)

    async def held_message(self, number: int) -> Sequence[HeldDelivery]:
        """Give the rows of one message; none when it is not, or no longer, held."""
        return await self._ask(lambda reader: reader.held_message(number))

    async def retry_held(self, number: int) -> bool:
        """Let a message be tried at the next poll; False when it is neither held nor spooled."""
        now = self._clock()
        return await self._write(
            lambda connection: recording.retry_held(connection, number, now=now)
        )

    async def drop_held(self, number: int) -> bool:
        """Give a message up for good; it is neither delivered nor deleted on the server.

        False when it is not held, or not spooled and some destination may still take it.
        """
        return await self._write(lambda connection: recording.drop_held(connection, number))

    # -- the end -----------------------------------------------------------------------------

    async def close(self) -> None:
        """Finish what was begun, then let go of file, threads and lock. Idempotent."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._questions.shutdown()
        if self._presence is not None:
            self._presence.rescue(self._reader.copy_to)
        self._reader.close()
        self._writer.close()  # the last connection: SQLite folds the write-ahead log in
        if self._lock is not None:
            self._lock.release()

    async def _ask(self, question: Callable[[LedgerReader], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._questions, question, self._reader)

    async def _write(self, work: Work[T]) -> T:
        return await self._writer.submit(work)
