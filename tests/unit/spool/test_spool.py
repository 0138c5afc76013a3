"""Copies of messages, durable before anybody is told, and the same when read back."""

import errno
from hashlib import sha256
from pathlib import Path

import pytest

from popsync.errors import SpoolDamaged
from popsync.model import AccountId, Digest, MessageKey, UniqueId
from popsync.spool import LocalSpool
from popsync.spool.spool import LEAST_FREE_OCTETS
from popsync.storage import DurableSteps, Scratch, SharedSyncs
from tests.doubles.maildrop import TrackedContent
from tests.doubles.steps import Death, Died, ScriptedSteps

JANE = AccountId("jane@pop.example.org")
TOKEN = "0123456789abcdef"
A, B, C = b"Subject: a\r\n\r\na", b"Subject: b\r\n\r\nbb", b"Subject: c\r\n\r\nccc"
PLENTY = 10**12


def key_of(octets: bytes, account: AccountId = JANE) -> MessageKey:
    """Name a message after its octets."""
    digest = Digest(sha256(octets).digest())
    return MessageKey(account, UniqueId(b"u-%d" % len(octets)), digest)


def contents(*messages: bytes) -> dict[MessageKey, TrackedContent]:
    """Give messages as they are put into the spool."""
    return {key_of(octets): TrackedContent(octets) for octets in messages}


class Disk:
    """How much of it is free."""

    free = PLENTY

    def __call__(self, directory: Path) -> int:
        """Say so."""
        return self.free


def make_spool(
    state: Path,
    *,
    steps: DurableSteps | None = None,
    max_octets: int = 10**6,
    disk: Disk | None = None,
    token: str = TOKEN,
    shares: bool = False,
) -> LocalSpool:
    """Give a spool that nobody has used yet."""
    return LocalSpool(
        state,
        token=token,
        scratch=Scratch(state, memory_octets=16),
        max_octets=max_octets,
        steps=steps,
        syncs=SharedSyncs(steps or DurableSteps(), offers=lambda _: shares),
        free=disk or Disk(),
    )


def files(state: Path) -> list[Path]:
    """Give what lies in the spool."""
    return sorted((state / "spool").iterdir()) if (state / "spool").exists() else []


async def read(spool: LocalSpool, octets: bytes) -> bytes:
    """Fetch a message and give its octets."""
    content = await spool.fetch(key_of(octets))
    try:
        return b"".join(content.chunks())
    finally:
        content.close()


async def test_what_was_kept_is_given_back(tmp_path: Path) -> None:
    """The same octets, whether small or too large for memory; held until released."""
    spool = make_spool(tmp_path)
    kept = await spool.keep(contents(A, B, C))

    assert kept == (frozenset(contents(A, B, C)), "")
    assert [await read(spool, octets) for octets in (A, B, C)] == [A, B, C]
    assert set(spool.held(JANE)) == set(contents(A, B, C))
    assert spool.held(AccountId("joe@pop.example.org")) == ()

    await spool.release([key_of(A), key_of(A), key_of(b"never kept")])
    assert set(spool.held(JANE)) == set(contents(B, C))
    assert len(files(tmp_path)) == 2


async def test_only_the_owner_may_read_it_and_its_name_says_nothing(tmp_path: Path) -> None:
    """Directory 0700, files 0600, named by a digest."""
    await make_spool(tmp_path).keep(contents(A))

    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.name.startswith(f"{TOKEN}-")
    assert "jane" not in file.name


async def test_an_unused_spool_leaves_no_trace(tmp_path: Path) -> None:
    """Not even its directory."""
    spool = make_spool(tmp_path)
    await spool.open({})
    await spool.release([key_of(A)])

    assert not (tmp_path / "spool").exists()


async def test_a_copy_is_synced_and_so_is_its_name_before_it_is_told(tmp_path: Path) -> None:
    """File, then move, then directory: whatever the power does afterwards (P4)."""
    steps = ScriptedSteps()
    await make_spool(tmp_path, steps=steps).keep(contents(A))

    name = files(tmp_path)[0].name
    assert steps.log[-6:] == [
        "mkdir spool",
        f"sync {tmp_path.name}/",
        f"write {name}.new",
        "sync file",
        "rename to spool/",
        "sync spool/",
    ]


