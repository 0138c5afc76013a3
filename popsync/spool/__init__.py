"""Copies of messages that were retrieved and that some destination does not take yet."""

from popsync.spool.spool import LocalSpool

__all__ = ["LocalSpool"]
