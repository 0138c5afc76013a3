"""What tables must be to one another.

As within a table, a rule passes over keys that are wrong by themselves.
"""

from collections.abc import Iterator, Mapping

from popsync.config.drafts import Drafts
from popsync.config.entry import Draft, Entry
from popsync.config.model import AccountConfig, MaildirDestination
from popsync.config.problem import Problem
from popsync.config.table_rules import break_table_rules
from popsync.config.vocabulary import near, quote


def break_rules(drafts: Drafts) -> Iterator[Problem]:
    """Give every rule that is broken, within tables and across them."""
    for draft in (
        *drafts.accounts.values(),
        *drafts.destinations.values(),
        drafts.server,
        drafts.metrics,
    ):
        yield from break_table_rules(draft)
    yield from _top_destinations_exist(drafts)
    for account in drafts.accounts.values():
        if "deliver_to" not in account.unsound:
            yield from _destinations_exist(account, drafts)
            yield from _recipients_are_known(account, drafts)
    yield from _default_delete_after_has_effect(drafts)
    yield from _logins_differ(drafts.accounts)
    yield from _addresses_differ(drafts)


def resolve_destinations(account: AccountConfig, drafts: Drafts) -> tuple[str, ...]:
    """Give what ``deliver_to`` comes to: the account's, the file's, or the only destination."""
    names = drafts.destination_names
    return account.deliver_to or drafts.top.value.deliver_to or (names if len(names) == 1 else ())


def _top_destinations_exist(drafts: Drafts) -> Iterator[Problem]:
    if drafts.accounts and not drafts.destination_names:
        yield Problem(
            drafts.top.entry.source.path,
            "there is no destination for the mail; add a table such as [destination.inbox] with "
            'type = "maildir" and path = "~/Mail"',
        )
    yield from _names_exist(drafts.top.entry, drafts.top.value.deliver_to, drafts)


def _destinations_exist(account: Draft[AccountConfig], drafts: Drafts) -> Iterator[Problem]:
    yield from _names_exist(account.entry, account.value.deliver_to, drafts)
    several = len(drafts.destination_names) > 1
    if several and not resolve_destinations(account.value, drafts):
        listed = ", ".join(map(quote, drafts.destination_names))
        yield account.entry.problem(
            f"missing, and there is more than one destination; write deliver_to with some of "
            f"[{listed}], here, in [defaults] or at the top of the file",
            "deliver_to",
        )


def _names_exist(entry: Entry, names: tuple[str, ...], drafts: Drafts) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield entry.problem(
                f"names {quote(name)} a second time; remove it", "deliver_to", index
            )
        elif name not in drafts.destination_names:
            meant = near(name, drafts.destination_names)
            advice = f'did you mean "{meant}"?' if meant else f"add [destination.{name}]"
            yield entry.problem(
                f"there is no destination {quote(name)}; {advice}", "deliver_to", index
            )


def _recipients_are_known(account: Draft[AccountConfig], drafts: Drafts) -> Iterator[Problem]:
    if account.value.recipients or "recipients" in account.unsound:
        return
    for name in resolve_destinations(account.value, drafts):
        target = drafts.destinations.get(name)
        if target is None or isinstance(target.value, MaildirDestination):
            continue
        if not target.value.recipients and "recipients" not in target.unsound:
            yield account.entry.problem(
                f"missing; destination {quote(name)} must be told who the mail is for: write "
                f'recipients = ["jane@example.org"] here or in [destination.{name}]',
                "recipients",
            )
            return


def _default_delete_after_has_effect(drafts: Drafts) -> Iterator[Problem]:
    # One account may well keep while others delete; but if all keep, something else was meant.
    modes = [draft.value.mode for draft in drafts.accounts.values() if "mode" not in draft.unsound]
    defaults = next((draft.entry.inherited for draft in drafts.accounts.values()), None)
    if defaults and "delete_after" in defaults.values and modes and "delete" not in modes:
        yield defaults.problem(
            'has no effect, because no account has mode = "delete"; write that mode or remove '
            "this line",
            "delete_after",
        )


def _logins_differ(accounts: Mapping[str, Draft[AccountConfig]]) -> Iterator[Problem]:
    first: dict[str, Entry] = {}
    for draft in accounts.values():
        if not draft.unsound.isdisjoint({"host", "user"}):
            continue
        other = first.setdefault(draft.value.account_id, draft.entry)
        if other is not draft.entry:
            yield draft.entry.problem(
                f"is the same login as account {quote(other.name)} ({other.where}): "
                f"{draft.value.account_id}; remove one of them",
                "user",
            )


def _addresses_differ(drafts: Drafts) -> Iterator[Problem]:
    first: dict[str, Entry] = {}
    for draft in drafts.mailboxes.values():
        for index, address in enumerate(draft.value.addresses):
            other = first.setdefault(address.lower(), draft.entry)
            if other is not draft.entry:
                sentence = f"{quote(address)} already belongs to mailbox {quote(other.name)}"
                yield draft.entry.problem(sentence, "addresses", index)
