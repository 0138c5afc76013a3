"""One POP3 session: connect, secure, log in, list, retrieve, delete, quit."""
