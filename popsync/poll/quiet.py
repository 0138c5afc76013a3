"""A listing that left nothing to do is recognised, so that nothing need be compared again.

Whatever changes what the ledger knows of the account's messages makes it forget the listing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256

from popsync import __version__
from popsync.model import AccountMemory, ListedMessage, Listing, Quiet
from popsync.poll.content_keys import is_nameless
from popsync.poll.plan import PollPlan
from popsync.poll.policy import Policy

MAX_QUIET_S = 86_400.0
"""Once in this time everything is compared all the same."""


def is_quiet(listing: Listing, policy: Policy, known: Quiet | None, now: float) -> bool:
    """Say whether this listing is the one that left nothing to do, and still does."""
    return (
        known is not None
        and listing.complete
        and now < known.until <= now + MAX_QUIET_S
        and known.fingerprint == _fingerprint(listing.messages, policy)
    )


def find_quiet(
    listing: Listing, memory: AccountMemory, plan: PollPlan, policy: Policy, now: float
) -> Quiet | None:
    """Give what tells this listing again; None when it leaves something to do, or to say."""
    if not (memory.stamp and memory.polled_before and listing.complete):
        return None
    if memory.renumbering or memory.content_keys or memory.hints or listing.left_out:
        return None
    if plan.has_work or any(map(is_nameless, listing.messages)):
        return None
    until = min((skip.until for skip in plan.skip if skip.until is not None), default=now * 2)
    fingerprint = _fingerprint(listing.messages, policy)
    return Quiet(fingerprint, min(until, now + MAX_QUIET_S), memory.stamp)


def _fingerprint(messages: Sequence[ListedMessage], policy: Policy) -> bytes:
    """Give a digest of all that a plan is made of, besides what the ledger knows.

    No unique-id has a line end in it.
    """
    terms = asdict(policy) | {"destinations": sorted(policy.destinations)}
    rows = [b"%d %d %b" % (number, octets, name) for number, name, octets in messages]
    return sha256(f"{__version__} {sorted(terms.items())}\n".encode() + b"\n".join(rows)).digest()
