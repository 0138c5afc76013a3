"""Contents in memory and in unnamed files."""

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from popsync.errors import ScratchUnavailable
from popsync.model import Content
from popsync.storage import Scratch
from popsync.storage.content import CHUNK_OCTETS

LARGE = bytes(range(256)) * 3000


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """Give a scratch that spills early."""
    return Scratch(tmp_path, memory_octets=1000)


def written(scratch: Scratch, octets: bytes) -> Content:
    """Write ``octets`` in uneven pieces."""
    writer = scratch.new_content()
    for start in range(0, len(octets), 777):
        writer.write(octets[start : start + 777])
    return writer.finish()


@pytest.mark.parametrize("make", [Scratch.from_bytes, written])
@pytest.mark.parametrize("octets", [b"", b"a", b"x" * 1000, b"y" * 1001, LARGE])
def test_a_content_of_any_size_can_be_read_again_and_again(
    scratch: Scratch, make: Callable[[Scratch, bytes], Content], octets: bytes
) -> None:
    """Content, size and digest are those of what was written, at every reading."""
    content = make(scratch, octets)

    assert content.octets == len(octets)
    assert content.digest == sha256(octets).digest()
    assert b"".join(content.chunks()) == octets
    assert b"".join(content.chunks()) == octets
    assert all(0 < len(chunk) <= CHUNK_OCTETS for chunk in content.chunks())


def test_a_large_content_in_memory_is_given_in_pieces(tmp_path: Path) -> None:
    """Nobody is handed more than a chunk at a time, wherever the content lives."""
    content = Scratch(tmp_path).from_bytes(LARGE)

    assert [len(chunk) for chunk in content.chunks()][:-1] == [CHUNK_OCTETS] * 2
    assert b"".join(content.chunks()) == LARGE


def test_a_spilled_content_leaves_no_name_in_the_directory(
    scratch: Scratch, tmp_path: Path
) -> None:
    """A crash cannot leave litter, for there is no name."""
    content = written(scratch, LARGE)

    assert list(tmp_path.iterdir()) == []
    content.close()


@pytest.mark.parametrize("octets", [b"small", LARGE])
def test_a_closed_content_refuses_to_be_read(scratch: Scratch, octets: bytes) -> None:
    """Closing twice is fine; reading afterwards must not look like an empty message."""
    content = scratch.from_bytes(octets)
    content.close()
    content.close()

    with pytest.raises(ValueError, match="closed"):
        list(content.chunks())


def test_without_unnamed_files_a_named_one_is_unlinked_at_once(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems without O_TMPFILE serve as well."""
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # EISDIR
    content = written(scratch, LARGE)

    assert b"".join(content.chunks()) == LARGE
    assert list(tmp_path.iterdir()) == []
    content.close()


def test_a_directory_that_refuses_is_an_error(scratch: Scratch, tmp_path: Path) -> None:
    """Nothing falls back to another place on disk."""
    tmp_path.rmdir()

    with pytest.raises(ScratchUnavailable, match=f"{tmp_path}: .*No such file"):
        scratch.from_bytes(LARGE)


def test_a_refusal_other_than_no_such_feature_is_passed_on(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is a full disk, whichever kind of file was asked for."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(ScratchUnavailable, match="No space"):
        scratch.from_bytes(LARGE)


def test_a_disk_that_fills_up_on_the_way_is_told_in_words(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs the account this poll; it is no bug."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = scratch.new_content()
    writer.write(LARGE)
    monkeypatch.setattr(os, "write", refuse)

    with pytest.raises(ScratchUnavailable, match="No space"):
        writer.write(b"more")
    writer.discard()


def open_descriptors() -> int:
    """Count this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_discarded_content_gives_back_its_descriptor(scratch: Scratch) -> None:
    """Whatever is begun and given up occupies nothing."""
    before = open_descriptors()
    writer = scratch.new_content()
    writer.write(LARGE)
    during = open_descriptors()
    writer.discard()
    writer.discard()

    assert (during - before, open_descriptors()) == (1, before)


def test_a_file_cut_short_under_us_is_an_error(scratch: Scratch) -> None:
    """Half a message is never given as a whole one."""
    content = scratch.from_bytes(LARGE)
    descriptor = vars(content)["_descriptor"]
    os.ftruncate(descriptor, 10)

    with pytest.raises(OSError, match="shorter"):
        list(content.chunks())
    content.close()


@pytest.mark.parametrize("octets", [b"", b"x" * 1000, b"y" * 1001, LARGE])
def test_a_file_can_be_read_as_a_content(scratch: Scratch, tmp_path: Path, octets: bytes) -> None:
    """Its digest is that of what it holds now; it stays readable when the name goes."""
    path = tmp_path / "file"
    path.write_bytes(octets)
    content = scratch.read_file(path)
    path.unlink()

    assert (content.octets, content.digest) == (len(octets), sha256(octets).digest())
    assert b"".join(content.chunks()) == octets
    content.close()


def test_what_cannot_be_read_as_a_content_costs_no_descriptor(
    scratch: Scratch, tmp_path: Path
) -> None:
    """A link is not followed, a directory not read."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("missing", "link", "."):
        with pytest.raises(OSError, match="Errno"):
            scratch.read_file(tmp_path / name)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def open_files() -> int:
    """Give how many descriptors the process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_contents_that_arrive_together_share_what_they_may_have_in_memory(tmp_path: Path) -> None:
    """The one that exceeds it goes to a file, whole all the same; those before it do not."""
    scratch = Scratch(tmp_path, memory_octets=1000, unfinished_octets=900)
    before = open_files()
    first, second = scratch.new_content(), scratch.new_content()
    first.write(b"a" * 500)
    second.write(b"b" * 300)
    assert open_files() == before
    second.write(b"c" * 300)
    assert open_files() == before + 1
    first.write(b"d" * 400)
    assert open_files() == before + 1

    one, other = first.finish(), second.finish()
    assert b"".join(one.chunks()) == b"a" * 500 + b"d" * 400
    assert b"".join(other.chunks()) == b"b" * 300 + b"c" * 300
    one.close()
    other.close()


@pytest.mark.parametrize("end", ["finish", "discard"])
def test_a_content_that_arrives_no_more_counts_no_more(tmp_path: Path, end: str) -> None:
    """Whether it is whole or was given up."""
    scratch = Scratch(tmp_path, memory_octets=1000, unfinished_octets=900)
    before = open_files()
    for _ in range(3):
        writer = scratch.new_content()
        writer.write(b"a" * 800)
        getattr(writer, end)()

    assert open_files() == before
