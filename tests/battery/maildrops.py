"""A POP3 server with a maildrop for each user, in threads of its own: quick, correct, forgetful.

A user's maildrop is made at once with what ``fill`` puts there; the password is anything.
"""

import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

CRLF = b"\r\n"


class Maildrops(socketserver.ThreadingTCPServer):
    """Serves ``messages[user]``, pairs of unique-id and octets; deletions happen at QUIT."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.messages: dict[str, list[tuple[bytes, bytes]]] = {}
        self.nameless: set[str] = set()
        """Users for whom UIDL is not known."""

        self.hides = False
        """Shows nothing any more that was retrieved in a session that ended with QUIT."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def fill(self, user: str, messages: Sequence[bytes]) -> None:
        """Give a user these messages and no others."""
        self.messages[user] = [(b"m-%d" % n, message) for n, message in enumerate(messages)]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that die are what this server is for."""


class _Session(socketserver.StreamRequestHandler):
    """One session."""

    server: Maildrops
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self._say(b"+OK ready")
        self._user = ""
        self._deleted: set[int] = set()
        self._retrieved: set[int] = set()
        self._drop: list[tuple[bytes, bytes]] = []
        while line := self.rfile.readline():
            verb, _, rest = line.strip().partition(b" ")
            if verb.upper() == b"QUIT":
                hidden = self._retrieved if self.server.hides else set()
                gone = [self._drop[n] for n in self._deleted | hidden]
                kept = [m for m in self.server.messages.get(self._user, []) if m not in gone]
                self.server.messages[self._user] = kept
                self._say(b"+OK bye")
                return
            self._answer(verb.upper(), rest)

    def _answer(self, verb: bytes, rest: bytes) -> None:
        if verb == b"CAPA":
            self._say(b"+OK", b"USER", b"UIDL", b"TOP", b"PIPELINING", b".")
        elif verb == b"USER":
            self._user = rest.decode()
            self._say(b"+OK")
        elif verb == b"PASS":
            self._drop = list(self.server.messages.get(self._user, []))
            self._say(b"+OK")
        elif verb == b"STAT":
            self._say(b"+OK %d %d" % (len(self._drop), sum(len(m) for _, m in self._drop)))
        elif verb == b"UIDL" and self._user in self.server.nameless:
            self._say(b"-ERR unknown")
        elif verb in {b"LIST", b"UIDL"}:
            self._list(verb, rest)
        elif verb in {b"RETR", b"DELE"}:
            self._visit(verb, int(rest) - 1)
        else:
            self._say(b"+OK" if verb in {b"NOOP", b"RSET"} else b"-ERR unknown")

    def _list(self, verb: bytes, rest: bytes) -> None:
        rows = [
            b"%d %b" % (n, b"%d" % len(message) if verb == b"LIST" else unique_id)
            for n, (unique_id, message) in enumerate(self._drop, 1)
        ]
        if rest:
            self._say(b"+OK " + rows[int(rest) - 1])
        else:
            self._say(b"+OK", *rows, b".")

    def _visit(self, verb: bytes, index: int) -> None:
        if verb == b"DELE":
            self._deleted.add(index)
            self._say(b"+OK")
            return
        self._retrieved.add(index)
        lines = self._drop[index][1].split(CRLF)[:-1]
        stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
        self._say(b"+OK", *stuffed, b".")

    def _say(self, *lines: bytes) -> None:
        self.wfile.write(b"".join(line + CRLF for line in lines))


@contextmanager
def run_maildrops() -> Iterator[Maildrops]:
    """Start the server and end it."""
    with Maildrops() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
