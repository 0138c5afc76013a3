"""What a reload changes."""

from collections.abc import Mapping
from dataclasses import dataclass

from popsync.config.model import AccountConfig, Config


@dataclass(frozen=True, slots=True)
class NameChanges:
    """Names of accounts or destinations, each in exactly one of the three sets at most."""

    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class ConfigChanges:
    """What differs between two configurations; false when nothing does."""

    accounts: NameChanges
    """An account also counts as changed when a destination that it delivers to is."""
    destinations: NameChanges
    settings: frozenset[str]
    """Those of ``state_dir``, ``allow_group``, ``server``, ``limits``, ``log``, ``metrics`` and
    ``include``."""

    def __bool__(self) -> bool:
        return bool(self.accounts or self.destinations or self.settings)


_SETTINGS = ("state_dir", "allow_group", "server", "limits", "log", "metrics", "include")


def compare_configs(old: Config, new: Config) -> ConfigChanges:
    """Say what ``new`` changes. Pure; secrets are compared as they are written, not as read."""
    destinations = _compare(old.destinations, new.destinations)
    return ConfigChanges(
        accounts=_compare(_reach(old), _reach(new)),
        destinations=destinations,
        settings=frozenset(s for s in _SETTINGS if getattr(old, s) != getattr(new, s)),
    )


def _reach(config: Config) -> dict[str, tuple[AccountConfig, tuple[object, ...]]]:
    """Give each account with the destinations that it delivers to."""
    return {
        name: (account, tuple(config.destinations[target] for target in account.deliver_to))
        for name, account in config.accounts.items()
    }


def _compare(old: Mapping[str, object], new: Mapping[str, object]) -> NameChanges:
    return NameChanges(
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(name for name in old.keys() & new.keys() if old[name] != new[name]),
    )
