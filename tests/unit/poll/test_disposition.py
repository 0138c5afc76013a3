import inspect

import pytest

from popsync import errors
from popsync.errors import (
    DeliveryBroken,
    DeliveryDeferred,
    DeliveryError,
    DeliveryInDoubt,
    DeliveryRejected,
    DeliveryUndone,
    PopsyncError,
    RecipientDeferred,
    RecipientRejected,
    RemoteProtocolError,
)
from popsync.model import (
    AccountId,
    DeliveryChange,
    DeliveryKey,
    DeliveryState,
    DeliveryStatus,
    Digest,
    Intent,
    MessageKey,
    Receipt,
    Refusal,
    UniqueId,
)
from popsync.poll.disposition import (
    NEVER_TRIED,
    Disposition,
    change_after_outcome,
    changes_after_intent,
    dispose,
    pause_after_deferral,
)

NOW = 1_000_000.0
MESSAGE = MessageKey(AccountId("jane@example.org"), UniqueId(b"u1"), Digest(b"x" * 32))
DELIVERY = DeliveryKey(MESSAGE, "inbox", "jane")

BACK_OFF, SUSPEND, STOP = Disposition.BACK_OFF, Disposition.SUSPEND, Disposition.STOP
DEFER, HOLD = Disposition.DEFER, Disposition.HOLD

EXPECTED = {
    "PopsyncError": BACK_OFF,
    "UnexpectedError": BACK_OFF,
    "PollStuck": BACK_OFF,
    "ConfigError": STOP,
    "UnknownAccount": STOP,
    "SecretUnavailable": BACK_OFF,
    "StreamError": BACK_OFF,
    "ConnectFailed": BACK_OFF,
    "PeerClosed": BACK_OFF,
    "DeadlineExceeded": BACK_OFF,
    "TlsRefused": SUSPEND,
    "ProtocolError": BACK_OFF,
    "LocalProtocolError": STOP,
    "RemoteProtocolError": BACK_OFF,
    "MaildropError": BACK_OFF,
    "MaildropLocked": BACK_OFF,
    "LoginDelayed": BACK_OFF,
    "ServerUnavailable": BACK_OFF,
    "ServerRefused": SUSPEND,
    "AuthRejected": SUSPEND,
    "AuthUnsupported": SUSPEND,
    "UidlUnsupported": SUSPEND,
    "PipeliningUnfit": BACK_OFF,
    "PipeliningWithdrawn": BACK_OFF,
    "SizesDisagree": BACK_OFF,
    "RetrievalRefused": DEFER,
    "DestinationUnavailable": BACK_OFF,
    "DestinationMisconfigured": SUSPEND,
    "DeliveryError": DEFER,
    "DeliveryBroken": DEFER,
    "DeliveryDeferred": DEFER,
    "DeliveryRejected": HOLD,
    "DeliveryLooped": HOLD,
    "RecipientDeferred": DEFER,
    "RecipientRejected": HOLD,
    "DeliveryInDoubt": DEFER,
    "DeliveryUndone": DEFER,
    "ScratchUnavailable": BACK_OFF,
    "SpoolDamaged": DEFER,
    "LedgerError": BACK_OFF,
    "LedgerUnavailable": BACK_OFF,
    "LedgerLocked": STOP,
    "LedgerCorrupt": STOP,
}

ERRORS = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, PopsyncError)
}


def test_every_error_has_an_expectation() -> None:
    """A new error class must say in this table what follows from it."""
    assert EXPECTED.keys() == ERRORS.keys()


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_scope_and_temporary_decide_what_follows(name: str) -> None:
    """One row for each class of the tree."""
    assert dispose(ERRORS[name]("why")) is EXPECTED[name]


@pytest.mark.parametrize("error", [ValueError("bug"), OSError(5, "eio"), KeyboardInterrupt()])
def test_an_exception_that_is_not_ours_costs_one_poll(error: BaseException) -> None:
    """Doubt keeps mail: the account backs off."""
    assert dispose(error) is BACK_OFF


def after(error: DeliveryError, before: DeliveryStatus = NEVER_TRIED) -> DeliveryChange:
    """Give the change that a refusal makes now."""
    return change_after_outcome(Refusal(DELIVERY, error), before, NOW)


def tried(attempts: int, doubts: int = 0) -> DeliveryStatus:
    """Give a delivery that failed so often."""
    return DeliveryStatus(DeliveryState.DEFERRED, attempts, None, doubts)


def test_a_receipt_is_delivered() -> None:
    """With the destination's own words, on one line."""
    change = change_after_outcome(Receipt(DELIVERY, "250 ok\r\nforged"), tried(3, 1), NOW)

    assert change == DeliveryChange(DELIVERY, DeliveryState.DELIVERED, "250 ok\\r\\nforged")


