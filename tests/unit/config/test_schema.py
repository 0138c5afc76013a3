import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from popsync.config.reference import reference
from popsync.config.schema import json_schema
from tests.unit.config.files import GMX, INBOX

ROOT = Path(__file__).parents[3]


def valid(text: str) -> bool:
    """Whether an editor would take ``text``."""
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(tomllib.loads(text)))


def test_schema_is_one() -> None:
    """It names its dialect and keeps to it."""
    schema = json_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    "text",
    [
        "",
        INBOX + GMX,
        GMX.replace('"s3cret"', '{ command = ["pass"] }'),
        '[defaults]\nmode = "keep"\n[account.x]\nhost = "h"',
        '[destination.d]\ntype = "lmtp"\nsocket = "/s"',
        '[server]\nsmtp_listen = "127.0.0.1:0"\n[server.mailbox.x]\npassword = "x"',
    ],
)
def test_schema_takes_what_loads(text: str) -> None:
    """Passwords are texts or tables, and accounts may inherit any key."""
    assert valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "stat_dir = 'x'",
        "[defaults]\npoll_every = 300",
        "[account.x]\nmode = 'kepe'",
        "[account.x]\npassword = { cmd = ['x'] }",
        "[destination.d]\ntype = 'maildir'",
        "[log]\nlevel = 'loud'",
    ],
)
def test_schema_refuses_what_does_not_load(text: str) -> None:
    """An editor marks the same mistakes."""
    assert not valid(text)


def walk(node: Any) -> list[dict[str, Any]]:
    """Give every object of a schema."""
    if isinstance(node, list):
        return [found for item in node for found in walk(item)]
    if isinstance(node, dict):
        return [node, *(found for item in node.values() for found in walk(item))]
    return []


def test_schema_stays_plain() -> None:
    """TOML has no null, and editors multiply the errors of every alternative."""
    nodes = walk(json_schema())

    assert {"type": "null"} not in nodes
    assert len([node for node in nodes if "anyOf" in node]) == 3  # the three passwords


def test_every_key_has_a_description_and_an_example() -> None:
    """What an editor shows beside a key is there for all of them."""
    definitions = json_schema()["$defs"].values()
    keys = [key for table in definitions for key in table["properties"].items()]

    assert len(keys) > 50
    for name, key in keys:
        assert key.get("description"), name
        assert key.get("examples") or name == "mailbox", name


def test_defaults_satisfy_the_schema() -> None:
    """A default is shown as the user would write it."""
    for table in json_schema()["$defs"].values():
        for name, key in table["properties"].items():
            if "default" in key:
                jsonschema.validate(key["default"], key), name


def test_reference_is_up_to_date() -> None:
    """``docs/configuration.md`` is what the tables say."""
    command = [sys.executable, "-m", "popsync.config.reference"]
    written = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert written == reference()
    assert (ROOT / "docs" / "configuration.md").read_text() == written
