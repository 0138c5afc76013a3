"""What a daemon that is started again knows of its accounts.

Without it, a service manager that restarts a daemon over and over would have a wrong password
tried over and over, until the provider locks the login.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from hashlib import scrypt
from typing import NamedTuple, Protocol

from popsync.agent.standing import Standing
from popsync.config.account import AccountConfig
from popsync.config.secrets import read_secret
from popsync.errors import LedgerError
from popsync.ledger import StoredStanding
from popsync.model import AccountId, PollSummary


class StandingMemory(Protocol):
    """What outlives the daemon: the ledger. Every method raises LedgerError."""

    @property
    def token(self) -> str:
        """Names the ledger; nobody else has the same."""
        ...

    async def catch_up(self) -> None:
        """Write what was put off: what quiet polls came to."""
        ...

    async def check(self) -> None:
        """Make sure that it is still where the next start looks for it."""
        ...

    async def standings(self) -> Mapping[AccountId, StoredStanding]:
        """Give all that was noted."""
        ...

    async def note_standing(self, account: AccountId, standing: str) -> None:
        """Remember how the account is doing."""
        ...

    async def note_poll(self, account: AccountId, summary: PollSummary) -> None:
        """Remember what a poll came to that could not say so itself."""
        ...

    async def set_paused(self, account: AccountId, *, paused: bool) -> None:
        """Remember whether the operator wants the account to be polled."""
        ...


class Remembered(NamedTuple):
    """How an account was doing when it was polled last."""

    standing: Standing = Standing()
    probe_at: float = 0.0
    """When a login that is refused is tried again, in seconds since the epoch; else 0."""
    login: str = ""
    """The mark of the login that was refused; empty when there is none."""


def format_remembered(remembered: Remembered) -> str:
    """Give a text for the ledger; an empty one for an account without trouble."""
    standing, probe_at, login = remembered
    if standing == Standing():
        return ""
    return json.dumps({**asdict(standing), "probe_at": probe_at, "login": login})


def parse_remembered(text: str) -> Remembered:
    """Read what ``format_remembered`` wrote. Anything else, of another version, is no trouble."""
    try:
        values = json.loads(text)
        probe_at, login = float(values.pop("probe_at")), str(values.pop("login"))
        return Remembered(Standing(**values), probe_at, login)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Remembered()


async def mark_login(account: AccountConfig, *, allow_group: bool, token: str) -> str:
    """Give a mark that differs when anything does that a server may refuse a login for.

    It is slow to make and differs from ledger to ledger, so that whoever sees it cannot try
    passwords on it. Raises SecretUnavailable.
    """
    password = await read_secret(account.password, allow_group=allow_group)
    login = json.dumps([account.host, account.port, account.user, account.auth, password])
    digest = await asyncio.to_thread(
        scrypt, login.encode(), salt=token.encode(), n=2**14, r=8, p=1, dklen=16
    )
    return digest.hex()


class Memory:
    """What was noted of all accounts, read once, and written when it changes."""

    def __init__(self, stored: StandingMemory) -> None:
        self._stored = stored
        self._noted: dict[AccountId, str] = {}
        self.paused: set[AccountId] = set()
        """Accounts that the operator does not want to be polled."""
        self.token = stored.token

    async def read(self) -> None:
        """Read it. Raises LedgerError."""
        stored = await self._stored.standings()
        self._noted = {account: found.standing for account, found in stored.items()}
        self.paused = {account for account, found in stored.items() if found.paused}

    def recall(self, account: AccountId) -> Remembered:
        """Give how an account was doing."""
        return parse_remembered(self._noted.get(account, ""))

    async def note(self, account: AccountId, remembered: Remembered) -> None:
        """Remember how it is doing now. While the ledger cannot be written, polls say so."""
        text = format_remembered(remembered)
        if text != self._noted.get(account, ""):
            with suppress(LedgerError):
                await self._stored.note_standing(account, text)
                self._noted[account] = text

    async def catch_up(self) -> None:
        """Have whoever looks now see what has been polled."""
        with suppress(LedgerError):
            await self._stored.catch_up()

    async def note_poll(self, account: AccountId, summary: PollSummary) -> None:
        """Remember what a poll came to. While the ledger cannot be written, polls say so."""
        with suppress(LedgerError):
            await self._stored.note_poll(account, summary)

    async def set_paused(self, account: AccountId, *, paused: bool) -> None:
        """Remember the operator's wish. Raises LedgerError, and then nothing has changed."""
        await self._stored.set_paused(account, paused=paused)
        (self.paused.add if paused else self.paused.discard)(account)
