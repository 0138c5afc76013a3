import time

import pytest

from popsync.wire.smtp.reverse_path import MAX_HEADER_OCTETS, find_reverse_path

RECEIVED = b"Received: from a by b; date\r\n"
REST = b"Subject: x\r\n\r\nReturn-Path: <body@evil.example>\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Return-Path: <joe@example.net>\r\n" + RECEIVED + REST,
        b"return-path:<joe@example.net>\r\n" + RECEIVED + REST,
        b"RETURN-PATH \t: \t<joe@example.net> \t\r\n" + RECEIVED + REST,
        b"Return-Path: <joe@example.net>\n" + RECEIVED + REST,
        b"Delivered-To: x\r\nX-Folded: a\r\n b\r\nReturn-Path: <joe@example.net>\r\n" + REST,
        b"Return-Path: <joe@example.net>\r\n" + REST,
        b"Return-Path: <joe@example.net>\r\n" + RECEIVED + b"Return-Path: <b@evil>\r\n" + REST,
        b"Return-Path: <joe@example.net>\r\n",
    ],
)
def test_the_receiving_servers_word_is_taken(head: bytes) -> None:
    """A strict address in the only Return-Path above the first Received."""
    assert find_reverse_path(head) == "joe@example.net"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        RECEIVED + REST,
        b"Return-Path: <>\r\n" + REST,
        RECEIVED + b"Return-Path: <joe@example.net>\r\n" + REST,
        b"Subject: x\r\n\r\nReturn-Path: <joe@example.net>\r\n",
        b"\r\nReturn-Path: <joe@example.net>\r\n",
        b"no header at all\r\nReturn-Path: <joe@example.net>\r\n",
        b"Return-Path: <joe@example.net>\r\nReturn-Path: <joe@example.net>\r\n" + REST,
        b"Return-Path: <joe@example.net>\r\nReturn-Path: <>\r\n" + REST,
        b"Return-Path: joe@example.net\r\n" + REST,
        b"Return-Path: <joe@example.net>, <x@y>\r\n" + REST,
        b"Return-Path: <joe@example.net> (comment)\r\n" + REST,
        b"Return-Path:\r\n <joe@example.net>\r\n" + REST,
        b"Return-Path: <joe@example.net>\r\n \r\n" + REST,
        b"Return-Path: <joe@example.net>\r\n\tBcc: x\r\n" + REST,
        b"Return-Path: <joe@exam\rple.net>\r\n" + REST,
        b"Return-Path: <joe@example.net>\r\r\n" + REST,
        b"Return-Path: <joe\0@example.net>\r\n" + REST,
        b"Return-Path: <j\xc3\xb6e@example.net>\r\n" + REST,
        b"Return-Path: <joe @example.net>\r\n" + REST,
        b"Return-Path: <joe@example.net>>\r\n" + REST,
        b"Return-Path: <<joe@example.net>\r\n" + REST,
        b"Return-Path: <@a,@b:joe@example.net>\r\n" + REST,
        b"Return-Path: <joe>\r\n" + REST,
        b"Return-Path: <" + b"j" * 2048 + b"@example.net>\r\n" + REST,
        b"Return-Path: <joe@example.net>",
        b" folded\r\nReturn-Path: <joe@example.net>\r\n" + REST,
    ],
)
def test_any_doubt_means_the_null_reverse_path(head: bytes) -> None:
    """Missing, spoofed, repeated, folded, malformed, 8-bit or too long: nothing is repaired."""
    assert find_reverse_path(head) == ""


@pytest.mark.parametrize(
    "piece",
    [
        b"a",
        b"a:\r\n",
        b" ",
        b"a: \r\n \r\n",
        b"a\t",
        b"Return-Path: <",
        b">",
        b"\n",
        b"Return-Path:a\r\n",
    ],
)
def test_a_hostile_header_is_scanned_in_linear_time(piece: bytes) -> None:
    """Ten times the cap is no more work than the cap."""
    head = b"Return-Path: <" + piece * (10 * MAX_HEADER_OCTETS // len(piece))
    began = time.process_time()

    assert find_reverse_path(head) == ""
    assert time.process_time() - began < 2


def test_what_stands_below_the_cap_is_not_looked_at() -> None:
    """A header of more than 256 KiB is no header that a server wrote."""
    filler = b"X-Filler: %s\r\n" % (b"x" * 1000)
    head = filler * (MAX_HEADER_OCTETS // len(filler) + 1) + b"Return-Path: <joe@example.net>\r\n"

    assert find_reverse_path(head) == ""
