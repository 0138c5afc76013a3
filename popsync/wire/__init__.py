"""Octets to and from events, for POP3, SMTP and LMTP. No input or output, no clock."""
