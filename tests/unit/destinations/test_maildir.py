"""A Maildir: files, names, refusals, recovery."""

import asyncio
import errno
import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from popsync.destinations.maildir import CLEANED_AFTER_S, MaildirDestination
from popsync.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryInDoubt,
    DeliveryRejected,
    DeliveryUndone,
    DestinationMisconfigured,
    DestinationUnavailable,
    LedgerUnavailable,
)
from popsync.model import DeliveryState, Intent, Outcome, Receipt, Refusal
from popsync.storage import DurableSteps
from popsync.storage.shared_sync import LEAST_FILES
from tests.contract.destination import RecordingJournal
from tests.doubles.disks import mounted_read_only
from tests.doubles.retrieved import RECEIVED_AT, make_parcel
from tests.doubles.steps import ScriptedSteps

PARCEL = make_parcel(b"u1", b"Subject: one\r\n\r\nbody\r\n")


class Bench:
    """A Maildir whose clock is set by hand."""

    def __init__(self, root: Path) -> None:
        self.path = root / "Mail"
        self.now = RECEIVED_AT

    def destination(self, steps: DurableSteps | None = None) -> MaildirDestination:
        """Give a new destination on the same path, as after a restart."""
        return MaildirDestination(
            "inbox",
            self.path,
            token="ab" * 8,
            hostname="h/o:st",
            clock=lambda: self.now,
            steps=steps,
        )

    def names(self, place: str) -> list[str]:
        """Give the names in ``tmp``, ``new`` or ``cur``."""
        return sorted(path.name for path in (self.path / place).iterdir())

    async def staged(self) -> list[Intent]:
        """Die after STAGED was recorded, before the move."""
        journal = RecordingJournal()
        steps = ScriptedSteps(error=OSError(errno.EIO, "Input/output error"))
        steps._at = 10**6
        destination = self.destination(steps=steps)
        await destination.ready()
        steps._at = len(steps.log) + 4
        with pytest.raises(DestinationUnavailable, match="its disk may be failing"):
            await destination.deliver([PARCEL], journal)
        assert len(self.names("tmp")) == len(journal.intents) == 1
        return [intent._replace(recorded_at=RECEIVED_AT) for intent in journal.intents]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a Maildir that does not exist yet."""
    return Bench(tmp_path)


def error_of(outcomes: Sequence[Outcome]) -> DeliveryError:
    """Give the error of the only outcome."""
    (outcome,) = outcomes
    assert isinstance(outcome, Refusal)
    return outcome.error


async def test_the_file_is_named_and_sized_as_it_should(bench: Bench) -> None:
    """Seconds, ledger, message, directory, host, size; readable by its owner only."""
    destination = bench.destination()
    await destination.ready()
    journal = RecordingJournal()
    await destination.deliver([PARCEL], journal)
    (path,) = (bench.path / "new").iterdir()
    inode = (bench.path / "tmp").stat().st_ino

    assert path.name == (
        f"1700000000.popsync-{'ab' * 8}-{PARCEL.name}-{inode:x}.h\\057o\\072st"
        f",S={path.stat().st_size}"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert journal.settled == [Receipt(journal.intents[0].deliveries[0], path.name)]
    assert {bench.path.stat().st_mode & 0o777} == {0o700}


async def test_a_large_message_is_stored_whole(bench: Bench) -> None:
    """Read in chunks, sized right, line ends turned."""
    octets = b"0123456789abcdef\r\n" * 40_000
    destination = bench.destination()
    await destination.ready()
    await destination.deliver([make_parcel(b"u1", octets)], RecordingJournal())
    (path,) = (bench.path / "new").iterdir()

    assert path.read_bytes() == octets.replace(b"\r\n", b"\n")
    assert path.name.endswith(f",S={path.stat().st_size}")


async def test_many_messages_arrive_by_several_threads(bench: Bench) -> None:
    """None is forgotten between them."""
    destination = bench.destination()
    await destination.ready()
    parcels = [make_parcel(b"u%d" % n, b"%d\r\n" % n) for n in range(100)]
    await destination.deliver(parcels, RecordingJournal())
    bodies = {path.read_bytes() for path in (bench.path / "new").iterdir()}

    assert bodies == {b"%d\n" % n for n in range(100)}


async def test_a_foreign_file_of_the_same_name_is_never_overwritten(bench: Bench) -> None:
    """The message is refused for good, and its file goes."""
    destination = bench.destination()
    await destination.ready()
    journal = RecordingJournal()
    await destination.deliver([PARCEL], journal)
    (path,) = (bench.path / "new").iterdir()
    path.write_bytes(b"foreign")
    again = RecordingJournal()
    await destination.deliver([PARCEL], again)

    assert path.read_bytes() == b"foreign"
    assert isinstance(error_of(again.settled), DeliveryRejected)
    assert bench.names("tmp") == []


async def test_a_message_larger_than_files_may_be_is_deferred_alone(bench: Bench) -> None:
    """The others of its batch arrive (P5)."""
    destination = bench.destination()
    await destination.ready()
    journal = RecordingJournal()
    small, large = make_parcel(b"s", b"small\r\n"), make_parcel(b"l", b"x" * 50_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        await destination.deliver([large, small], journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    refused, receipt = journal.settled
    assert isinstance(error_of([refused]), DeliveryDeferred)
    assert receipt.delivery.message == small.message
    assert bench.names("tmp") == []
    assert len(bench.names("new")) == 1


class FullDisk(DurableSteps):
    """The real steps on a disk that has room for so many octets in one file."""

    def __init__(self, room: int) -> None:
        self._room = room

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Write what fits; what does not is left half written, as a disk would."""
        octets = b"".join(chunks)
        descriptor = super().write_file(path, [octets[: self._room]])
        if len(octets) > self._room:
            os.close(descriptor)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return descriptor

    def leave_file(self, path: Path | str, chunks: Iterable[bytes]) -> None:
        """Do the same, and close it."""
        os.close(self.write_file(path, chunks))


