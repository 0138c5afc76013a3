"""What lies on disk: the durable steps, and contents too large for memory."""

from popsync.storage.content import ContentWriter, Scratch
from popsync.storage.directories import make_directories
from popsync.storage.steps import DurableSteps

__all__ = ["ContentWriter", "DurableSteps", "Scratch", "make_directories"]
