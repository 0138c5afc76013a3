"""Copies of messages that were retrieved and that some destination does not take yet."""

from popsync.spool.reading import read_spooled_head, remove_spooled
from popsync.spool.spool import LocalSpool

__all__ = ["LocalSpool", "read_spooled_head", "remove_spooled"]
