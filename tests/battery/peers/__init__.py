"""The same kills and the same odd servers for the POP3 fetchers that are installed here."""