@pytest.mark.parametrize("others", [1, LEAST_FILES])
async def test_a_message_for_which_a_disk_has_no_room_is_deferred_alone(
    bench: Bench, others: int
) -> None:
    """Those that fit arrive, whether each is synced or all are (P5)."""
    destination = bench.destination(FullDisk(room=10_000))
    await destination.ready()
    journal = RecordingJournal()
    small = [make_parcel(b"s%d" % n, b"small\r\n") for n in range(others)]
    large = make_parcel(b"l", b"x" * 50_000)

    await destination.deliver([large, *small], journal)

    refused, *receipts = journal.settled
    error = error_of([refused])
    assert isinstance(error, DeliveryDeferred)
    assert "No space left on device for a message of 50000 octets; free some space" in str(error)
    assert [r.delivery.message for r in receipts] == [parcel.message for parcel in small]
    assert bench.names("tmp") == []
    assert len(bench.names("new")) == others


async def test_a_disk_that_has_room_for_nothing_takes_no_mail(bench: Bench) -> None:
    """All wait for it together, and nothing is left on it."""
    destination = bench.destination(FullDisk(room=3))
    await destination.ready()
    journal = RecordingJournal()

    with pytest.raises(DestinationUnavailable, match="No space left on device; free some space"):
        await destination.deliver([PARCEL, make_parcel(b"u2", b"small\r\n")], journal)

    assert journal.settled == []
    assert bench.names("tmp") == bench.names("new") == []


async def test_a_ledger_that_goes_on_failing_does_not_fill_the_disk(bench: Bench) -> None:
    """One message finds out how it is; once it works the left-overs go."""
    destination = bench.destination()
    await destination.ready()
    parcels = [make_parcel(b"u%d" % n, b"x\r\n") for n in range(5)]
    left: list[int] = []
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            await destination.deliver(parcels, RecordingJournal(refuse_at=1))
        left.append(len(bench.names("tmp")))
    await destination.deliver(parcels, RecordingJournal())

    assert left == [5, 6, 7]
    assert bench.names("tmp") == []
    assert len(bench.names("new")) == 5


