import pytest

from popsync.config.units import parse_duration, parse_interval, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), ("14d", 1_209_600), ("0s", 0)]
)
def test_duration_with_each_unit_gives_seconds(text: str, seconds: int) -> None:
    """The four units are seconds, minutes, hours and days."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5M", "-5m", "1.5h", "٣m", "5m\n", 5, None])
def test_what_is_no_duration_is_refused_with_examples(text: object) -> None:
    """Neither a bare number nor a fraction is guessed at."""
    with pytest.raises(ValueError, match='"14d"'):
        parse_duration(text)


def test_duration_of_more_than_ten_years_is_refused() -> None:
    """Nothing later can overflow a date."""
    with pytest.raises(ValueError, match="ten years"):
        parse_duration("3651d")


def test_interval_of_nothing_is_refused() -> None:
    """An account cannot be polled without pause."""
    assert parse_interval("1s") == 1
    with pytest.raises(ValueError, match="longer than zero"):
        parse_interval("0m")


@pytest.mark.parametrize(
    ("text", "octets"),
    [("7B", 7), ("512KB", 524_288), ("50MB", 52_428_800), ("2GB", 2_147_483_648)],
)
def test_size_with_each_unit_gives_octets(text: str, octets: int) -> None:
    """A KB is 1024 octets."""
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", ["", "50", "50M", "50 MB", "50mb", "0.5GB", 50])
def test_what_is_no_size_is_refused_with_examples(text: object) -> None:
    """Neither a bare number nor a fraction is guessed at."""
    with pytest.raises(ValueError, match='"50MB"'):
        parse_size(text)


def test_size_of_nothing_is_refused() -> None:
    """It would hold every message."""
    with pytest.raises(ValueError, match="more than zero"):
        parse_size("0MB")