@pytest.mark.parametrize("death", Death)
async def test_a_death_at_any_step_leaves_nothing_that_counts(
    tmp_path: Path, death: Death
) -> None:
    """Nobody was told, so the next start takes away whatever is there."""
    for at in range(1, 20):
        state = tmp_path / f"{death.name}-{at}"
        state.mkdir()
        spool = make_spool(state, steps=ScriptedSteps(at, death=death))
        try:
            await spool.keep(contents(A, B))
        except Died:
            await make_spool(state).open({})
            assert files(state) == []
        else:
            break
    assert at > 8


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
async def test_a_refused_step_keeps_only_what_is_durable(tmp_path: Path, code: int) -> None:
    """What is told as kept can be read by the next process; the rest leaves no file."""
    for at in range(1, 20):
        state = tmp_path / str(at)
        state.mkdir()
        steps = ScriptedSteps(at, error=OSError(code, "refused"))
        spool = make_spool(state, steps=steps)
        kept, trouble = await spool.keep(contents(A, B))
        if not trouble:
            break
        assert trouble == "refused"
        assert len(kept) < 2
        assert set(spool.held(JANE)) == kept

        again = make_spool(state)
        await again.open(dict.fromkeys(kept, 1))
        assert len(files(state)) == len(kept)
        if kept:
            assert await read(again, A) == A
    assert at > 8


async def test_nothing_is_taken_beyond_its_size(tmp_path: Path) -> None:
    """In order, until the first that does not fit; what is released makes room again."""
    spool = make_spool(tmp_path, max_octets=len(A + B))
    kept, trouble = await spool.keep(contents(A, B, C))

    assert kept == set(contents(A, B))
    assert "spool_size" in trouble
    assert not spool.has_room()

    await spool.release(contents(A, B))
    assert spool.has_room()
    assert (await spool.keep(contents(C))).messages == set(contents(C))


async def test_a_full_disk_is_left_alone(tmp_path: Path) -> None:
    """64 MB stay free for the ledger and for others, and twice a message that is larger."""
    disk = Disk()
    spool = make_spool(tmp_path, disk=disk)
    disk.free = LEAST_FREE_OCTETS + len(A) - 1
    kept, trouble = await spool.keep(contents(A))

    assert kept == frozenset()
    assert "octets of its disk are free" in trouble
    assert files(tmp_path) == []

    disk.free += 1
    assert (await spool.keep(contents(A))).messages


async def test_a_disk_that_cannot_be_asked_takes_nothing(tmp_path: Path) -> None:
    """Its own words are told."""

    class Broken(Disk):
        def __call__(self, directory: Path) -> int:
            raise OSError(errno.EIO, "Input/output error")

    spool = make_spool(tmp_path, disk=Broken())

    assert await spool.keep(contents(A)) == (frozenset(), "Input/output error")
    assert not spool.has_room()


async def test_a_copy_that_is_there_is_replaced(tmp_path: Path) -> None:
    """A damaged one is mended by that, and it takes no more room."""
    spool = make_spool(tmp_path, max_octets=len(A))
    await spool.keep(contents(A))
    files(tmp_path)[0].write_bytes(b"damaged")

    assert (await spool.keep(contents(A))).messages == set(contents(A))
    assert await read(spool, A) == A


async def test_a_copy_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    """It may be the only one."""
    await make_spool(tmp_path).keep(contents(A))
    spool = make_spool(tmp_path, steps=ScriptedSteps(1, error=OSError(errno.ENOSPC, "full")))
    await spool.open({key_of(A): len(A)})

    assert (await spool.keep(contents(A))).trouble == "full"
    assert await read(spool, A) == A
    assert set(spool.held(JANE)) == {key_of(A)}


