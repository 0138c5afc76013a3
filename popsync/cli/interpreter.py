"""How Python is set for a process that mostly waits, and often does not live long."""

import gc

OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""A batch of messages makes as many, and hardly a cycle among them; Python's own number is 700."""


def settle_down() -> None:
    """Treat what is imported by now as there to stay.

    The collector need not look through it again and again, nor so often.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
