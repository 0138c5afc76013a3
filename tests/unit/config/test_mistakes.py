import os
from pathlib import Path

import pytest

from popsync.config.load import load_config
from popsync.errors import ConfigError
from tests.unit.config.files import write

HERE = Path(__file__).parent
EXPECTED = HERE / "mistakes.txt"


def told(directory: Path) -> str:
    """Give all that is said about ``mistakes.toml``."""
    path = write(directory, (HERE / "mistakes.toml").read_text(), name="mistakes.toml")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value).replace(f"{directory}/", "") + "\n"


def test_every_mistake_of_one_file_is_told_at_once(tmp_path: Path) -> None:
    """Over thirty mistakes give as many blocks, word for word as reviewed.

    After a change of wording, run with POPSYNC_RENEW=1 and read the difference.
    """
    found = told(tmp_path)
    if os.environ.get("POPSYNC_RENEW"):
        EXPECTED.write_text(found)

    assert found == EXPECTED.read_text()


def test_mistakes_are_told_in_the_order_of_lines(tmp_path: Path) -> None:
    """The user goes through the file once."""
    heads = [line for line in told(tmp_path).splitlines() if line.startswith("mistakes.toml:")]
    places = [tuple(map(int, head.split(":")[1:3])) for head in heads]

    assert len(heads) >= 30
    assert places == sorted(places)


def test_no_mistake_shows_a_password(tmp_path: Path) -> None:
    """Neither a misplaced nor a misspelt one (P7)."""
    assert "hunter2" not in told(tmp_path)
