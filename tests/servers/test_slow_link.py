"""The slow link itself: what is measured behind it is worth what it is worth."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.doubles.slow_link import SlowLink, SlowNetwork, slow_network

RTT_S = 0.04
LATE_S = 0.01
"""Timers and a loaded machine add a little; too early is never allowed."""
GREETING = b"+OK hello\r\n"


def echo(server: socket.socket) -> None:
    """Greet and repeat what is said, to one client after the other, until the socket closes."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.sendall(GREETING)
            while octets := client.recv(1 << 16):
                client.sendall(octets)


@contextmanager
def echoing() -> Iterator[int]:
    """Serve on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=echo, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def network() -> Iterator[SlowNetwork]:
    """A network for one test."""
    with slow_network() as network:
        yield network


def connect(link: SlowLink) -> socket.socket:
    """Give a connected client."""
    return socket.create_connection((link.address, link.port), timeout=10)


def read(client: socket.socket, octets: int) -> bytes:
    """Read exactly so many."""
    heard = b""
    while len(heard) < octets:
        more = client.recv(octets - len(heard))
        assert more
        heard += more
    return heard


def is_cut_off(client: socket.socket) -> bool:
    """Whether nothing comes any more; waits for it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def median(values: list[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def test_every_answer_takes_a_round_trip_and_hardly_more(network: SlowNetwork) -> None:
    """Never earlier than 40 ms, in the median less than 10 ms later."""
    took_s = []
    with echoing() as port, connect(network.open(port, rtt_s=RTT_S)) as client:
        read(client, len(GREETING))
        for _ in range(20):
            began_at = time.monotonic()
            client.sendall(b"NOOP\r\n")
            read(client, 6)
            took_s.append(time.monotonic() - began_at)

    assert min(took_s) >= RTT_S
    assert median(took_s) < RTT_S + LATE_S


def test_a_greeting_comes_after_two_round_trips(network: SlowNetwork) -> None:
    """One for the connection, half a one until the server knows, half a one for its words."""
    took_s = []
    with echoing() as port:
        link = network.open(port, rtt_s=RTT_S)
        for _ in range(5):
            began_at = time.monotonic()
            with connect(link) as client:
                read(client, len(GREETING))
                took_s.append(time.monotonic() - began_at)

    assert min(took_s) >= 2 * RTT_S
    assert median(took_s) < 2 * RTT_S + LATE_S


def test_octets_come_out_in_order_and_all_of_them(network: SlowNetwork) -> None:
    """Also many, while others are on the way; bandwidth is not limited."""
    lines = b"".join(b"line %d\r\n" % number for number in range(100_000))
    with echoing() as port, connect(network.open(port, rtt_s=RTT_S)) as client:
        read(client, len(GREETING))
        talk = threading.Thread(target=client.sendall, args=(lines,))
        talk.start()
        heard = read(client, len(lines))
        talk.join()

    assert heard == lines


def test_a_cut_ends_both_sides(network: SlowNetwork) -> None:
    """The client sees a reset, and the call is over."""
    with echoing() as port:
        link = network.open(port, rtt_s=RTT_S)
        with connect(link) as client:
            read(client, len(GREETING))
            cut = network.cut(link)
            ended = is_cut_off(client)

    assert (cut, ended) == (1, True)
    assert [call.ended_at is not None for call in link.calls] == [True]


def test_a_black_hole_accepts_and_says_nothing(network: SlowNetwork) -> None:
    """Nobody behind it is asked, either."""
    link = network.open(1, rtt_s=RTT_S)
    link.is_black_hole = True
    with connect(link) as client:
        client.settimeout(4 * RTT_S)
        with pytest.raises(TimeoutError):
            client.recv(1)

    assert len(link.calls) == 1


def test_a_server_that_is_down_ends_the_connection(network: SlowNetwork) -> None:
    """The client is connected, as through a proxy, and then reset."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with connect(network.open(port, rtt_s=0)) as client:
        ended = is_cut_off(client)

    assert ended
