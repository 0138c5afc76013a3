"""The container's files name what is there."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CONTAINER = REPOSITORY / "contrib" / "docker"


def test_the_image_is_built_from_what_exists() -> None:
    """Each source of a COPY, and the build needs no other: pyproject.toml names these."""
    text = (CONTAINER / "Dockerfile").read_text()
    sources = [name for line in re.findall(r"(?m)^COPY (.+) ", text) for name in line.split()]
    needed = re.findall(r'"(docs/[^"]+)" = "share', (REPOSITORY / "pyproject.toml").read_text())

    assert "popsync" in sources
    assert [name for name in sources if not (REPOSITORY / name).exists()] == []
    assert all(str(Path(name).parent) in sources for name in needed)


def test_the_container_is_closed() -> None:
    """Nothing can be written but its volumes, and no right can be gained."""
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((CONTAINER / "compose.yaml").read_text())["services"]["popsync"]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    build = service["build"]
    assert (CONTAINER / build["context"] / build["dockerfile"]).is_file()
