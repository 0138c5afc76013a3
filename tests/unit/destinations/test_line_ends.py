"""CRLF becomes LF, and nothing else changes (P6)."""

import pytest

from popsync.destinations.line_ends import convert_line_ends, unix_line_ends

EVEN = b"To: a\r\n\r\n" + b"QUJD\r\n" * 6 + b"REU=\r\n--\r\n"
FORMS = {
    "none": b"",
    "no line end": b"abc",
    "one line": b"abc\r\n",
    "even lines": b"abc\r\n" * 5,
    "even lines behind others": EVEN,
    "empty lines": b"\r\n" * 5,
    "uneven lines": b"a\r\nbc\r\ndef\r\n",
    "lines that end in LF": b"abc\n" * 5,
    "bare CR": b"a\rb\r\nc\rd\r\n",
    "two CR": b"abc\r\r\n" * 3,
    "LF first": b"abc\n\r" * 3,
}


@pytest.mark.parametrize("octets", FORMS.values(), ids=FORMS.keys())
def test_each_form_of_lines_loses_the_cr_before_lf_only(octets: bytes) -> None:
    """What a plain replacement gives, whichever way is taken to it."""
    assert convert_line_ends(octets) == octets.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("change", [b"", b"a", b"\r", b"\n", b"\r\n"])
def test_one_octet_amiss_among_even_lines_is_noticed_wherever_it_stands(change: bytes) -> None:
    """Every octet in turn is taken out or exchanged, and the lines cut off behind every octet."""
    lines = EVEN[9:-10]
    for at in range(len(lines)):
        for octets in (lines[:at] + change + lines[at + 1 :], lines[:at] + change):
            assert convert_line_ends(octets) == octets.replace(b"\r\n", b"\n")


def test_a_crlf_that_is_cut_in_two_becomes_lf() -> None:
    """The CR at the end of a chunk waits for what the next one begins with."""
    for at in range(len(EVEN) + 1):
        pieces = list(unix_line_ends([EVEN[:at], EVEN[at:]]))

        assert b"".join(pieces) == EVEN.replace(b"\r\n", b"\n")
