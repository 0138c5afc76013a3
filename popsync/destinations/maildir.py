"""Delivery into a Maildir, each message exactly once (P4).

Write ``tmp/<name>`` and sync it, record STAGED with the name, move to ``new/``, sync the
directories, record the receipt. After a crash a file in ``tmp/`` is moved on, and a file that is
no longer there was moved already, whatever a reader has done with it since.
"""

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from popsync.destinations.maildir_file import FileNames
from popsync.destinations.maildir_folder import Found, MaildirFolder, StagedFile
from popsync.errors import (
    DeliveryDeferred,
    DeliveryInDoubt,
    DeliveryRejected,
    DeliveryUndone,
    DestinationUnavailable,
    LedgerError,
)
from popsync.model import (
    DeliveryKey,
    DeliveryState,
    Intent,
    Journal,
    MessageKey,
    Outcome,
    Parcel,
    Receipt,
    Refusal,
)
from popsync.storage import DurableSteps, SharedSyncs, Writing, run_in_thread

T = TypeVar("T")

RECIPIENT = ""
"""A Maildir's only one."""

CLEANED_AFTER_S = 24 * 3600.0
"""maildir(5) lets cleaners take what lay in ``tmp/`` for 36 hours; we believe in them sooner."""

STEP_S = 120.0
MESSAGE_S = 1.0
MIN_OCTETS_PER_S = 64 * 1024.0
"""What the slowest disk gets done that is still waited for."""

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "raise the quota or free some space",
    errno.EROFS: "it is mounted read-only",
    errno.EACCES: "give the user that popsync runs as write access",
    errno.EPERM: "give the user that popsync runs as write access",
    errno.ENOENT: "it has disappeared; is its disk mounted?",
    errno.ENOTDIR: "it has disappeared; is its disk mounted?",
    errno.EIO: "its disk may be failing",
    errno.EMFILE: "allow more open files",
}


