"""What the keys of one table must be to one another.

A rule is asked only when the keys that it looks at are sound by themselves, so that one mistake
is told once.
"""

from collections.abc import Callable, Iterator
from typing import Any

from popsync.config.checks import ListenAddress, is_loopback
from popsync.config.entry import Draft
from popsync.config.model import (
    AccountConfig,
    LmtpDestination,
    MetricsConfig,
    ServerConfig,
    SmtpDestination,
)
from popsync.config.problem import Problem
from popsync.config.table import Table
from popsync.config.vocabulary import quote


def break_table_rules(draft: Draft[Any]) -> Iterator[Problem]:
    """Give every rule that the table breaks."""
    for keys, rule in _RULES.get(type(draft.value), ()):
        if draft.unsound.isdisjoint(keys):
            yield from rule(draft)


def _account_encrypts(draft: Draft[AccountConfig]) -> Iterator[Problem]:
    account = draft.value
    if account.tls == "none" and not account.allow_plaintext and not is_loopback(account.host):
        yield draft.entry.problem(
            f'would send the password to {quote(account.host)} unencrypted; write "implicit" or '
            '"starttls" (or allow_plaintext = true, if you must)',
            "tls",
        )


def _pins_have_effect(draft: Draft[AccountConfig] | Draft[SmtpDestination]) -> Iterator[Problem]:
    for key in ("ca_file", "fingerprint"):
        if draft.value.tls == "none" and key in draft.entry.values:
            yield draft.entry.problem('has no effect with tls = "none"; remove one of them', key)


def _delete_after_has_effect(draft: Draft[AccountConfig]) -> Iterator[Problem]:
    if draft.value.mode == "keep" and "delete_after" in draft.entry.values:
        yield draft.entry.problem(
            'has no effect with mode = "keep", which deletes nothing; write mode = "delete" or '
            "remove this line",
            "delete_after",
        )


def _polls_by_one_rule(draft: Draft[AccountConfig]) -> Iterator[Problem]:
    if {"schedule", "poll_every"} <= draft.entry.merged().keys():
        yield draft.entry.problem("cannot stand beside poll_every; remove one of them", "schedule")


def _smtp_login_is_whole(draft: Draft[SmtpDestination]) -> Iterator[Problem]:
    stated = draft.entry.values
    if "user" in stated and "password" not in stated:
        yield draft.entry.problem('needs a password beside it: password = { file = "…" }', "user")
    if "password" in stated and "user" not in stated:
        yield draft.entry.problem('needs a user beside it: user = "…"', "password")


def _smtp_encrypts(draft: Draft[SmtpDestination]) -> Iterator[Problem]:
    target = draft.value
    if target.password is not None and target.tls == "none" and not is_loopback(target.host):
        yield draft.entry.problem(
            f'would be sent to {quote(target.host)} unencrypted; write tls = "starttls" or '
            '"implicit"',
            "password",
        )


def _lmtp_has_one_address(draft: Draft[LmtpDestination]) -> Iterator[Problem]:
    stated = draft.entry.values
    if "socket" in stated:
        for key in ("host", "port"):
            if key in stated:
                yield draft.entry.problem("cannot stand beside socket; remove one of them", key)
    elif "host" not in stated:
        yield draft.entry.problem(
            'missing; write socket = "/run/dovecot/lmtp", or host and port', "socket"
        )


def _server_tls_is_whole(draft: Draft[ServerConfig]) -> Iterator[Problem]:
    stated = draft.entry.values
    for key, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if key in stated and other not in stated:
            yield draft.entry.problem(f"needs {other} beside it", key)


def _smtp_listener_encrypts(draft: Draft[ServerConfig]) -> Iterator[Problem]:
    yield from _listener_encrypts(draft, "smtp_listen", draft.value.smtp_listen)


def _pop3_listener_encrypts(draft: Draft[ServerConfig]) -> Iterator[Problem]:
    yield from _listener_encrypts(draft, "pop3_listen", draft.value.pop3_listen)


def _listener_encrypts(
    draft: Draft[ServerConfig], key: str, listen: ListenAddress
) -> Iterator[Problem]:
    if draft.value.tls_cert is None and not is_loopback(listen.host):
        yield draft.entry.problem(
            "can be reached from other machines, so the server needs tls_cert and tls_key; "
            "write them, or listen on 127.0.0.1",
            key,
        )


def _metrics_stay_here(draft: Draft[MetricsConfig]) -> Iterator[Problem]:
    listen = draft.value.listen
    if listen is not None and not draft.value.allow_remote and not is_loopback(listen.host):
        yield draft.entry.problem(
            "can be reached from other machines, and the figures name accounts; listen on "
            "127.0.0.1, or write allow_remote = true",
            "listen",
        )


_Rule = Callable[[Draft[Any]], Iterator[Problem]]
_PINS: tuple[tuple[str, ...], _Rule] = (("tls", "ca_file", "fingerprint"), _pins_have_effect)
_RULES: dict[type[Table], tuple[tuple[tuple[str, ...], _Rule], ...]] = {
    AccountConfig: (
        (("tls", "host", "allow_plaintext"), _account_encrypts),
        (("mode", "delete_after"), _delete_after_has_effect),
        (("schedule", "poll_every"), _polls_by_one_rule),
        _PINS,
    ),
    SmtpDestination: (
        (("user", "password"), _smtp_login_is_whole),
        (("password", "tls", "host"), _smtp_encrypts),
        _PINS,
    ),
    LmtpDestination: ((("socket", "host", "port"), _lmtp_has_one_address),),
    ServerConfig: (
        (("tls_cert", "tls_key"), _server_tls_is_whole),
        (("tls_cert", "smtp_listen"), _smtp_listener_encrypts),
        (("tls_cert", "pop3_listen"), _pop3_listener_encrypts),
    ),
    MetricsConfig: ((("listen", "allow_remote"), _metrics_stay_here),),
}
"""For each kind of table its rules, each with the keys that it looks at."""
