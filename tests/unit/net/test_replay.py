import pytest

from popsync.errors import DeadlineExceeded, PeerClosed
from popsync.net.replay import ReplayStream


async def test_steps_are_given_one_a_read_and_then_the_end() -> None:
    """An exception is raised in its place, and the next step follows it."""
    stream = ReplayStream([b"+OK\r\n", DeadlineExceeded("silent"), b"+OK again\r\n"])

    assert await stream.read(timeout_s=1) == b"+OK\r\n"
    with pytest.raises(DeadlineExceeded, match="silent"):
        await stream.read(timeout_s=1)
    assert await stream.read(timeout_s=1) == b"+OK again\r\n"
    assert await stream.read(timeout_s=1) == b""
    assert stream.unread == 0


async def test_what_is_written_is_kept_until_it_is_closed() -> None:
    """A closed one takes nothing, as a real one."""
    stream = ReplayStream([], peer="pop:110")
    await stream.write(b"USER jane\r\n", timeout_s=1)
    await stream.write(b"QUIT\r\n", timeout_s=1)
    await stream.close()
    await stream.close()
    with pytest.raises(PeerClosed, match="pop:110"):
        await stream.write(b"more", timeout_s=1)

    assert stream.closed
    assert stream.writes == [b"USER jane\r\n", b"QUIT\r\n"]
    assert stream.written == b"USER jane\r\nQUIT\r\n"


async def test_it_passes_for_what_it_is_told() -> None:
    """TLS or none, this machine or another."""
    stream = ReplayStream([], peer="pop:110", secured=False, loopback=True)
    before = (stream.peer, stream.secured, stream.loopback)
    await stream.start_tls(timeout_s=1)

    assert before == ("pop:110", False, True)
    assert stream.secured
