"""What lies on disk: the durable steps, and contents too large for memory."""

from popsync.storage.content import ContentWriter, Scratch
from popsync.storage.directories import is_mounted_read_only, make_directories
from popsync.storage.shared_sync import SharedSyncs, Writing
from popsync.storage.steps import DurableSteps
from popsync.storage.threads import run_in_thread

__all__ = [
    "ContentWriter",
    "DurableSteps",
    "Scratch",
    "SharedSyncs",
    "Writing",
    "is_mounted_read_only",
    "make_directories",
    "run_in_thread",
]
