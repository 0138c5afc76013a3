"""A configuration in the terms of the rooms that do the work."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from popsync.config import model as config_model
from popsync.config.secrets import Secret, read_secret
from popsync.destinations.maildir import MaildirDestination
from popsync.maildrop.settings import Pop3Settings
from popsync.net.tls import TlsOptions
from popsync.poll.header import format_trace, make_loop_mark
from popsync.poll.policy import Account, Policy, Route
from popsync.wire.smtp.reverse_path import find_reverse_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from popsync.config.account import AccountConfig
    from popsync.config.model import Config
    from popsync.destinations.lmtp import LmtpDestination
    from popsync.destinations.smtp import SmtpDestination
    from popsync.storage import DurableSteps, Scratch, SharedSyncs

    Destination = MaildirDestination | SmtpDestination | LmtpDestination


def account_for(name: str, account: AccountConfig, config: Config, token: str) -> Account:
    """Give what polls know of an account; ``token`` is the ledger's."""
    routes = tuple(Route(n, config.recipients(account, n)) for n in account.deliver_to)
    policy = Policy(
        deletes=account.mode == "delete",
        delete_after_s=account.delete_after_s,
        max_octets=account.max_octets,
        fetch_limit=account.fetch_limit,
        adopts=account.first_run == "adopt",
        destinations=frozenset(account.deliver_to),
    )
    return Account(
        account.account_id,
        name,
        policy,
        routes,
        find_reverse_path=_reverse_path_finder(account, routes),
        trace=_trace(account) if account.trace else None,
        loop_mark=make_loop_mark(token, account.account_id) if account.trace else "",
    )


def _reverse_path_finder(
    account: AccountConfig, routes: tuple[Route, ...]
) -> Callable[[bytes], str]:
    if all(route.recipients == ("",) for route in routes):
        return lambda _head: ""  # nobody asks
    if account.reverse_path == "auto":
        return find_reverse_path
    fixed = account.reverse_path.strip("<>")
    return lambda _head: fixed


def _trace(account: AccountConfig) -> Callable[[str, float], bytes]:
    hostname = os.uname().nodename or "localhost"
    protocol = "POP3" if account.tls == "none" else "POP3S"

    def trace(parcel: str, received_at: float) -> bytes:
        return format_trace(
            server=account.host,
            hostname=hostname,
            protocol=protocol,
            account=account.account_id,
            parcel=parcel,
            received_at=received_at,
        )

    return trace


def pop3_settings_for(account: AccountConfig, config: Config, scratch: Scratch) -> Pop3Settings:
    """Give what sessions of an account know of it."""
    return Pop3Settings(
        host=account.host,
        port=account.port,
        tls=_tls(account),
        user=account.user,
        password=_password(account.password, config),
        auth=account.auth,
        pipelining=account.pipelining,
        allow_plaintext=account.allow_plaintext,
        scratch=scratch,
        max_octets=account.max_octets,
    )


def destination_for(
    name: str,
    config: Config,
    token: str,
    steps: DurableSteps,
    syncs: SharedSyncs,
    *,
    stopping: Callable[[], bool],
) -> Destination:
    """Build the destination called ``name``; it opens nothing before it is used.

    token: names the ledger, so that two of them never use one another's files.
    syncs: what all Maildirs share.
    stopping: once it gives True, relays are offered no further message.
    """
    hostname = os.uname().nodename or "localhost"
    match config.destinations[name]:
        case config_model.MaildirDestination(path=path):
            return MaildirDestination(
                name, path, token=token, hostname=hostname, steps=steps, syncs=syncs
            )
        case config_model.SmtpDestination() as smtp:
            return _smtp_destination(name, smtp, config, hostname, stopping)
        case config_model.LmtpDestination() as lmtp:
            return _lmtp_destination(name, lmtp, hostname, stopping)


# Importing SMTP and LMTP takes as long as the rest of a poll with nothing new.


def _smtp_destination(
    name: str,
    smtp: config_model.SmtpDestination,
    config: Config,
    hostname: str,
    stopping: Callable[[], bool],
) -> SmtpDestination:
    from popsync.destinations.smtp import SmtpDestination, SmtpSettings  # noqa: PLC0415

    settings = SmtpSettings(
        host=smtp.host,
        port=smtp.port,
        tls=_tls(smtp),
        user=smtp.user,
        password=_password(smtp.password, config) if smtp.password else None,
        require_8bitmime=smtp.require_8bitmime,
        connections=smtp.connections,
        hello=hostname,
    )
    return SmtpDestination(name, settings, stopping=stopping)


def _lmtp_destination(
    name: str,
    lmtp: config_model.LmtpDestination,
    hostname: str,
    stopping: Callable[[], bool],
) -> LmtpDestination:
    from popsync.destinations.lmtp import LmtpDestination, LmtpSettings  # noqa: PLC0415

    settings = LmtpSettings(
        socket=str(lmtp.socket or ""),
        host=lmtp.host,
        port=lmtp.port,
        connections=lmtp.connections,
        hello=hostname,
    )
    return LmtpDestination(name, settings, stopping=stopping)


def _tls(config: AccountConfig | config_model.SmtpDestination) -> TlsOptions:
    return TlsOptions(
        mode=config.tls,
        ca_file=str(config.ca_file) if config.ca_file else None,
        fingerprint=config.fingerprint,
    )


def _password(secret: Secret, config: Config) -> Callable[[], Awaitable[str]]:
    return partial(read_secret, secret, allow_group=config.allow_group)
