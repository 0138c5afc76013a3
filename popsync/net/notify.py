"""The line to the service manager that started this process: sd_notify(3)."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class ServiceManager:
    """Takes assignments such as ``READY=1``; what it cannot take now is given up."""

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        """``address``: a path, or with ``@`` in front a name in Linux's abstract namespace."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s
        """It must hear ``WATCHDOG=1`` within this time; None when it does not wait for that."""

    def tell(self, *assignments: str) -> None:
        """Send all of them at once. Never blocks, never raises for what the other side does."""
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel,
        ):
            channel.sendto("\n".join(assignments).encode(), self._address)


def find_service_manager(environ: Mapping[str, str] = os.environ) -> ServiceManager | None:
    """Give what ``$NOTIFY_SOCKET`` names; None when nobody wants to be told."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    return ServiceManager(address, _watchdog_s(environ))


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Read ``$WATCHDOG_USEC``, unless ``$WATCHDOG_PID`` says that it is another process's."""
    interval_us = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not is_ours or not interval_us.isdecimal() or int(interval_us) == 0:
        return None
    return int(interval_us) / 1_000_000