async def test_cancelled_while_writing_leaves_nothing(bench: Bench) -> None:
    """The step in hand is finished, then taken back."""
    destination = bench.destination()
    await destination.ready()
    task = asyncio.ensure_future(destination.deliver([PARCEL], RecordingJournal()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (bench.names("tmp"), bench.names("new")) == ([], [])


class CancellingJournal(RecordingJournal):
    """Cancels the delivering task as soon as STAGED is durable."""

    task: "asyncio.Task[None]"

    async def record(self, settled: Sequence[Outcome], intents: Sequence[Intent]) -> None:
        """Record, and cancel what may no longer be stopped."""
        await super().record(settled, intents)
        if intents:
            asyncio.get_running_loop().call_soon(self.task.cancel)


@pytest.mark.parametrize("broken", [False, True])
async def test_cancelled_after_the_announcement_finishes_first(
    bench: Bench, *, broken: bool
) -> None:
    """The move and its receipt are one step; should it fail, the cancellation goes first."""
    destination = bench.destination()
    await destination.ready()
    journal = CancellingJournal(refuse_at=2 if broken else 0)
    journal.task = asyncio.ensure_future(destination.deliver([PARCEL], journal))

    with pytest.raises(asyncio.CancelledError):
        await journal.task
    assert len(bench.names("new")) == 1
    assert len(journal.settled) == (0 if broken else 1)


# -- getting ready -------------------------------------------------------------------------------


async def test_a_maildir_that_vanished_is_not_made_again(bench: Bench) -> None:
    """Its disk may only be unmounted; mail must not go under the mount point."""
    destination = bench.destination()
    await destination.ready()
    bench.path.rename(bench.path.with_name("elsewhere"))

    with pytest.raises(DestinationUnavailable, match="is its disk mounted"):
        await destination.ready()
    with pytest.raises(DestinationUnavailable, match="is its disk mounted"):
        await destination.deliver([PARCEL], RecordingJournal())
    assert not bench.path.exists()


@pytest.mark.parametrize("messages", [2, LEAST_FILES])
async def test_a_maildir_that_is_replaced_between_two_files_gets_none(
    bench: Bench, messages: int
) -> None:
    """Nothing is announced: put back, it would lack a file, which passes for arrival (P1)."""

    class ReplacingSteps(DurableSteps):
        def leave_file(self, path: Path | str, chunks: Iterable[bytes]) -> None:
            os.close(self.write_file(path, chunks))

        def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
            descriptor = super().write_file(path, chunks)
            if not (bench.path.parent / "away").exists():
                bench.path.rename(bench.path.parent / "away")
                for part in ("tmp", "new", "cur"):
                    (bench.path / part).mkdir(parents=True)
            return descriptor

    journal = RecordingJournal()
    destination = bench.destination(steps=ReplacingSteps())
    await destination.ready()

    with pytest.raises(DestinationUnavailable, match="replaced while messages were written"):
        await destination.deliver(
            [make_parcel(b"u%d" % n, b"%d\r\n" % n) for n in range(messages)], journal
        )

    assert not journal.intents
    assert not bench.names("tmp")


async def test_links_and_files_in_the_place_of_directories_are_refused(
    bench: Bench, tmp_path: Path
) -> None:
    """They may lead anywhere."""
    bench.path.mkdir()
    (tmp_path / "out").mkdir()
    (bench.path / "new").symlink_to(tmp_path / "out")

    with pytest.raises(DestinationMisconfigured, match="new is not a directory"):
        await bench.destination().ready()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_root_does_not_deliver_into_somebodys_maildir(bench: Bench) -> None:
    """Its owner could not touch what root left there."""
    await bench.destination().ready()
    for place in ("tmp", "new", "cur"):
        os.chown(bench.path / place, 12345, 12345)

    with pytest.raises(DestinationMisconfigured, match="another user"):
        await bench.destination().ready()


async def test_a_maildir_that_cannot_be_written_to_says_who_can_mend_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is retrieved for it."""
    await bench.destination().ready()
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(DestinationUnavailable, match="write access"):
        await bench.destination().ready()


@pytest.mark.parametrize("exists", [False, True])
async def test_a_maildir_on_a_read_only_file_system_says_so(bench: Bench, *, exists: bool) -> None:
    """Nobody's permissions are to blame for that."""
    if exists:
        await bench.destination().ready()

    said = "its file system is mounted read-only"
    with mounted_read_only(bench.path.parent), pytest.raises(DestinationUnavailable, match=said):
        await bench.destination().probe()


async def test_directories_on_several_file_systems_are_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be moved between them in one step."""
    destination = bench.destination()
    await destination.ready()
    devices: Iterator[int] = iter(range(3))
    monkeypatch.setattr(destination._folder, "_check_directory", lambda _: next(devices))

    with pytest.raises(DestinationMisconfigured, match="one file system"):
        await destination.ready()


async def test_an_error_without_advice_is_told_all_the_same(bench: Bench) -> None:
    """The system's own words are better than none."""
    steps = ScriptedSteps(1, error=OSError(errno.ELOOP, "Too many levels"))

    with pytest.raises(DestinationUnavailable, match=r"Mail: Too many levels$"):
        await bench.destination(steps=steps).ready()


# -- recovery ------------------------------------------------------------------------------------


async def test_a_staged_file_is_moved_on(bench: Bench) -> None:
    """No second retrieval."""
    (intent,) = await bench.staged()
    outcomes = await bench.destination().recover([intent])

    assert outcomes == [Receipt(intent.deliveries[0], intent.staged_as)]
    assert bench.names("new") == [intent.staged_as]


@pytest.mark.parametrize("age_s", [0.0, 2 * CLEANED_AFTER_S])
@pytest.mark.parametrize("reader", ["new", "cur", "cur flagged"])
async def test_a_file_that_was_moved_has_arrived_however_old(
    bench: Bench, age_s: float, reader: str
) -> None:
    """Whether or not a reader has opened it since."""
    (intent,) = await bench.staged()
    place, _, flagged = reader.partition(" ")
    name = intent.staged_as + (",W=99:2,RS" if flagged else "")
    (bench.path / "tmp" / intent.staged_as).rename(bench.path / place / name)
    bench.now += age_s

    assert [type(o) for o in await bench.destination().recover([intent])] == [Receipt]


async def recover_missing(bench: Bench, intent: Intent) -> Outcome:
    """Take the file away, then recover."""
    (bench.path / "tmp" / intent.staged_as).unlink()
    (outcome,) = await bench.destination().recover([intent])
    return outcome


@pytest.mark.parametrize(
    ("age_s", "kind"),
    [(-60.0, Receipt), (CLEANED_AFTER_S, Receipt), (CLEANED_AFTER_S + 1, Refusal)],
)
async def test_a_file_that_is_nowhere_was_read_unless_a_cleaner_may_have_come(
    bench: Bench, age_s: float, kind: type[Outcome]
) -> None:
    """Rather a second copy, marked, than none."""
    (intent,) = await bench.staged()
    bench.now += age_s
    outcome = await recover_missing(bench, intent)

    assert isinstance(outcome, kind)
    if isinstance(outcome, Refusal):
        assert isinstance(outcome.error, DeliveryUndone)


async def test_absence_from_another_directory_proves_nothing(bench: Bench) -> None:
    """A disk that is not mounted must not pass for a reader that took the message (P1)."""
    (intent,) = await bench.staged()
    bench.path.rename(bench.path.with_name("unmounted"))
    (bench.path.with_name("filler")).mkdir()
    await bench.destination().ready()

    assert isinstance(error_of(await bench.destination().recover([intent])), DeliveryUndone)


async def test_recovery_without_its_maildir_waits(bench: Bench) -> None:
    """And makes none."""
    (intent,) = await bench.staged()
    bench.path.rename(bench.path.with_name("unmounted"))
    destination = bench.destination()

    with pytest.raises(DestinationUnavailable, match="mounted"):
        await destination.recover([intent])
    with pytest.raises(DestinationUnavailable, match="mounted"):
        await destination.ready()


async def test_recovery_never_overwrites_a_foreign_file(bench: Bench) -> None:
    """The name is taken, so the message is refused."""
    (intent,) = await bench.staged()
    (bench.path / "new" / intent.staged_as).write_bytes(b"foreign")

    assert isinstance(error_of(await bench.destination().recover([intent])), DeliveryRejected)
    assert (bench.path / "new" / intent.staged_as).read_bytes() == b"foreign"


async def test_a_dot_sent_before_this_was_a_maildir_stays_in_doubt(bench: Bench) -> None:
    """The configuration changed under an open delivery."""
    destination = bench.destination()
    await destination.ready()
    intent = Intent(PARCEL.message, "inbox", ("jane@example.org",), DeliveryState.DOT_SENT)

    assert isinstance(error_of(await destination.recover([intent])), DeliveryInDoubt)


async def test_sweeping_takes_our_strays_only(bench: Bench) -> None:
    """Not what an intent speaks of, not another ledger's, not another program's."""
    (intent,) = await bench.staged()
    foreign = ["1700000000.M1P2.host", intent.staged_as.replace("ab" * 8, "cd" * 8)]
    stray = intent.staged_as.replace(PARCEL.name, "f" * 32)
    for name in (*foreign, stray):
        (bench.path / "tmp" / name).touch()
    swept = await bench.destination().sweep({intent.staged_as})

    assert swept == 1
    assert bench.names("tmp") == sorted([*foreign, intent.staged_as])


async def test_sweeping_what_does_not_exist_is_nothing(bench: Bench) -> None:
    """A Maildir before its first use."""
    assert await bench.destination().sweep(()) == 0


async def test_a_stray_of_the_same_name_is_left_alone(bench: Bench) -> None:
    """The ledger may speak of it still; the new file gets a name of its own."""
    (intent,) = await bench.staged()
    destination = bench.destination()
    journal = RecordingJournal()
    await destination.deliver([PARCEL], journal)
    (name,) = bench.names("new")

    assert bench.names("tmp") == [intent.staged_as]
    assert "~1." in name
    assert await bench.destination().sweep(()) == 1
