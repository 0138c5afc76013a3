"""An SMTP or LMTP server that takes everything and remembers it, in threads of its own."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket
from typing import Any

CRLF = b"\r\n"
Request = socket | tuple[bytes, socket]


class Receiver(socketserver.ThreadingTCPServer):
    """Keeps ``(recipient, message)`` for each accepted message; one entry for each recipient.

    An entry is made before the reply goes out: what the client was not told arrived all the same.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *, lmtp: bool, keep: Callable[[bytes], bytes] = bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.lmtp = lmtp
        self.keep = keep
        """Gives what is remembered of a message."""
        self.lock = threading.Lock()
        self.accepted: list[tuple[str, bytes]] = []
        self.is_down = False
        """Takes nothing, and says so in its greeting."""
        self.greylists = 0
        """Puts off so many messages that it sees for the first time."""
        self.seen: set[bytes] = set()
        self._calm = threading.Condition()
        self._sessions = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def wait_until_idle(self) -> None:
        """Return once it has read all that clients sent, also those that have died since."""
        with self._calm:
            if not self._calm.wait_for(lambda: not self._sessions, timeout=20):
                raise TimeoutError("a client goes on")

    def process_request(self, request: Request, client_address: Any) -> None:
        """Count the session; it is over at the client's last octet."""
        with self._calm:
            self._sessions += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Request, client_address: Any) -> None:
        """Serve it in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._calm:
                self._sessions -= 1
                self._calm.notify_all()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that die are what this server is for."""


class _Session(socketserver.StreamRequestHandler):
    """One connection."""

    server: Receiver
    disable_nagle_algorithm = True

    def handle(self) -> None:
        if self.server.is_down:
            self._say(b"421 receiver.example.org is down")
            return
        self._say(b"220 receiver.example.org ready")
        recipients: list[str] = []
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb in {b"EHLO", b"LHLO"}:
                self._say(b"250-receiver.example.org", b"250-8BITMIME", b"250 PIPELINING")
            elif verb == b"DATA":
                self._say(b"354 go on")
                message = self._read_message()
                if message is None:
                    return
                self._accept(message, recipients)
                recipients = []
            elif verb == b"QUIT":
                self._say(b"221 bye")
                return
            else:
                if verb in {b"MAIL", b"RSET"}:
                    recipients = []
                if verb == b"RCPT":
                    recipients.append(line.partition(b"<")[2].partition(b">")[0].decode())
                self._say(b"250 ok")

    def _read_message(self) -> bytes | None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b"." + CRLF:
            if not line.endswith(b"\n"):
                return None  # cut off: RFC 5321 §4.1.1.4 has nothing delivered
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def _accept(self, message: bytes, recipients: list[str]) -> None:
        with self.server.lock:
            is_new = message not in self.server.seen
            if is_new and len(self.server.seen) < self.server.greylists:
                self.server.seen.add(message)
                self._say(b"451 come again")
                return
            kept = self.server.keep(message)
            self.server.accepted += [(recipient, kept) for recipient in recipients]
        for _ in recipients if self.server.lmtp else recipients[:1]:
            self._say(b"250 taken")

    def _say(self, *lines: bytes) -> None:
        self.wfile.write(b"".join(line + CRLF for line in lines))


@contextmanager
def run_receiver(
    *, lmtp: bool = False, keep: Callable[[bytes], bytes] = bytes
) -> Iterator[Receiver]:
    """Start a receiver and end it."""
    with Receiver(lmtp=lmtp, keep=keep) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
