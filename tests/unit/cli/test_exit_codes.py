"""From errors to one exit code."""

import inspect
from itertools import combinations

import pytest

from popsync import errors
from popsync.cli.exit_codes import ExitCode, choose_exit_code, exit_code_for

CASES: list[tuple[BaseException, int]] = [
    (errors.ConfigError("bad"), 78),
    (RuntimeError("bug"), 70),
    (errors.LocalProtocolError("bug"), 70),
    (errors.UnexpectedError("bug"), 70),
    (errors.LedgerUnavailable("disk full"), 74),
    (errors.ScratchUnavailable("disk full"), 74),
    (errors.LedgerCorrupt("not a database"), 74),
    (OSError(28, "No space left on device"), 74),
    (errors.AuthRejected("no"), 77),
    (errors.AuthUnsupported("no"), 77),
    (errors.RemoteProtocolError("no"), 76),
    (errors.SizesDisagree("no"), 76),
    (errors.UidlUnsupported("no"), 76),
    (errors.ConnectFailed("no"), 69),
    (errors.PeerClosed("no"), 69),
    (errors.DeadlineExceeded("no"), 69),
    (errors.TlsRefused("no"), 69),
    (errors.ServerUnavailable("no"), 69),
    (errors.ServerRefused("no"), 69),
    (errors.DestinationUnavailable("no"), 69),
    (errors.DestinationMisconfigured("no"), 69),
    (errors.LedgerLocked("no"), 75),
    (errors.MaildropLocked("no"), 75),
    (errors.LoginDelayed("no"), 75),
    (errors.SecretUnavailable("no"), 75),
    (errors.DeliveryDeferred("no"), 75),
    (errors.DeliveryRejected("no"), 75),
    (errors.RetrievalRefused("no"), 75),
]
MOST_TELLING_FIRST = (78, 70, 74, 77, 76, 69, 75)


@pytest.mark.parametrize(("error", "code"), CASES, ids=lambda value: type(value).__name__)
def test_each_error_has_its_code(error: BaseException, code: int) -> None:
    """One error alone decides the code by what kind of failure it is."""
    assert exit_code_for(error) == code


def test_every_error_of_popsync_has_a_code_of_sysexits() -> None:
    """No class of the tree falls through to a bug's code unless it is one."""
    tree = {c for _, c in inspect.getmembers(errors, inspect.isclass)}
    internal = {
        c
        for c in tree
        if issubclass(c, errors.PopsyncError) and exit_code_for(c("x")) is ExitCode.INTERNAL
    }

    assert internal == {errors.LocalProtocolError, errors.UnexpectedError}


@pytest.mark.parametrize(("worse", "better"), list(combinations(MOST_TELLING_FIRST, 2)))
def test_of_two_codes_the_more_telling_one_wins(worse: int, better: int) -> None:
    """The order of the contract holds for every pair, whichever came first."""
    occurred = (ExitCode(better), ExitCode(worse))

    assert choose_exit_code(occurred) == worse
    assert choose_exit_code(reversed(occurred)) == worse


def test_nothing_wrong_is_zero() -> None:
    """No error, or only successes, is success; no new mail is not an error."""
    assert choose_exit_code([]) == 0
    assert choose_exit_code([ExitCode.OK]) == 0


def test_errors_and_codes_mix() -> None:
    """A held message beside a refused login: the login says more."""
    assert choose_exit_code([ExitCode.TEMPORARY, errors.AuthRejected("no")]) == 77