@pytest.mark.parametrize("damage", [b"", A + b"x", b"x" * len(A), C])
async def test_a_damaged_copy_is_not_given(tmp_path: Path, damage: bytes) -> None:
    """Its digest is not the message's; it stays where it is, for a person to look at."""
    spool = make_spool(tmp_path)
    await spool.keep(contents(A))
    (file,) = files(tmp_path)
    file.write_bytes(damage)

    with pytest.raises(SpoolDamaged, match=f"damaged: .*{file.name}"):
        await spool.fetch(key_of(A))
    assert files(tmp_path) == [file]


async def test_a_missing_copy_is_told(tmp_path: Path) -> None:
    """With the path and the system's words; a link in its place is not followed."""
    spool = make_spool(tmp_path)
    await spool.keep(contents(A))
    (file,) = files(tmp_path)
    file.rename(tmp_path / "elsewhere")

    with pytest.raises(SpoolDamaged, match="No such file"):
        await spool.fetch(key_of(A))
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpoolDamaged):
        await spool.fetch(key_of(A))


async def test_a_start_takes_away_what_the_ledger_does_not_speak_of(tmp_path: Path) -> None:
    """Its own files only: those of another ledger may be the last copies there are."""
    await make_spool(tmp_path).keep(contents(A, B))
    await make_spool(tmp_path, token="f" * 16).keep(contents(C))
    spool = make_spool(tmp_path, max_octets=len(A + B))
    await spool.open({key_of(B): len(B)})

    assert set(spool.held(JANE)) == {key_of(B)}
    assert len(files(tmp_path)) == 2
    assert await read(spool, B) == B
    assert not (await spool.keep(contents(C))).messages  # what was there counts


async def test_a_file_that_could_not_be_taken_back_is_no_obstacle(tmp_path: Path) -> None:
    """What an earlier try left half written under the same name is written anew."""
    spool = make_spool(tmp_path)
    await spool.keep(contents(A))
    (file,) = files(tmp_path)
    file.rename(f"{file}.new")

    assert (await spool.keep(contents(A))).messages == set(contents(A))
    assert await read(spool, A) == A
    assert files(tmp_path) == [file]


MANY = [b"Subject: many\r\n\r\n" + b"." * size for size in range(1, 13)]


async def test_many_copies_share_one_sync_of_their_file_system(tmp_path: Path) -> None:
    """Written and named, then one sync of all, then told (P8)."""
    steps = ScriptedSteps()
    spool = make_spool(tmp_path, steps=steps, shares=True)
    kept = await spool.keep(contents(*MANY))

    assert kept.messages == set(contents(*MANY))
    assert [step for step in steps.log if "sync" in step][1:] == ["sync all"]
    assert steps.log[-1] == "sync all"
    assert [await read(spool, octets) for octets in MANY] == MANY


async def test_a_shared_sync_that_fails_keeps_nothing(tmp_path: Path) -> None:
    """None of the copies can be believed in, and none is left."""
    undisturbed = ScriptedSteps()
    (tmp_path / "before").mkdir()
    await make_spool(tmp_path / "before", steps=undisturbed, shares=True).keep(contents(*MANY))
    failing = ScriptedSteps(len(undisturbed.log), error=OSError(errno.EIO, "failing"))
    spool = make_spool(tmp_path, steps=failing, shares=True)
    kept = await spool.keep(contents(*MANY))

    assert failing.log[len(undisturbed.log) - 1] == "sync all"
    assert kept == (frozenset(), "failing")
    assert not spool.held(JANE)
    assert files(tmp_path) == []


async def test_a_copy_that_is_replaced_is_synced_by_itself(tmp_path: Path) -> None:
    """Until then the one before is not given up for it."""
    await make_spool(tmp_path).keep(contents(MANY[0]))
    steps = ScriptedSteps()
    spool = make_spool(tmp_path, steps=steps, shares=True)
    await spool.open({key_of(MANY[0]): len(MANY[0])})
    await spool.keep(contents(*MANY))

    assert steps.log[1] == "sync file"
    assert steps.log.count("sync file") == 1
