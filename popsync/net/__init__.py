"""Client sockets, TLS and deadlines: the only room that has them."""
