"""The bundled server's mailstore."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from popsync.server.mailstore import BLOCK_OCTETS, Mailstore, StoredMessage
from popsync.storage import DurableSteps

AWKWARD = (
    b"a: b\r\n\r\nbare\nLF, bare\rCR, \0 NUL, \xff 8-bit, \r\n.dot\r\n" + b"x" * 5000 + b"\r\n"
)


class RecordedSteps(DurableSteps):
    """The real steps, written down by name; one of them may fail."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.done: list[str] = []
        self._fail_at = fail_at

    def _note(self, step: str) -> None:
        if len(self.done) == self._fail_at:
            self._fail_at = None
            raise OSError(errno.ENOSPC, "No space left on device")
        self.done.append(step)

    def write_file(self, path: Path | str, chunks: Iterable[bytes]) -> int:
        """Write, or fail."""
        self._note(f"write {Path(path).parent.name}")
        return super().write_file(path, chunks)

    def sync_file(self, descriptor: int) -> None:
        """Sync, or fail."""
        where = Path(f"/proc/self/fd/{descriptor}").readlink()
        self._note(f"sync {where.name if where.is_dir() else where.parent.name + '/file'}")
        super().sync_file(descriptor)

    def rename(self, old: Path | str, new: Path | str) -> None:
        """Rename, or fail."""
        self._note(f"rename {Path(old).parent.name} {Path(new).parent.name}")
        super().rename(old, new)


@pytest.fixture
def mailstore(tmp_path: Path) -> Mailstore:
    """Make a mailstore with two empty mailboxes."""
    mailstore = Mailstore(tmp_path / "mail")
    mailstore.root.mkdir()
    mailstore.prepare(["jane", "joe"])
    return mailstore


def put(mailstore: Mailstore, message: bytes, *mailboxes: str) -> str:
    """Store a message, by default for jane."""
    return mailstore.store(mailboxes or ("jane",), octets=len(message), chunks=lambda: [message])


def content(mailstore: Mailstore, message: StoredMessage) -> bytes:
    """Give a stored message's octets."""
    return b"".join(mailstore.read(message))


def test_a_message_comes_out_as_it_went_in(mailstore: Mailstore) -> None:
    """No octet is changed, and LIST needs no look into the file."""
    name = put(mailstore, AWKWARD)
    (message,) = mailstore.scan("jane")

    assert content(mailstore, message) == AWKWARD
    assert message.octets == len(AWKWARD)
    assert (mailstore.root / "jane" / "new" / name).read_bytes() == AWKWARD
    assert (mailstore.root / "jane" / "new" / name).stat().st_mode & 0o777 == 0o600


def test_a_message_for_two_mailboxes_is_in_both(mailstore: Mailstore) -> None:
    """Each mailbox has a file of its own, so each can be deleted alone."""
    put(mailstore, b"x\r\n", "jane", "joe")

    assert [len(mailstore.scan(name)) for name in ("jane", "joe")] == [1, 1]


def test_messages_are_listed_in_order_of_arrival(tmp_path: Path) -> None:
    """Message numbers follow time, also within a second and across a longer number."""
    times = [999_999_999_000_000_000, 10**18, 10**18 + 1000, 10**18 + 10**9]
    mailstore = Mailstore(tmp_path, time_ns=iter(times).__next__)
    mailstore.prepare(["jane"])
    for number in range(4):
        put(mailstore, b"%d\r\n" % number)

    found = [content(mailstore, message) for message in mailstore.scan("jane")]
    assert found == [b"0\r\n", b"1\r\n", b"2\r\n", b"3\r\n"]


def test_unique_ids_survive_flags_moves_and_restarts(mailstore: Mailstore) -> None:
    """RFC 1939 §7: 1 to 70 characters from 0x21 to 0x7E, the same in every session."""
    name = put(mailstore, b"x\r\n")
    (before,) = mailstore.scan("jane")
    home = mailstore.root / "jane"
    (home / "new" / name).rename(home / "cur" / f"{name}:2,S")
    (seen,) = Mailstore(mailstore.root).scan("jane")
    (home / "cur" / f"{name}:2,S").rename(home / "cur" / f"{name}:2,FRS")
    (flagged,) = mailstore.scan("jane")

    assert before.unique_id == seen.unique_id == flagged.unique_id
    assert len(before.unique_id) == 32
    assert before.unique_id.isalnum()


def test_a_message_that_a_reader_moved_is_still_read_and_removed(mailstore: Mailstore) -> None:
    """A session works with what it listed, whatever flags come meanwhile."""
    name = put(mailstore, b"x\r\n")
    (message,) = mailstore.scan("jane")
    home = mailstore.root / "jane"
    (home / "new" / name).rename(home / "cur" / f"{name}:2,S")

    assert content(mailstore, message) == b"x\r\n"
    assert mailstore.remove([message]) == []
    assert mailstore.scan("jane") == []


def test_a_message_that_a_reader_removed_is_not_read(mailstore: Mailstore) -> None:
    """Nothing is given in its place, and its removal has nothing left to do."""
    name = put(mailstore, b"x\r\n")
    (message,) = mailstore.scan("jane")
    (mailstore.root / "jane" / "new" / name).unlink()

    with pytest.raises(FileNotFoundError):
        content(mailstore, message)
    assert mailstore.remove([message]) == []


