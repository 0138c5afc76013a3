"""Every durable step of a delivery into a Maildir, failing and dying in turn (P1, P2, P4)."""

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import pytest

from popsync.destinations.maildir import MaildirDestination
from popsync.errors import DestinationUnavailable, LedgerError
from popsync.ledger import open_ledger
from popsync.model import MessageState
from popsync.storage import DurableSteps
from popsync.storage.shared_sync import LEAST_FILES
from tests.doubles.retrieved import ACCOUNT, RECEIVED_AT, deliver_missing, make_parcel
from tests.doubles.steps import Death, Died, ScriptedSteps

PARCELS = [
    make_parcel(b"uid%d" % n, b"Subject: %d\r\n\r\nbody\r\n" % n) for n in range(LEAST_FILES)
]
DELAYED_S = 60.0
FEW = 3
MANY = len(PARCELS)
"""So many that their file system is synced, and not each of them."""


def bodies(messages: int) -> list[bytes]:
    """Give the first so many as they are to arrive, sorted."""
    return sorted(b"Subject: %d\n\nbody\n" % n for n in range(messages))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Give a directory in memory where there is one: losing what is not synced is simulated."""
    memory = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


async def run_poll(root: Path, steps: DurableSteps, messages: int = FEW) -> None:
    """Start, recover, deliver, end: all that is durable goes through ``steps``."""
    ledger = await open_ledger(root / "state", steps=steps, clock=lambda: RECEIVED_AT)
    try:
        destination = MaildirDestination(
            "inbox",
            root / "Mail",
            token=ledger.token,
            hostname="host",
            steps=steps,
            clock=lambda: RECEIVED_AT + DELAYED_S,
        )
        await destination.sweep(await ledger.staged_names())
        await deliver_missing(ledger, destination, PARCELS[:messages])
    finally:
        await ledger.close()


async def open_both(root: Path) -> None:
    """Make an empty ledger and Maildir."""
    ledger = await open_ledger(root / "state")
    destination = MaildirDestination("inbox", root / "Mail", token=ledger.token, hostname="host")
    await destination.ready()
    await ledger.close()


async def states(root: Path) -> list[MessageState]:
    """Give where each known message stands."""
    ledger = await open_ledger(root / "state")
    memory = await ledger.memory(ACCOUNT)
    await ledger.close()
    return [message.state for same in memory.messages.values() for message in same]


async def count_steps(root: Path, messages: int = FEW) -> int:
    """Count the durable steps of an undisturbed start and poll."""
    steps = ScriptedSteps()
    await run_poll(root, steps, messages)
    return len(steps.log)


class Reader:
    """A mail program that sees what comes into ``new/``, and keeps count."""

    def __init__(self, root: Path) -> None:
        self._mail = root / "Mail"
        self.taken: list[bytes] = []

    def ignore(self) -> None:
        """Look at nothing."""

    def read(self) -> None:
        """Move all to ``cur/`` with flags."""
        for path in self._arrived("new"):
            path.rename(self._mail / "cur" / f"{path.name}:2,S")

    def delete(self) -> None:
        """Take all away."""
        for path in self._arrived("new"):
            self.taken.append(path.read_bytes())
            path.unlink()

    def everything(self) -> list[bytes]:
        """Give all messages that ever arrived, sorted."""
        there = [path.read_bytes() for place in ("new", "cur") for path in self._arrived(place)]
        return sorted(self.taken + there)

    def _arrived(self, place: str) -> list[Path]:
        directory = self._mail / place
        return list(directory.iterdir()) if directory.exists() else []


READERS: list[Callable[[Reader], None]] = [Reader.ignore, Reader.read, Reader.delete]


@pytest.mark.parametrize("death", list(Death), ids=lambda death: death.name)
@pytest.mark.parametrize("use", READERS, ids=lambda use: use.__name__)
@pytest.mark.parametrize("messages", [FEW, MANY])
async def test_dying_at_any_step_delivers_each_message_exactly_once(
    tmp_path: Path, death: Death, use: Callable[[Reader], None], messages: int
) -> None:
    """Killed or cut at the n-th step, for every n, then started again (P4)."""
    last = await count_steps(tmp_path / "undisturbed", messages)
    for n in range(1, last + 1):
        root = tmp_path / str(n)
        reader = Reader(root)
        with pytest.raises(Died):
            await run_poll(root, ScriptedSteps(n, death=death), messages)
        use(reader)
        await run_poll(root, DurableSteps(), messages)
        use(reader)
        await run_poll(root, DurableSteps(), messages)

        assert reader.everything() == bodies(messages), f"step {n}"
        assert await states(root) == [MessageState.SETTLED] * messages
        assert list((root / "Mail" / "tmp").iterdir()) == []


async def test_dying_again_during_recovery_delivers_each_message_exactly_once(
    tmp_path: Path,
) -> None:
    """Two power cuts in a row, at every pair of steps after the first start (P4)."""
    await open_both(tmp_path / "new")
    copytree(tmp_path / "new", tmp_path / "undisturbed")
    last = await count_steps(tmp_path / "undisturbed")
    for first in range(1, last + 1):
        for second in range(1, last + 1):
            root = tmp_path / f"{first}-{second}"
            copytree(tmp_path / "new", root)
            with suppress(Died):
                await run_poll(root, ScriptedSteps(first, death=Death.POWER))
            with suppress(Died):
                await run_poll(root, ScriptedSteps(second, death=Death.POWER))
            await run_poll(root, DurableSteps())

            assert Reader(root).everything() == bodies(FEW), f"steps {first} and {second}"


@pytest.mark.parametrize("messages", [FEW, MANY])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_failing_step_loses_nothing_and_shows_nothing_half(
    tmp_path: Path, code: int, messages: int
) -> None:
    """The n-th step fails, for every n: an error, no partial message, and all well next time.

    A message for which there is no room is put off, and those that fit arrive: no error then.
    """
    last = await count_steps(tmp_path / "undisturbed", messages)
    for n in range(1, last + 1):
        root = tmp_path / str(n)
        failure = OSError(code, "injected")
        errors = DestinationUnavailable, LedgerError
        with pytest.raises(errors) if code != errno.ENOSPC else suppress(*errors):
            await run_poll(root, ScriptedSteps(n, error=failure), messages)
        after_failure = Reader(root).everything()
        await run_poll(root, DurableSteps(), messages)

        assert set(after_failure) <= set(bodies(messages)), f"step {n}"
        assert Reader(root).everything() == bodies(messages), f"step {n}"
        assert list((root / "Mail" / "tmp").iterdir()) == []


async def test_every_step_comes_in_its_order(tmp_path: Path) -> None:
    """Content before name before STAGED before move before receipt (P1, P2)."""
    await run_poll(tmp_path, ScriptedSteps())
    more = ScriptedSteps()
    await run_poll(tmp_path, more, FEW + 1)

    assert [step.partition(" 17")[0] for step in more.log] == [
        "write",
        "sync file",
        "sync tmp/",
        "commit",
        "rename to new/",
        "sync new/",
        "sync cur/",
        "sync tmp/",
        "commit",
    ]


async def test_many_messages_take_two_syncs(tmp_path: Path) -> None:
    """Contents and names before STAGED, moves before the receipts (P1, P2, P8)."""
    await run_poll(tmp_path, ScriptedSteps(), messages=0)
    steps = ScriptedSteps()
    await run_poll(tmp_path, steps, MANY)

    assert [step.partition(" 17")[0] for step in steps.log] == [
        *["leave"] * MANY,
        "sync all",
        "commit",
        *["rename to new/"] * MANY,
        "sync all",
        "commit",
    ]
