"""Gives the failures of a connection the name of the destination that they befell."""

from collections.abc import Iterator
from contextlib import contextmanager

from popsync.errors import (
    DestinationMisconfigured,
    DestinationUnavailable,
    RemoteProtocolError,
    StreamError,
    TlsRefused,
)


@contextmanager
def destination_failures(destination: str) -> Iterator[None]:
    """Raise what fails inside as DestinationUnavailable, or DestinationMisconfigured for TLS.

    What is one of these already only gets the name.
    """
    try:
        yield
    except DestinationUnavailable as error:
        raise type(error)(f"destination {destination!r}: {error}") from error
    except TlsRefused as error:
        raise DestinationMisconfigured(f"destination {destination!r}: {error}") from error
    except (StreamError, RemoteProtocolError) as error:
        raise DestinationUnavailable(f"destination {destination!r}: {error}") from error