@pytest.mark.parametrize("error", [DeliveryDeferred("451"), RecipientDeferred("450")])
@pytest.mark.parametrize(
    ("failed", "pause"), [(0, 300), (1, 600), (2, 1200), (6, 14400), (5000, 14400)]
)
def test_a_deferral_pauses_longer_each_time(
    error: DeliveryError, failed: int, pause: float
) -> None:
    """Five minutes, doubling up to four hours, for as long as it takes."""
    change = after(error, tried(failed))

    assert change.state is DeliveryState.DEFERRED
    assert change.next_try == NOW + pause
    assert change.attempts == failed + 1


@pytest.mark.parametrize("error", [DeliveryRejected("554"), RecipientRejected("550")])
@pytest.mark.parametrize(
    ("failed", "pause"), [(0, 3600), (1, 21600), (2, 86400), (3, None), (9, None)]
)
def test_a_rejection_is_held_and_offered_three_times_more(
    error: DeliveryError, failed: int, pause: float | None
) -> None:
    """Most are a mistake in a server's settings; after a day it is a person's turn."""
    change = after(error, DeliveryStatus(DeliveryState.HELD, failed, None))

    assert change.state is DeliveryState.HELD
    assert change.next_try == (None if pause is None else NOW + pause)


@pytest.mark.parametrize(
    ("doubts", "state"),
    [
        (0, DeliveryState.IN_DOUBT),
        (1, DeliveryState.IN_DOUBT),
        (2, DeliveryState.IN_DOUBT),
        (3, DeliveryState.HELD),
    ],
)
def test_a_lost_reply_is_in_doubt_and_held_after_three_repeats(
    doubts: int, state: DeliveryState
) -> None:
    """It is sent again at once, three times at the most; then a person decides."""
    change = after(DeliveryInDoubt("lost"), tried(doubts, doubts))

    assert (change.state, change.next_try, change.doubts) == (state, None, doubts + 1)


def test_a_pause_does_not_grow_by_failures_of_another_kind() -> None:
    """A rejection after three deferrals is offered again in an hour, like any first one."""
    change = after(DeliveryRejected("554"), tried(3))

    assert (change.attempts, change.next_try) == (1, NOW + 3600)


@pytest.mark.parametrize(
    ("before", "state", "attempts"),
    [
        (NEVER_TRIED, DeliveryState.DEFERRED, 1),
        (DeliveryStatus(DeliveryState.DEFERRED, 1, NOW), DeliveryState.DEFERRED, 2),
        (DeliveryStatus(DeliveryState.DEFERRED, 2, NOW), DeliveryState.HELD, 1),
        (DeliveryStatus(DeliveryState.HELD, 1, NOW), DeliveryState.HELD, 2),
        (DeliveryStatus(DeliveryState.HELD, 3, NOW), DeliveryState.HELD, 4),
    ],
)
def test_a_message_on_which_we_fail_is_held_after_three_tries(
    before: DeliveryStatus, state: DeliveryState, attempts: int
) -> None:
    """And stays held when it is offered again, until no more offers are left."""
    refusal = Refusal(DELIVERY, DeliveryBroken("a bug"))
    change = change_after_outcome(refusal, before, NOW)

    assert (change.state, change.attempts) == (state, attempts)
    assert (change.next_try is None) == (attempts > 3)


def test_a_vanished_staged_file_is_delivered_anew_with_a_mark() -> None:
    """It may have been delivered and taken away, so it counts as a doubt."""
    change = after(DeliveryUndone("gone from tmp"))

    assert (change.state, change.next_try, change.doubts) == (DeliveryState.SEEN, None, 1)


def test_doubts_outlive_a_deferral() -> None:
    """The mark must be on the try after the next one, too."""
    assert after(DeliveryDeferred("451"), tried(1, doubts=1)).doubts == 1


def test_a_foreign_reply_is_kept_escaped_and_short() -> None:
    """No server writes lines of its own into our reports."""
    change = after(DeliveryDeferred("451 \x1b[31m" + "x" * 900))

    assert change.reply.startswith("451 \\x1b[31m")
    assert len(change.reply) == 500


def test_an_intent_changes_each_recipient_and_keeps_its_history() -> None:
    """Attempts and doubts stay, so that recovery counts on."""
    intent = Intent(MESSAGE, "inbox", ("jane", "joe"), DeliveryState.STAGED, staged_as="name")

    changes = changes_after_intent(intent, [tried(2, 1), NEVER_TRIED])

    joe = DELIVERY._replace(recipient="joe")
    staged = DeliveryState.STAGED
    assert changes == [
        DeliveryChange(DELIVERY, staged, attempts=2, doubts=1, staged_as="name"),
        DeliveryChange(joe, staged, staged_as="name"),
    ]


def test_the_pause_after_a_first_refusal_is_five_minutes() -> None:
    """Also for a message that the server would not give."""
    assert pause_after_deferral(1) == 300


def test_evidence_of_the_peer_is_part_of_the_error() -> None:
    """A protocol error shows what was sent, and no more than 80 octets of it."""
    error = RemoteProtocolError("a status line is +OK or -ERR", b"\x00" + b"x" * 200)

    assert str(error) == "a status line is +OK or -ERR: \\x00" + "x" * 79
    assert dispose(error) is BACK_OFF
