"""The bundled mini server: takes mail by SMTP, keeps it in Maildirs, gives it out by POP3."""

from popsync.server.settings import MailboxSettings, ServerSettings

__all__ = ["MailboxSettings", "ServerSettings"]
