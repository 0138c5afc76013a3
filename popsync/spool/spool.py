"""One file for each message that is still owed, durable before anybody is told so.

What the ledger calls spooled has a file here; a file that it does not speak of has no meaning: it
was being written when the process ended, or has been delivered since.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from popsync.errors import SpoolDamaged
from popsync.model import AccountId, Content, Keeping, MessageKey
from popsync.storage import (
    DurableSteps,
    Scratch,
    SharedSyncs,
    Writing,
    make_directories,
    run_in_thread,
)

SPOOL_NAME = "spool"

LEAST_FREE_OCTETS = 64 * 1024 * 1024
"""So much of the disk is left for the ledger and for others; twice a message that is larger."""

WORTH_WHILE_OCTETS = 1024 * 1024
"""With less room than this, or than a sixteenth of all, a spool counts as full."""

_FRESH = ".new"
_FULL = "it has reached its size, spool_size in [limits]"


def free_octets(directory: Path) -> int:
    """Give how much of the directory's disk may still be taken. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


class LocalSpool:
    """The copies of all accounts, in one directory (``poll.ports.Spool``).

    token: names the ledger; files of another one are left alone. max_octets: for all copies
    together. Blocking work is done in threads.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        token: str,
        scratch: Scratch,
        max_octets: int,
        steps: DurableSteps | None = None,
        syncs: SharedSyncs | None = None,
        free: Callable[[Path], int] = free_octets,
    ) -> None:
        self._state_dir = state_dir
        self._directory = state_dir / SPOOL_NAME
        self._token = token
        self._scratch = scratch
        self._steps = steps or DurableSteps()
        self._syncs = syncs or SharedSyncs(self._steps)
        self._free = free
        self.max_octets = max_octets
        self._held: dict[AccountId, dict[MessageKey, int]] = defaultdict(dict)
        self._octets = 0

    async def open(self, spooled: Mapping[MessageKey, int]) -> None:
        """Take what the ledger says is here, with its octets, for true, and all else away.

        To be called once, before anything else. Raises nothing: what cannot be taken away stays.
        """
        for message, octets in spooled.items():
            self._admit(message, octets)
        await run_in_thread(self._sweep, {self._path(message) for message in spooled})

    def held(self, account: AccountId) -> Collection[MessageKey]:
        """Give the account's messages that have a copy here."""
        return self._held[account].keys() if account in self._held else ()

    def has_room(self, octets: int = 0) -> bool:
        """Say whether it is worth while to retrieve so much, which may have to wait here."""
        return not self._refusal(max(octets, min(self.max_octets // 16, WORTH_WHILE_OCTETS)))

    async def keep(self, contents: Mapping[MessageKey, Content]) -> Keeping:
        """Make a copy of each, in order, until one is refused; those given are durable.

        A copy that is there is replaced. Raises nothing of the disk's: it is told in words.
        """
        admitted: dict[MessageKey, Content] = {}
        fresh: set[MessageKey] = set()
        trouble = ""
        for message, content in contents.items():
            if message not in self._held[message.account]:
                if trouble := self._refusal(content.octets):
                    break
                self._admit(message, content.octets)
                fresh.add(message)
            admitted[message] = content
        try:
            with self._syncs.writing() as writing:
                written, failure = await run_in_thread(self._write_all, admitted, fresh, writing)
                await writing.sync()
        except OSError as error:
            written, failure = set(), error.strerror or str(error)
        await self.release(fresh - written)
        return Keeping(frozenset(written), failure or trouble)

    async def fetch(self, message: MessageKey) -> Content:
        """Give a message's content, the same octets that were kept. Raises SpoolDamaged."""
        return await run_in_thread(self._read, message)

    async def release(self, messages: Iterable[MessageKey]) -> None:
        """Take copies away that nobody is owed any more; one that stays is swept later."""
        held = {message for message in messages if message in self._held[message.account]}
        for message in held:
            self._octets -= self._held[message.account].pop(message)
        if held:
            await run_in_thread(self._unlink, [self._path(message) for message in held])

    # -- the bounds --------------------------------------------------------------------------

    def _refusal(self, octets: int) -> str:
        """Say why a copy of so many octets may not be made; empty when it may."""
        if self._octets + octets > self.max_octets:
            return _FULL
        least = max(LEAST_FREE_OCTETS, 2 * octets)
        try:
            free = self._free(self._state_dir)
        except OSError as error:
            return error.strerror or str(error)
        return "" if free - octets >= least else f"only {free} octets of its disk are free"

    def _admit(self, message: MessageKey, octets: int) -> None:
        self._held[message.account][message] = octets
        self._octets += octets

    # -- the files ---------------------------------------------------------------------------

    def _path(self, message: MessageKey) -> Path:
        return spooled_path(self._state_dir, self._token, message)

    def _write_all(
        self,
        contents: Mapping[MessageKey, Content],
        fresh: Container[MessageKey],
        writing: Writing,
    ) -> tuple[set[MessageKey], str]:
        """Give the messages that have a copy now, and why others have none.

        The copies are durable, or are so after ``writing.sync`` where that is shared. Raises
        OSError when none is.
        """
        written: set[MessageKey] = set()
        trouble = ""
        make_directories(self._directory, self._steps)
        writing.begin(str(self._directory), files=len(contents))
        for message, content in contents.items():
            # What is replaced may be the last good copy until the new one is durable.
            shares = writing.shares and message in fresh
            try:
                self._write(self._path(message), content, shares=shares)
            except OSError as error:
                trouble = error.strerror or str(error)
                break
            written.add(message)
        if written and not writing.shares:
            self._steps.sync_directory(self._directory)
        return written, trouble

    def _write(self, path: Path, content: Content, *, shares: bool) -> None:
        """Make or replace one copy; its name is durable after the directory's sync."""
        fresh = path.with_name(path.name + _FRESH)
        put = self._steps.leave_file if shares else self._put_synced
        try:
            try:
                put(str(fresh), content.chunks())
            except FileExistsError:  # left by a try that could not even take it back
                self._steps.unlink(fresh)
                put(str(fresh), content.chunks())
            self._steps.rename(fresh, path)
        except OSError:
            self._unlink([fresh])
            raise

    def _put_synced(self, path: str, chunks: Iterable[bytes]) -> None:
        self._steps.sync_file(self._steps.write_file(path, chunks))

    def _read(self, message: MessageKey) -> Content:
        path = self._path(message)
        try:
            content = self._scratch.read_file(path)
        except OSError as error:
            words = f"the copy in the spool cannot be read: {path}: {error.strerror or error}"
            raise SpoolDamaged(words) from error
        if content.digest != message.digest:
            content.close()
            raise SpoolDamaged(f"the copy in the spool is damaged: {path}")
        return content

    def _unlink(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with suppress(OSError):
                self._steps.unlink(path)

    def _sweep(self, keep: Collection[Path]) -> None:
        with suppress(OSError):
            ours = [p for p in self._directory.iterdir() if p.name.startswith(f"{self._token}-")]
            self._unlink(path for path in ours if path not in keep)


def spooled_path(state_dir: Path, token: str, message: MessageKey) -> Path:
    """Give where a message's copy lies; the name says nothing of account or message."""
    account, unique_id, digest = message
    named = sha256(b"\0".join((account.encode(), unique_id, digest))).hexdigest()
    return state_dir / SPOOL_NAME / f"{token}-{named[:32]}"
