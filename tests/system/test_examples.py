import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from popsync.config.load import load_config
from popsync.config.model import Config
from popsync.config.schema import json_schema
from popsync.config.vocabulary import KNOWN_KEYS

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> Config:
    """Load an example as it stands in the repository."""
    return load_config(EXAMPLES / name, {"STATE_DIRECTORY": "/state"})


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_example_satisfies_the_schema(path: Path) -> None:
    """An editor finds nothing to complain about."""
    jsonschema.validate(tomllib.loads(path.read_text()), json_schema())


def test_small_example_has_two_accounts_that_keep() -> None:
    """It can be copied without any loss."""
    accounts = load("two-accounts.toml").accounts

    assert list(accounts) == ["gmx", "work"]
    assert {account.mode for account in accounts.values()} == {"keep"}
    assert {account.deliver_to for account in accounts.values()} == {("inbox",)}


def keys_of(table: dict[str, object]) -> set[str]:
    """Give all keys, however deep."""
    inner = [keys_of(value) for value in table.values() if isinstance(value, dict)]
    return set(table).union(*inner)


def test_full_example_has_every_key() -> None:
    """Nothing can be configured that it does not show."""
    config = load("full.toml")
    shown = keys_of(tomllib.loads((EXAMPLES / "full.toml").read_text()))

    assert len(config.accounts) == 4
    assert shown >= KNOWN_KEYS


def test_examples_hold_no_password() -> None:
    """A copied one is not refused for its permissions, nor is a password the same everywhere."""
    for path in EXAMPLES.glob("*.toml"):
        assert 'password = "' not in path.read_text()
