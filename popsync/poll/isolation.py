"""Keeps one message that brings a bug to light from stopping all that it came with (P5)."""

from collections.abc import Awaitable, Callable, Collection

from popsync.errors import PopsyncError
from popsync.model import MessageKey


async def isolate_bugs(
    keys: Collection[MessageKey],
    deliver: Callable[[Collection[MessageKey]], Awaitable[None]],
    blame: Callable[[MessageKey, Exception], Awaitable[None]],
) -> None:
    """Deliver all messages together; should an exception that is not ours end that, one by one.

    Those on which that fails again are blamed, and the first exception is raised, so that it is
    told with its traceback. When it fails on all of several, the messages are not to blame.
    """
    try:
        await deliver(keys)
    except PopsyncError:
        raise
    except Exception as error:
        alone = len(keys) == 1
        culprits = dict.fromkeys(keys, error) if alone else await _find_culprits(keys, deliver)
        if alone or len(culprits) < len(keys):
            for key, bug in culprits.items():
                await blame(key, bug)
        raise


async def _find_culprits(
    keys: Collection[MessageKey],
    deliver: Callable[[Collection[MessageKey]], Awaitable[None]],
) -> dict[MessageKey, Exception]:
    culprits: dict[MessageKey, Exception] = {}
    for key in keys:
        try:
            await deliver([key])
        except PopsyncError:
            raise
        except Exception as bug:  # noqa: BLE001 - that is what is looked for
            culprits[key] = bug
    return culprits
