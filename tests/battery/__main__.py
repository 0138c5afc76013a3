"""``python -m tests.battery ITEM``: one item of the battery, at length; exit 1 when it fails."""

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path

from popsync.ledger.states import TRANSITIONS
from tests.battery.crash_points import Survival, die_once, die_twice
from tests.battery.disks import (
    FAULTS,
    MOUNTS,
    NAMESPACE,
    Absence,
    endure,
    explain_no_mounts,
    take_away,
)
from tests.battery.fuzz import fuzz, fuzz_polls
from tests.battery.growth import MAX_GROWTH, measure_growth
from tests.battery.kill_loop import REPOSITORY, KillLoop, Mode
from tests.battery.ledgers import put_back_older, spoil
from tests.battery.model.explore import REMOVED, SETTINGS, Exploration, explore
from tests.battery.peers.kill_table import KILLS_HEADING, kill_each
from tests.battery.peers.odd_table import survive_each
from tests.battery.power_cuts import cut, cut_recovery
from tests.battery.refusals import corrupt, refuse
from tests.battery.removed_rules import remove_each
from tests.battery.scenario import SPOOLING, Kind

INPUTS_FOR_A_POLL = 200
"""A poll takes so much longer."""


def run_kill_loop(options: argparse.Namespace) -> bool:
    """Kill in each mode asked for; print a line for each."""
    fair = True
    for mode in [Mode(name) for name in options.mode or [mode.value for mode in Mode]]:
        loop = KillLoop(mode, options.kills, seed=options.seed, source=options.source)
        result = loop.run()
        print(result, flush=True)  # noqa: T201 - a command for the terminal
        fair = fair and result.fair
    return fair


def run_crash_points(options: argparse.Namespace) -> bool:
    """Die at every step; ``--long``: and again at every step of the recovery."""
    results = [_told(die_once(kind)) for kind in Kind]
    if options.long:
        results += [_told(die_twice(kind)) for kind in Kind]
    return all(results)


def run_refusals(options: argparse.Namespace) -> bool:
    """Fail every step, on real disks too; ``--long``: and damage the ledger 200 times."""
    into_maildir = (Kind.KEEP_MAILDIR, Kind.DELETE_MAILDIR)
    results = [_told(refuse(kind)) for kind in Kind]
    results.append(_run_mounted() if explain_no_mounts() else run_mounted(options))
    results += [
        _told(endure(name, kind)) for name in FAULTS if name != MOUNTS for kind in into_maildir
    ]
    results += [_told(take_away(absence)) for absence in Absence]
    for kind in (*into_maildir, Kind.DELETE_SMTP):
        results += [_told(spoil(kind)), _told(put_back_older(kind))]
    if options.long:
        results.append(_told(corrupt(times=200)))
    return all(results)


def run_mounted(_: argparse.Namespace) -> bool:
    """Poll under the faults that need a file system of their own."""
    return all([_told(endure(MOUNTS, k)) for k in (Kind.KEEP_MAILDIR, Kind.DELETE_MAILDIR)])  # noqa: C419


def _run_mounted() -> bool:
    """Run the same in a user namespace, if that has the right to mount."""
    if why := explain_no_mounts(*NAMESPACE):
        print(f"{MOUNTS}: left out: {why}")  # noqa: T201 - a command for the terminal
        return True
    command = [*NAMESPACE, sys.executable, "-m", "tests.battery", "mounted"]
    return not subprocess.run(command, check=False).returncode


def run_power_cuts(options: argparse.Namespace) -> bool:
    """Cut the power after every step; ``--long``: also in every recovery from a death."""
    kinds = (Kind.KEEP_MAILDIR, Kind.DELETE_MAILDIR, Kind.DELETE_SMTP, *SPOOLING)
    results = [_told(cut(kind)) for kind in kinds]
    every = 1 if options.long else 5
    results += [_told(cut_recovery(kind, every=every)) for kind in kinds]
    return all(results)


def run_model(_: argparse.Namespace) -> bool:
    """Explore every state; then leave out each rule, which must show."""
    results = [_said(explore(setting)) for setting in SETTINGS]
    made = {arrow for result in results for arrow in result.arrows}
    arrows = sum(map(len, TRANSITIONS.values()))
    print(f"transitions of the ledger's table that were made: {len(made)} of {arrows}")  # noqa: T201
    removed = [_said(explore(setting, until_violation=True)) for setting in REMOVED]
    return not any(r.violations for r in results) and all(r.violations for r in removed)


