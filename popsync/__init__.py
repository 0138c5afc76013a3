"""popsync fetches POP3 mailboxes and redelivers each message exactly once."""

__version__ = "0.1.0"
