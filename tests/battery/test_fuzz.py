"""The fuzzer at its shortest: it must run, find nothing, and not be blind."""

from collections.abc import Iterator
from random import Random

import pytest

from popsync.poll.journal import BatchJournal
from tests.battery.fuzz import fuzz, fuzz_polls
from tests.battery.scrawl import cut


def test_any_octets_are_read_or_refused() -> None:
    """Three hundred inputs for each parser, the same at every run."""
    result = fuzz(3300, seed=1)

    assert not result.broken, str(result)


def test_whatever_a_server_says_nothing_is_deleted_undelivered() -> None:
    """Sixty servers, polled until all has arrived that can (P1)."""
    result = fuzz_polls(60, seed=1)

    assert not result.broken, str(result)


def test_a_poll_that_deletes_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """To take whatever was retrieved for delivered must not pass."""
    monkeypatch.setattr(BatchJournal, "has_settled", lambda *_: True)

    assert fuzz_polls(60, seed=1).broken


def test_a_parser_that_depends_on_the_cuts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that keeps too little back must not pass."""
    monkeypatch.setattr("popsync.wire.dots._OPENINGS", (b"\r",))

    assert fuzz(300, seed=1).broken


def test_a_parser_that_crashes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is no refusal must not pass, and tells how to have it again."""

    def crash(pieces: Iterator[bytes]) -> None:
        raise IndexError(len(next(pieces)))

    monkeypatch.setattr("tests.battery.fuzz_checks.read_header", crash)
    broken = fuzz(50, seed=1).broken

    assert broken[0].startswith("input 1:6, reads_any_header: IndexError:")


def test_pieces_make_up_the_whole() -> None:
    """What is cut is neither lost nor empty."""
    rng = Random(1)
    for _ in range(100):
        pieces = cut(b"octets to be cut", rng)
        assert b"".join(pieces) == b"octets to be cut"
        assert all(pieces)