def run_fuzz(options: argparse.Namespace) -> bool:
    """Feed every parser random octets; then see how the time grows with the input."""
    results = [
        fuzz(options.inputs, seed=options.seed),
        fuzz_polls(options.inputs // INPUTS_FOR_A_POLL, seed=options.seed),
    ]
    print(*results, sep="\n", flush=True)  # noqa: T201 - a command for the terminal
    growths = list(measure_growth(tries=7))
    print(*growths, sep="\n")  # noqa: T201 - a command for the terminal
    fair = not any(result.broken for result in results)
    return fair and all(growth.factor <= MAX_GROWTH for growth in growths)


def run_peers(options: argparse.Namespace) -> bool:
    """Kill every fetcher that is installed, and show it odd servers; print both tables."""
    if options.kills:
        print(KILLS_HEADING)  # noqa: T201 - a command for the terminal
        for row in kill_each(options.kills, seed=options.seed):
            print(row, flush=True)  # noqa: T201 - a command for the terminal
    asyncio.run(_show_odd_servers())
    return True


async def _show_odd_servers() -> None:
    async for row in survive_each():
        print(row, flush=True)  # noqa: T201 - a command for the terminal


def run_removed_rules(_: argparse.Namespace) -> bool:
    """Take each rule away in a copy; its tests must fail."""
    noticed = []
    for name, seen in remove_each():
        print(f"{name:56} {'noticed' if seen else 'NOT NOTICED'}", flush=True)  # noqa: T201
        noticed.append(seen)
    print(f"rules whose removal was noticed: {sum(noticed)} of {len(noticed)}")  # noqa: T201
    return all(noticed)


def _said(result: Exploration) -> Exploration:
    print(result, flush=True)  # noqa: T201 - a command for the terminal
    return result


def _told(survival: Survival) -> bool:
    print(survival, flush=True)  # noqa: T201 - a command for the terminal
    return not survival.broken


def main() -> int:
    """Read the command line, run the item."""
    parser = argparse.ArgumentParser(prog="python -m tests.battery")
    items = parser.add_subparsers(required=True)
    kill = items.add_parser("kill-loop", help="kill -9 at random times, on a real Dovecot")
    kill.add_argument("--mode", action="append", choices=[mode.value for mode in Mode])
    kill.add_argument("--kills", type=int, default=500)
    kill.add_argument("--seed", type=int, default=1)
    kill.add_argument("--source", type=Path, default=REPOSITORY, help="the tree to be judged")
    kill.set_defaults(run=run_kill_loop)
    crash = items.add_parser("crash-points", help="die at every durable step")
    crash.set_defaults(run=run_crash_points)
    refusals = items.add_parser("refusals", help="the disk refuses every durable step")
    refusals.set_defaults(run=run_refusals)
    mounted = items.add_parser("mounted", help="of the refusals: what has to be mounted")
    mounted.set_defaults(run=run_mounted)
    power = items.add_parser("power-cuts", help="lose any part of what was not synced")
    power.set_defaults(run=run_power_cuts)
    model = items.add_parser("model", help="every state that the ledger's table allows")
    model.set_defaults(run=run_model)
    fuzzing = items.add_parser(
        "fuzz", help="random octets for every parser, and the time it takes"
    )
    fuzzing.add_argument("--inputs", type=int, default=1_000_000)
    fuzzing.add_argument("--seed", type=int, default=1)
    fuzzing.set_defaults(run=run_fuzz)
    peers = items.add_parser("peers", help="kills and odd servers, for other fetchers too")
    peers.add_argument("--kills", type=int, default=100, help="of each, in each mode")
    peers.add_argument("--seed", type=int, default=1)
    peers.set_defaults(run=run_peers)
    removing = items.add_parser("removed-rules", help="take each rule away, in a copy")
    removing.set_defaults(run=run_removed_rules)
    for item in (crash, power, refusals):
        item.add_argument("--long", action="store_true", help="the long form")
    options = parser.parse_args()
    return 0 if options.run(options) else 1


if __name__ == "__main__":
    sys.exit(main())
