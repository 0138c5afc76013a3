"""What holds for every test: hypothesis profiles, an environment of its own, real servers."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.servers.dovecot", "tests.servers.postfix"]

# A loaded machine is slow without being wrong, so no example has a deadline; pytest has one.
# dev and ci try the same examples at every run, so that a failure belongs to a change; search is
# for finding new ones.
settings.register_profile("dev", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("search", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

STATES = itertools.count(1)
USERS_OWN = (
    *("POPSYNC_CONFIG", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"),
    *("XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY"),
    *("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Let each benchmark run once, as a test, unless ``--benchmark-only`` asks for figures."""
    if config.pluginmanager.hasplugin("benchmark") and not config.option.benchmark_only:
        config.option.benchmark_disable = True


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests, and what they start, from the user's configuration, state and terminal."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("TERM", "xterm-256color")
        for name in USERS_OWN:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a ledger of its own where a configuration names none."""
    state = Path(os.environ["HOME"], f"state-{next(STATES)}")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
