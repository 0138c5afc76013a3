"""What goes wrong in a bad night, one thing at a time and soon over, at random."""

import os
import random
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.doubles.slow_link import SlowLink
from tests.soak.fleet import Fleet, Member
from tests.system.commands import write_config

NOWHERE = 1
"""A port that nobody serves: tcpmux, which only its server may take."""

Cure = Callable[[], None]


def no_cure() -> None:
    """Nothing has to be undone."""


class Faults:
    """Does harm, and gives for each harm what ends it."""

    def __init__(
        self,
        dice: random.Random,
        *,
        fleet: Fleet,
        destination: SlowLink,
        maildir: Path,
        pid: int,
        config: Path,
        write_good: Callable[[Sequence[str]], None],
    ) -> None:
        """``write_good`` writes the configuration with more keys in every account's table."""
        self._dice = dice
        self._fleet = fleet
        self._destination = destination
        self._maildir = maildir
        self._pid = pid
        self._config = config
        self._write_good = write_good
        self.kinds: dict[str, Callable[[], Cure]] = {
            "one account cut": self._cut_one,
            "all accounts cut": self._cut_all,
            "server says nothing": self._silence,
            "server is down": self._refuse,
            "server's processes killed": self._kill_server_processes,
            "SMTP cut": self._cut_destination,
            "SMTP down": self._stop_destination,
            "SMTP says nothing": self._silence_destination,
            "Maildir gone": self._hide_maildir,
            "disk full": self._fill_disk,
            "configuration edited": self._edit,
            "configuration broken": self._break_edit,
        }
        self.count = dict.fromkeys(self.kinds, 0)

    def strike(self) -> Cure:
        """Do one harm; give what ends it."""
        kind = self._dice.choice(list(self.kinds))
        self.count[kind] += 1
        return self.kinds[kind]()

    # -- the maildrops -----------------------------------------------------------------------

    def _anyone(self) -> Member:
        return self._dice.choice(self._fleet.members)

    def _cut_one(self) -> Cure:
        self._fleet.network.cut(self._anyone().link)
        return no_cure

    def _cut_all(self) -> Cure:
        for member in self._fleet.members:
            self._fleet.network.cut(member.link)
        return no_cure

    def _silence(self) -> Cure:
        return self._silence_link(self._anyone().link)

    def _silence_link(self, link: SlowLink) -> Cure:
        link.is_black_hole = True

        def speak() -> None:
            link.is_black_hole = False
            self._fleet.network.cut(link)  # else it is waited for as long as popsync's patience

        return speak

    def _refuse(self) -> Cure:
        return _lead_nowhere(self._anyone().link)

    def _kill_server_processes(self) -> Cure:
        """As an overloaded server does: sessions end in the middle of a word."""
        for pid in self._fleet.dovecot.processes("pop3", "pop3-login"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return no_cure

    # -- the destinations --------------------------------------------------------------------

    def _cut_destination(self) -> Cure:
        self._fleet.network.cut(self._destination)
        return no_cure

    def _stop_destination(self) -> Cure:
        self._fleet.network.cut(self._destination)
        return _lead_nowhere(self._destination)

    def _silence_destination(self) -> Cure:
        return self._silence_link(self._destination)

    def _hide_maildir(self) -> Cure:
        """As when its file system is not mounted: nothing can be made in its place."""
        away = self._maildir.with_suffix(".away")
        if not self._maildir.is_dir():
            return no_cure
        self._maildir.rename(away)
        self._maildir.touch()

        def bring_back() -> None:
            self._maildir.unlink()
            away.rename(self._maildir)

        return bring_back

    def _fill_disk(self) -> Cure:
        """No file of popsync's may grow any more: mail, what is spilled, and the ledger."""
        before = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, before[1]))

        def make_room() -> None:
            resource.prlimit(self._pid, resource.RLIMIT_FSIZE, before)

        return make_room

    # -- the configuration -------------------------------------------------------------------

    def _edit(self) -> Cure:
        self._write_good([f"fetch_limit = {self._dice.randint(20, 90)}"])
        return no_cure

    def _break_edit(self) -> Cure:
        write_config(self._config, self._config.read_text() + "[account.x]\nhots = 1\n")
        return lambda: self._write_good([])


def _lead_nowhere(link: SlowLink) -> Cure:
    before, link.target_port = link.target_port, NOWHERE

    def lead_back() -> None:
        link.target_port = before

    return lead_back