def test_a_file_seen_in_both_directories_counts_once(mailstore: Mailstore) -> None:
    """A reader may move it between the two looks."""
    name = put(mailstore, b"x\r\n")
    home = mailstore.root / "jane"
    os.link(home / "new" / name, home / "cur" / f"{name}:2,S")

    assert len(mailstore.scan("jane")) == 1


def test_a_foreign_file_is_measured_as_it_will_be_sent(
    mailstore: Mailstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With CRLF line ends, the last one too; the file is read through once, not at each login."""
    path = mailstore.root / "jane" / "cur" / "1700000000.1.host:2,"
    path.write_bytes(b"a: b\n\nx\r\ny")
    (message,) = mailstore.scan("jane")
    path.rename(path.with_name("1700000000.1.host:2,S"))
    with monkeypatch.context() as context:
        context.setattr("popsync.server.mailstore.listed_octets", None)
        (again,) = mailstore.scan("jane")

    assert message.octets == again.octets == len(b"a: b\r\n\r\nx\r\ny\r\n")
    assert not message.exact
    assert content(mailstore, again) == b"a: b\n\nx\r\ny"


def test_what_is_no_message_is_not_listed(mailstore: Mailstore) -> None:
    """Directories, dot files and symbolic links are not mail."""
    new = mailstore.root / "jane" / "new"
    (new / "directory").mkdir()
    (new / ".hidden").touch()
    (new / "link").symlink_to("/etc/passwd")

    assert mailstore.scan("jane") == []


def test_a_file_that_became_shorter_is_an_error_after_its_last_block(
    mailstore: Mailstore,
) -> None:
    """A short message must never look like a whole one."""
    name = put(mailstore, b"x" * (BLOCK_OCTETS + 10))
    (message,) = mailstore.scan("jane")
    os.truncate(mailstore.root / "jane" / "new" / name, BLOCK_OCTETS + 3)
    blocks = mailstore.read(message)

    assert len(next(blocks)) == BLOCK_OCTETS
    assert len(next(blocks)) == 3
    with pytest.raises(OSError, match="shorter"):
        next(blocks)


def test_a_message_that_cannot_be_removed_is_given_back(
    mailstore: Mailstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are removed all the same."""
    put(mailstore, b"1\r\n")
    put(mailstore, b"2\r\n")
    first, second = mailstore.scan("jane")
    real = DurableSteps.unlink

    def unlink(steps: DurableSteps, path: Path) -> None:
        if path == first.path:
            raise PermissionError(errno.EACCES, "Permission denied")
        real(steps, path)

    monkeypatch.setattr(DurableSteps, "unlink", unlink)
    assert mailstore.remove([first, second]) == [first]
    assert mailstore.scan("jane") == [first]


ORDER = [
    *("write tmp", "sync tmp/file", "write tmp", "sync tmp/file"),
    *("rename tmp new", "rename tmp new", "sync new", "sync new"),
]


def test_storing_ends_with_the_directory_made_durable(mailstore: Mailstore) -> None:
    """P2: file, then name, then directory; all files before the first name."""
    steps = RecordedSteps()
    put(Mailstore(mailstore.root, steps=steps), b"x\r\n", "jane", "joe")

    assert steps.done == ORDER


@pytest.mark.parametrize("step", range(len(ORDER)))
def test_a_full_disk_at_any_step_leaves_nothing_behind(mailstore: Mailstore, step: int) -> None:
    """What was answered with 451 comes again, so nothing of it may show."""
    with pytest.raises(OSError, match="No space"):
        put(Mailstore(mailstore.root, steps=RecordedSteps(step)), b"x\r\n", "jane", "joe")

    assert [path for path in mailstore.root.rglob("*") if path.is_file()] == []


def test_prepare_clears_what_a_crash_left_half_written(mailstore: Mailstore) -> None:
    """Only files of our own making; mail and other programs' files stay."""
    name = put(mailstore, b"x\r\n")
    tmp = mailstore.root / "jane" / "tmp"
    (tmp / name).write_bytes(b"half")
    (tmp / "1.2.other").write_bytes(b"theirs")
    mailstore.prepare(["jane"])

    assert [path.name for path in tmp.iterdir()] == ["1.2.other"]
    assert len(mailstore.scan("jane")) == 1


def test_directories_are_their_owners_only(tmp_path: Path) -> None:
    """Whatever the umask."""
    mailstore = Mailstore(tmp_path / "mail")
    with mailstore.exclusive():
        mailstore.prepare(["jane"])

    modes = {path.stat().st_mode & 0o777 for path in [mailstore.root, *mailstore.root.rglob("*")]}
    assert modes == {0o700}


def test_a_mailstore_has_one_server_at_a_time(tmp_path: Path) -> None:
    """The second one must not clear away what the first is writing."""
    with Mailstore(tmp_path).exclusive(), pytest.raises(BlockingIOError):
        Mailstore(tmp_path).exclusive().__enter__()

    with Mailstore(tmp_path).exclusive():
        pass
