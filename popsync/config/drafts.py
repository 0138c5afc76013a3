"""All tables of one configuration, each checked by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from popsync.config.checks import check_mailbox_name, check_name
from popsync.config.entry import Draft, Entry, draft_table, stand_ins
from popsync.config.gather import Gathered
from popsync.config.model import (
    DESTINATION_TYPES,
    AccountConfig,
    ConfigFile,
    DestinationConfig,
    LimitsConfig,
    LogConfig,
    MailboxConfig,
    MetricsConfig,
    ServerConfig,
)
from popsync.config.problem import Problem
from popsync.config.vocabulary import near, quote


@dataclass(frozen=True, slots=True)
class Drafts:
    """What ``config.rules`` compares and ``config.load`` makes the configuration of."""

    top: Draft[ConfigFile]
    accounts: Mapping[str, Draft[AccountConfig]]
    destinations: Mapping[str, Draft[DestinationConfig]]
    destination_names: tuple[str, ...]
    """Those too that are so wrong that there is no draft of them."""
    server: Draft[ServerConfig]
    mailboxes: Mapping[str, Draft[MailboxConfig]]
    limits: Draft[LimitsConfig]
    log: Draft[LogConfig]
    metrics: Draft[MetricsConfig]
    problems: tuple[Problem, ...]
    """What is wrong with single keys."""


def draft_all(gathered: Gathered) -> Drafts:
    """Check each table of ``gathered`` by itself."""
    accounts = {
        name: draft_table(AccountConfig, entry) for name, entry in gathered.accounts.items()
    }
    mailboxes = {
        name: draft_table(MailboxConfig, entry) for name, entry in gathered.mailboxes.items()
    }
    problems: list[Problem] = []
    destinations = _draft_destinations(gathered.destinations, problems)
    server = draft_table(ServerConfig, gathered.tables["server"])
    limits = draft_table(LimitsConfig, gathered.tables["limits"])
    log = draft_table(LogConfig, gathered.tables["log"])
    metrics = draft_table(MetricsConfig, gathered.tables["metrics"])
    for draft in (server, limits, log, metrics, *accounts.values(), *mailboxes.values()):
        problems += draft.problems
    problems += _check_defaults(gathered.tables["defaults"])
    problems += _check_names(gathered)
    names = tuple(gathered.destinations)
    return Drafts(
        gathered.top,
        accounts,
        destinations,
        names,
        server,
        mailboxes,
        limits,
        log,
        metrics,
        tuple(problems),
    )


def _draft_destinations(
    entries: Mapping[str, Entry], problems: list[Problem]
) -> dict[str, Draft[DestinationConfig]]:
    drafts: dict[str, Draft[DestinationConfig]] = {}
    for name, entry in entries.items():
        kind = entry.values.get("type")
        table = DESTINATION_TYPES.get(kind) if isinstance(kind, str) else None
        if table is None:
            problems.append(_wrong_type(entry, kind))
            continue
        drafts[name] = draft_table(table, entry)
        problems += drafts[name].problems
    return drafts


def _wrong_type(entry: Entry, kind: object) -> Problem:
    listed = '"maildir", "smtp" or "lmtp"'
    if "type" not in entry.values:
        return entry.problem(f"missing; write type = {listed}", "type")
    if not isinstance(kind, str):
        return entry.problem(f"must be {listed}", "type")
    meant = near(kind.lower(), DESTINATION_TYPES)
    advice = f'did you mean "{meant}"? It must be' if meant else "it must be"
    return entry.problem(f"{quote(kind)} is not possible; {advice} {listed}", "type")


def _check_defaults(entry: Entry) -> Iterator[Problem]:
    """Check ``[defaults]`` as an account of which any part may be missing."""
    whole = Entry(entry.source, entry.path, {**stand_ins(AccountConfig), **entry.values})
    yield from draft_table(AccountConfig, whole).problems


def _check_names(gathered: Gathered) -> Iterator[Problem]:
    for entries, check in (
        (gathered.accounts, check_name),
        (gathered.destinations, check_name),
        (gathered.mailboxes, check_mailbox_name),
    ):
        for entry in entries.values():
            try:
                check(entry.name)
            except ValueError as error:
                yield entry.problem(f"the name {error}")
