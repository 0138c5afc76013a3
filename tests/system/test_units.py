"""The units for systemd, as systemd reads them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.servers.programs import require_program

UNITS = Path(__file__).parents[2] / "contrib" / "systemd"
MAX_EXPOSURE = 2.0


def analyze(root: Path, *arguments: str | Path) -> str:
    """Give all that systemd-analyze says."""
    program = require_program("systemd-analyze")
    ended = subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
        env={**os.environ, "XDG_RUNTIME_DIR": str(root), "SYSTEMD_PAGER": "", "NO_COLOR": "1"},
    )
    return ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("scope", "unit"),
    [
        ("--system", "popsync.service"),
        ("--user", "popsync-user.service"),
        ("--user", "popsync-once.service"),
        ("--user", "popsync-once.timer"),
    ],
)
def test_systemd_finds_no_mistake(tmp_path: Path, scope: str, unit: str) -> None:
    """Every key is known and every value understood."""
    for file in UNITS.iterdir():
        text = re.sub(
            r"^ExecStart=\S+", "ExecStart=/bin/true", file.read_text(), flags=re.MULTILINE
        )
        (tmp_path / file.name).write_text(text)

    assert analyze(tmp_path, scope, "verify", "--man=no", tmp_path / unit) == ""


def test_service_is_hardened(tmp_path: Path) -> None:
    """What popsync does not need is taken from it."""
    said = analyze(tmp_path, "security", "--offline=true", UNITS / "popsync.service")
    exposure = re.search(r"Overall exposure level for popsync.service: ([0-9.]+)", said)

    assert exposure is not None
    assert float(exposure[1]) <= MAX_EXPOSURE
