"""Many accounts on one Dovecot, each behind a link of its own, and their configuration."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.doubles.slow_link import SlowLink, SlowNetwork, slow_network
from tests.servers.dovecot import PASSWORD, Dovecot, run_dovecot
from tests.system.commands import write_config

DEFAULTS = f'[defaults]\ntls = "none"\npassword = "{PASSWORD}"\nmode = "keep"\ntrace = false\n'
INBOX = '[destination.inbox]\ntype = "maildir"\npath = "Mail"\n'


@dataclass(frozen=True, slots=True)
class Member:
    """One account, and the only way to its server."""

    name: str
    user: str
    link: SlowLink
    keys: tuple[str, ...] = ()
    """Lines of its table, beyond those that say where and as whom."""

    def table(self, *keys: str) -> str:
        """Give its table in the configuration, with more ``keys`` if there are any."""
        lines = (
            f"[account.{self.name}]",
            f'host = "{self.link.address}"',
            f"port = {self.link.port}",
            f'user = "{self.user}"',
            *self.keys,
            *keys,
            "",
        )
        return "\n".join(lines)


@dataclass(slots=True)
class Fleet:
    """A Dovecot, the network before it, and the accounts so far."""

    dovecot: Dovecot
    network: SlowNetwork
    members: list[Member] = field(default_factory=list)

    def enlist(self, count: int, *keys: str, rtt_s: float) -> Sequence[Member]:
        """Add accounts with empty maildrops.

        Each has a loopback address of its own, as if it were with a provider of its own, so that
        ``connections_per_host`` can stay what it is by default.
        """
        first = len(self.members)
        for number in range(first, first + count):
            user = f"user{number}@soak.example"
            self.dovecot.add_user(user)
            address = f"127.0.{1 + number // 250}.{1 + number % 250}"
            link = self.network.open(self.dovecot.pop3_port, rtt_s=rtt_s, address=address)
            self.members.append(Member(f"a{number}", user, link, keys))
        return self.members[first:]


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Run a Dovecot of its own and a network as long as the block lasts."""
    with run_dovecot() as dovecot, slow_network() as network:
        yield Fleet(dovecot, network)


def write_fleet(root: Path, *tables: str) -> Path:
    """Write a configuration with its state below ``root``."""
    text = "\n".join(('state_dir = "state"', DEFAULTS, *tables))
    return write_config(root / "popsync.toml", text)
