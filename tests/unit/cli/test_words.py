"""Numbers and times in words."""

import pytest

from popsync.cli.words import count, format_octets, format_span, format_when


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**12, "5.0 TB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_octets_are_shown_in_the_unit_that_fits(octets: int, shown: str) -> None:
    """Never four digits before the unit, as long as there is a larger one."""
    assert format_octets(octets) == shown


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (None, "never"),
        (1000.4, "just now"),
        (998, "2 seconds ago"),
        (940, "1 minute ago"),
        (1000 - 7300, "2 hours ago"),
        (1000 - 2 * 86_400, "2 days ago"),
        (1300, "in 5 minutes"),
    ],
)
def test_moments_are_told_relative_to_now(moment: float | None, shown: str) -> None:
    """The largest whole unit is enough."""
    assert format_when(moment, 1000) == shown


def test_one_of_a_thing_is_singular() -> None:
    """And thousands are grouped."""
    assert (count(1, "message"), count(10_000, "message")) == ("1 message", "10,000 messages")


def test_no_time_at_all_has_words_too() -> None:
    """Clocks may even run backwards."""
    assert (format_span(0), format_span(-5)) == ("0 seconds", "0 seconds")
