"""Benchmarks need pytest-benchmark, which comes with the extra ``dev``, not with ``test``."""

import pytest


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave this directory out where the plugin is missing."""
    return None if config.pluginmanager.hasplugin("benchmark") else True
