"""Odd ways to TLS, and to a connection at all."""

from tests.odd_servers.rows.form import Row, cases, within

_WITHOUT = "odd_servers/test_without_tls.py::test_no_secret_is_said_and_no_mail_touched"
_TLS = "unit/maildrop/test_opening_tls"
_CONNECTING = "odd_servers/test_connecting"
_ODD_TLS = "odd_servers/test_tls"

ROWS = (
    Row(
        "STLS is refused, not offered, agreed to and not begun, or closed: no secret is said.",
        cases(
            _WITHOUT,
            "refused",
            "not-offered",
            "not-offered-before-login",
            "agreed-and-not-begun",
            "agreed-and-closed",
            "closed",
            "silent",
            "no-reply",
        ),
    ),
    Row(
        "Plaintext in the segment of the reply to STLS ends the session before the handshake.",
        (
            *cases(_WITHOUT, "agreed-with-a-reply-behind", "agreed-with-capabilities-behind"),
            *within(_TLS, "test_plaintext_in_the_segment_of_the_stls_reply_is_refused"),
        ),
    ),
    Row(
        "Plaintext a moment after the reply to STLS fails the handshake.",
        (
            *cases(_WITHOUT, "agreed-and-a-reply-a-moment-later"),
            *within(_TLS, "test_plaintext_in_the_handshakes_place_is_refused"),
        ),
    ),
    Row(
        "A certificate with a flaw is refused, the flaw named, no secret said.",
        (
            *within(_TLS, "test_a_certificate_with_a_flaw_is_told_no_secret"),
            *within(
                _ODD_TLS,
                "test_a_key_that_is_too_short_is_refused",
                "test_a_revoked_certificate_is_not_found_out",
            ),
        ),
    ),
    Row(
        "A pinned SHA-256 takes the place of authorities and name; another one is refused.",
        (
            *within(
                _TLS,
                "test_the_pinned_certificate_needs_no_authority_and_no_name",
                "test_a_certificate_with_a_flaw_is_told_no_secret",
            ),
            *within(
                "unit/config/test_checks", "test_other_fingerprints_are_refused_with_the_reason"
            ),
        ),
    ),
    Row(
        "Only old versions or weak ciphers are offered, and refused.",
        within(
            _ODD_TLS,
            "test_old_versions_and_weak_ciphers_are_refused",
            "test_neither_compression_nor_old_versions_are_offered",
        ),
    ),
    Row(
        "The server is told its name, without a last dot, in ASCII; an address is none.",
        within(_ODD_TLS, "test_the_server_is_told_the_name_that_its_certificate_must_bear"),
    ),
    Row(
        "TLS is cut without close_notify: inside a message it is lost, behind it it is whole.",
        cases(
            f"{_ODD_TLS}.py::test_a_session_that_breaks_under_tls_gives_only_whole_messages",
            "*-cut",
            "*-alert",
        ),
    ),
    Row(
        "A broken record, an alert, or another certificate next time: it may be tried again.",
        (
            *cases(
                f"{_ODD_TLS}.py::test_a_session_that_breaks_under_tls_gives_only_whole_messages",
                "*-garbage",
            ),
            *within(
                _ODD_TLS,
                "test_an_alert_in_place_of_the_login_is_temporary",
                "test_another_certificate_at_the_next_session",
            ),
        ),
    ),
    Row(
        "Names are not found, addresses do not answer: others are tried, and all of it later.",
        within(
            _CONNECTING,
            "test_a_name_that_is_not_found_may_be_there_later",
            "test_addresses_that_refuse_are_passed_over",
            "test_an_address_that_keeps_silent_is_passed_over",
        ),
    ),
    Row(
        "The connection is refused, reset, or leads nowhere: it is told as such, and later tried.",
        within(
            _CONNECTING,
            "test_a_refused_connection_is_told_as_such",
            "test_a_connection_that_breaks_at_once_may_be_tried_again",
            "test_an_address_that_cannot_be_reached_is_told_as_such",
            "test_a_connection_that_nobody_answers_ends_at_its_deadline",
        ),
    ),
)
