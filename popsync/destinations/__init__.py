"""Where messages go: a Maildir, an SMTP or an LMTP server, or memory."""
