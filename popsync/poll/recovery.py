"""What a crash left open is settled before anything new begins."""

from collections import defaultdict
from collections.abc import Sequence

from popsync.errors import DeliveryRejected
from popsync.model import Intent, Outcome, Refusal
from popsync.poll.disposition import change_after_outcome
from popsync.poll.events import Warned
from popsync.poll.policy import Account
from popsync.poll.ports import Ports


async def settle_intents(account: Account, ports: Ports) -> None:
    """Have every destination say what became of its open steps, and record it.

    Until that is known the messages behind them must not be retrieved again (P4), so an error
    here ends the poll: LedgerError, DestinationUnavailable.
    """
    await _reroute(account, ports)
    intents = await ports.ledger.open_intents(account.id)
    by_destination: dict[str, list[Intent]] = defaultdict(list)
    for intent in intents:
        by_destination[intent.destination].append(intent)
    for name, open_here in by_destination.items():
        destination = ports.destinations.get(name)
        outcomes = await destination.recover(open_here) if destination else _strand(open_here)
        await _record(outcomes, open_here, ports)


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