class MaildirDestination:
    """One Maildir; made at its first use, never made again while popsync runs.

    ``token`` is the ledger's own: by it popsync knows its files again. ``syncs`` is what Maildirs
    on one file system share. Blocking work is done in threads, and a step once begun is finished
    before a cancellation is passed on.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        token: str,
        hostname: str,
        steps: DurableSteps | None = None,
        syncs: SharedSyncs | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        steps = steps or DurableSteps()
        self.name = name
        self._path = path
        self._clock = clock
        self._syncs = syncs or SharedSyncs(steps)
        self._folder = MaildirFolder(path, FileNames(token, hostname), steps=steps)
        self._used = False
        self._doubtful: list[str] = []

    async def ready(self) -> None:
        """Make the Maildir if this is its first use; make sure that it takes mail.

        Raises DestinationUnavailable; DestinationMisconfigured when somebody must mend it.
        """
        with self._explained():
            await _finished(run_in_thread(self._prepare))

    async def probe(self) -> None:
        """Find out whether it takes mail, or can be made, making nothing.

        Raises as ``ready`` does.
        """
        with self._explained():
            await run_in_thread(self._folder.probe)

    async def deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        """Deliver all, or none when the Maildir cannot be written to.

        Raises DestinationUnavailable; LedgerError when the journal refuses.
        """
        # Files whose STAGED failed cannot be taken back yet; so that a ledger that goes on
        # failing does not fill the disk, one message has to find out how it is.
        probe = 1 if self._doubtful else len(parcels)
        for some in (parcels[:probe], parcels[probe:]):
            if some:
                await self._deliver(some, journal)

    async def recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        """Finish the moves that a crash left open, without the server.

        A message that may have been lost on the way comes back as DeliveryUndone: rather a
        second copy than none. Raises DestinationUnavailable when the Maildir is not there.
        """
        if not intents:
            return ()
        self._used = True
        with self._explained():
            return await _finished(run_in_thread(self._recover, intents))

    async def sweep(self, keep: Collection[str]) -> int:
        """Remove what earlier crashes left in ``tmp/``; give how many files went.

        ``keep``: the names that open intents speak of. To be called once, before any delivery.
        """
        with self._explained():
            return await _finished(run_in_thread(self._folder.sweep, keep))

    @staticmethod
    def patience_s(parcels: Sequence[Parcel]) -> float:
        """Give how long the disk may keep us waiting for one step; a slow card is no dead one."""
        octets = sum(parcel.content.octets for parcel in parcels)
        return STEP_S + MESSAGE_S * len(parcels) + octets / MIN_OCTETS_PER_S

    # -- before ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if not self._used:
            self._folder.create()
        self._folder.check()
        self._used = True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain(error) from error

    def _explain(self, error: OSError) -> DestinationUnavailable:
        advice = _ADVICE.get(error.errno or 0, "")
        words = f"Maildir {self._path}: {error.strerror or error}"
        return DestinationUnavailable(f"{words}; {advice}" if advice else words)

    # -- delivery ----------------------------------------------------------------------------

    async def _deliver(self, parcels: Sequence[Parcel], journal: Journal) -> None:
        with self._syncs.writing() as writing:
            staged, refusals = await self._stage(parcels, writing)
            await self._announce(staged, refusals, journal)
            if staged:
                await _finished(self._publish(staged, journal, writing))

    async def _stage(
        self, parcels: Sequence[Parcel], writing: Writing
    ) -> tuple[Sequence[StagedFile], Sequence[Refusal]]:
        staged: list[StagedFile] = []
        try:
            with self._explained():
                too_large = await _finished(self._write(parcels, staged, writing))
        except BaseException:
            self._folder.discard([file.name for file in staged])
            raise
        return staged, [self._refuse_large(parcel, error) for parcel, error in too_large]

    async def _write(
        self, parcels: Sequence[Parcel], staged: list[StagedFile], writing: Writing
    ) -> Sequence[tuple[Parcel, OSError]]:
        too_large = await run_in_thread(self._folder.stage, parcels, staged, writing)
        await writing.sync()
        return too_large

    async def _announce(
        self, staged: Sequence[StagedFile], refusals: Sequence[Refusal], journal: Journal
    ) -> None:
        """Record STAGED. Should that fail, the files stay for now.

        A transaction that failed at its sync can still come to life when the ledger is next
        opened after a crash; without its files it would then speak of messages as arrived.
        Another transaction's success rules that out.
        """
        try:
            await journal.record(refusals, [self._intent(file) for file in staged])
        except LedgerError:
            self._doubtful += [file.name for file in staged]
            raise
        self._folder.discard(self._doubtful)
        self._doubtful.clear()

    async def _publish(
        self, staged: Sequence[StagedFile], journal: Journal, writing: Writing
    ) -> None:
        names = [file.name for file in staged]
        with self._explained():
            taken = await run_in_thread(self._folder.publish, names, writing)
            await writing.sync()
        await journal.record(
            [
                self._refuse_taken(file.parcel.message, file.name)
                if file.name in taken
                else Receipt(self._delivery(file.parcel.message), file.name)
                for file in staged
            ],
            (),
        )
        self._folder.discard(taken)

    def _delivery(self, message: MessageKey) -> DeliveryKey:
        return DeliveryKey(message, self.name, RECIPIENT)

    def _intent(self, file: StagedFile) -> Intent:
        return Intent(
            file.parcel.message, self.name, (RECIPIENT,), DeliveryState.STAGED, file.name
        )

    def _refuse_large(self, parcel: Parcel, error: OSError) -> Refusal:
        where = "this file system or its limits"
        if error.errno != errno.EFBIG:
            where = f"a message of {parcel.content.octets} octets; {_ADVICE[error.errno or 0]}"
        words = f"Maildir {self._path}: {error.strerror} for {where}"
        return Refusal(self._delivery(parcel.message), DeliveryDeferred(words))

    def _refuse_taken(self, message: MessageKey, name: str) -> Refusal:
        words = f"Maildir {self._path}: another file is called new/{name}"
        return Refusal(self._delivery(message), DeliveryRejected(words))

    # -- recovery ----------------------------------------------------------------------------

    def _recover(self, intents: Sequence[Intent]) -> Sequence[Outcome]:
        self._folder.check()
        staged = [intent.staged_as for intent in intents if intent.state is DeliveryState.STAGED]
        found = self._folder.resume(staged)
        return [
            self._conclude(intent, delivery, found.get(intent.staged_as))
            for intent in intents
            for delivery in intent.deliveries
        ]

    def _conclude(self, intent: Intent, delivery: DeliveryKey, found: Found | None) -> Outcome:
        match found:
            case None:
                words = "it was being sent by SMTP or LMTP when this was not a Maildir yet"
                return Refusal(delivery, DeliveryInDoubt(words))
            case Found.TAKEN:
                return self._refuse_taken(intent.message, intent.staged_as)
            case Found.ELSEWHERE:
                return self._undo(delivery, "it was put into another directory")
            case Found.ABSENT if self._clock() - intent.recorded_at > CLEANED_AFTER_S:
                return self._undo(delivery, "somebody may have cleaned tmp/ before it was moved")
            case Found.ARRIVED | Found.ABSENT:
                return Receipt(delivery, intent.staged_as)

    def _undo(self, delivery: DeliveryKey, why: str) -> Refusal:
        return Refusal(delivery, DeliveryUndone(f"Maildir {self._path}: {why}"))


async def _finished(work: Awaitable[T]) -> T:
    """Wait until ``work`` has ended, also when cancelled; then pass the cancellation on."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: the cancellation goes first
        raise
