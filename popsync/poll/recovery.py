"""What a crash left open is settled before anything new begins."""

from collections import defaultdict
from collections.abc import Sequence

from popsync.errors import DeliveryRejected, DestinationUnavailable, PopsyncError, escape
from popsync.model import Intent, Outcome, Refusal
from popsync.poll.disposition import change_after_outcome
from popsync.poll.events import Warned
from popsync.poll.policy import Account
from popsync.poll.ports import Destination, Ports


async def settle_intents(
    account: Account, ports: Ports, down: dict[str, DestinationUnavailable]
) -> None:
    """Have every destination say what became of its open steps, and record it.

    One that cannot say so now is added to ``down``: its steps stay open, and nothing else is
    delivered there meanwhile (P4). Raises LedgerError.
    """
    await _reroute(account, ports)
    intents = await ports.ledger.open_intents(account.id)
    by_destination: dict[str, list[Intent]] = defaultdict(list)
    for intent in intents:
        by_destination[intent.destination].append(intent)
    for name, open_here in by_destination.items():
        destination = ports.destinations.get(name)
        try:
            outcomes = (
                await _recover(destination, open_here, account, ports)
                if destination
                else _strand(open_here)
            )
        except DestinationUnavailable as error:
            down[name] = error
        else:
            await _record(outcomes, open_here, ports)


async def _recover(
    destination: Destination, intents: Sequence[Intent], account: Account, ports: Ports
) -> Sequence[Outcome]:
    """Ask the destination of all at once; should that bring a bug to light, of each alone."""
    try:
        return await destination.recover(intents)
    except PopsyncError:
        raise
    except Exception:  # noqa: BLE001 - found again, and told, below
        alone = [await _recover_alone(destination, i, account, ports) for i in intents]
        return [outcome for outcomes in alone for outcome in outcomes]


async def _recover_alone(
    destination: Destination, intent: Intent, account: Account, ports: Ports
) -> Sequence[Outcome]:
    """Give what became of one step; nothing when we fail on it.

    It stays open then: its message may have arrived, so it is not delivered meanwhile (P4), and
    it holds up no other (P5).
    """
    try:
        return await destination.recover([intent])
    except PopsyncError:
        raise
    except Exception as bug:  # noqa: BLE001 - doubt keeps mail: it costs this message alone
        which = escape(intent.message.unique_id)
        why = escape(f"{type(bug).__name__}: {bug}")
        text = f"popsync fails to find out whether {destination.name} has message {which}: {why}"
        ports.observe(Warned(account.name, text))
        return ()


def _strand(intents: Sequence[Intent]) -> Sequence[Outcome]:
    """Hold what a destination that is no longer configured could have told us of."""
    error = DeliveryRejected("its destination left the configuration before it was done")
    return [Refusal(delivery, error) for intent in intents for delivery in intent.deliveries]


async def _reroute(account: Account, ports: Ports) -> None:
    routes = {(r.destination, recipient) for r in account.routes for recipient in r.recipients}
    held = await ports.ledger.reroute(account.id, routes)
    if held:
        text = f"{held} deliveries held: their destination is no longer configured"
        ports.observe(Warned(account.name, text))


async def _record(outcomes: Sequence[Outcome], intents: list[Intent], ports: Ports) -> None:
    known = await ports.ledger.deliveries([intent.message for intent in intents])
    now = ports.clock()
    await ports.ledger.record(
        [],
        [change_after_outcome(o, known[o.delivery.message][o.delivery], now) for o in outcomes],
    )
