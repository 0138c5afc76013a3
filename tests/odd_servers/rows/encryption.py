"""Odd ways to TLS, and to a connection at all."""

from tests.odd_servers.rows.form import Row, cases, within

_WITHOUT = "odd_servers/test_without_tls.py::test_no_secret_is_said_and_no_mail_touched"
_TLS = "unit/maildrop/test_opening_tls"

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
        within(_TLS, "test_plaintext_in_the_handshakes_place_is_refused"),
        lacks="a moment after",
    ),
    Row(
        "A certificate with a flaw is refused, the flaw named, no secret said.",
        within(_TLS, "test_a_certificate_with_a_flaw_is_told_no_secret"),
        lacks="a weak key",
    ),
    Row(
        "A pinned fingerprint takes the place of authorities and name; another one is refused.",
        within(
            _TLS,
            "test_the_pinned_certificate_needs_no_authority_and_no_name",
            "test_a_certificate_with_a_flaw_is_told_no_secret",
        ),
        lacks="other digests",
    ),
    Row("Only old versions or weak ciphers are offered.", lacks="a case"),
    Row("The server needs its name, which may be an address or not ASCII.", lacks="a case"),
    Row("TLS is cut without close_notify, inside a message or behind it.", lacks="a case"),
    Row("A broken record, an alert, another certificate next time.", lacks="a case"),
    Row("Names that are not found, addresses that do not answer.", lacks="a case"),
    Row(
        "The connection is refused, reset, or leads nowhere.",
        within("unit/maildrop/test_opening", "test_a_port_that_nobody_serves_fails_to_connect"),
        lacks="the others",
    ),
)
