"""POP3 (RFC 1939, 2449, 2595, 5034) as events: a client, and a server for the bundled one."""
