import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from popsync.storage import moving
from popsync.storage.moving import move

_SYSTEMS = [None, errno.EINVAL, errno.ENOSYS]


@pytest.fixture(params=_SYSTEMS, ids=["offered", "not here", "nowhere"])
def _system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system offer such a move, or say that it does not."""

    def refuse(_old: bytes, _new: bytes) -> int:
        return int(request.param)

    def offer_none() -> Callable[[bytes, bytes], int]:
        return refuse

    if request.param is not None:
        monkeypatch.setattr(moving, "_rename_at_once", offer_none)


@pytest.mark.usefixtures("_system")
def test_a_file_gets_a_name_that_is_free(tmp_path: Path) -> None:
    """Whatever octets its path has."""
    old, new = f"{tmp_path}/\udcff", f"{tmp_path}/neu \u00fc"
    Path(old).write_bytes(b"mail")

    move(old, new)

    assert Path(new).read_bytes() == b"mail"
    assert not Path(old).exists()


@pytest.mark.usefixtures("_system")
def test_nothing_is_replaced(tmp_path: Path) -> None:
    """Not even a link that leads nowhere: it is somebody's (P1)."""
    old = tmp_path / "old"
    old.write_bytes(b"mail")
    (tmp_path / "file").write_bytes(b"other")
    (tmp_path / "link").symlink_to("nowhere")

    for name in ("file", "link"):
        with pytest.raises(FileExistsError, match=name):
            move(str(old), f"{tmp_path}/{name}")

    assert old.read_bytes() == b"mail"
    assert (tmp_path / "file").read_bytes() == b"other"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.usefixtures("_system")
def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """The error is the system's own."""
    with pytest.raises(FileNotFoundError):
        move(f"{tmp_path}/old", f"{tmp_path}/new")
