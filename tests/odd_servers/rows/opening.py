"""Odd ways to greet, to tell capabilities and to let somebody in."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_OPENING = "unit/maildrop/test_opening"
_LOGIN = "unit/maildrop/test_login"
_ON_SOCKET = "odd_servers/test_logins"
_STANDING = "unit/agent/test_standing"
_PAUSE = "test_the_pause_follows_from_what_failed"
_REFUSALS = "unit/maildrop/test_refusals"

ROWS = (
    Row(
        "The server accepts and says nothing: the poll gives up after a deadline.",
        (
            *cases(_MAIL, "greeting-at-first-silent"),
            *within(
                _OPENING,
                "test_silence_in_place_of_a_greeting_suggests_implicit_tls",
                "test_a_greeting_that_drips_exceeds_its_deadline",
            ),
        ),
    ),
    Row(
        "A greeting refuses, with or without a code: try later, and it was no failed login.",
        (
            *cases(
                _MAIL,
                "greeting-busy-at-first",
                "greeting-at-first-in-use",
                "greeting-at-first-temporary",
            ),
            *within(_OPENING, "test_a_greeting_that_refuses_is_never_about_the_password"),
            *within(_REFUSALS, "test_a_greeting_is_never_about_the_password"),
        ),
    ),
    Row(
        "Another protocol answers, and is called by its name.",
        (
            *cases(
                _MAIL,
                "greeting-at-first-smtp",
                "greeting-at-first-imap",
                "greeting-at-first-http",
                "greeting-at-first-ssh",
                "greeting-at-first-tls-alert",
            ),
            *within(_OPENING, "test_another_protocol_is_called_by_its_name"),
        ),
    ),
    Row(
        "The greeting is in lower case, has no text, ends in a bare LF or follows a blank line.",
        cases(
            _MAIL,
            "greeting-in-lower-case",
            "greeting-without-text",
            "greeting-at-first-blank-line",
            "bare-line-feeds",
            "bare-line-feed-in-the-greeting",
        ),
    ),
    Row(
        "The greeting is a megabyte long, or full of control octets, and is cut and escaped.",
        (
            *cases(_MAIL, "greeting-at-first-endless", "greeting-with-odd-octets"),
            *within(
                _OPENING,
                "test_an_endless_greeting_ends_at_the_longest_line",
                "test_garbage_is_a_broken_rule_with_harmless_evidence",
            ),
        ),
    ),
    Row(
        "A second greeting came unasked, so the session ends before any login.",
        (
            *cases(_MAIL, "greeting-at-first-twice"),
            *within(_OPENING, "test_a_second_greeting_is_nothing_that_a_command_asked_for"),
        ),
    ),
    Row(
        "CAPA is refused, unanswered or closes: it is left out.",
        (
            *cases(_MAIL, "capa-refused", "capa-closes", "capa-unanswered"),
            *within(
                _OPENING,
                "test_a_server_without_capa_is_logged_in_to_all_the_same",
                "test_a_capa_that_hangs_is_left_out_at_a_second_connection",
                "test_a_server_that_closes_at_capa_is_gone",
            ),
        ),
    ),
    Row(
        "CAPA never ends, repeats itself, is in lower case, oddly spaced or 8-bit.",
        (
            *cases(
                _MAIL,
                "capabilities-without-end",
                "capabilities-twice",
                "capa-in-lower-case",
            ),
            *within(_OPENING, "test_an_endless_capa_is_cut_off"),
        ),
    ),
    Row(
        "CAPA offers UIDL and UIDL is refused, which is the same as no UIDL.",
        (
            *within("odd_servers/test_nameless", "test_without_uidl_delete_mode_brings_all_once"),
            *within("unit/maildrop/test_session", "test_a_refused_uidl_means_no_unique_ids"),
        ),
    ),
    Row(
        "CAPA names none of what works all the same: UIDL is tried.",
        cases(_MAIL, "capabilities-none"),
    ),
    Row(
        "PIPELINING is offered by a server that loses, merges or swaps replies.",
        within("odd_servers/test_pipelining"),
    ),
    Row(
        "The maildrop is locked by another session: try later, the password was not wrong.",
        (
            *cases(_MAIL, "maildrop-locked-at-first"),
            *within(_ON_SOCKET, "test_a_refusal_is_told_apart_by_its_code_or_its_words"),
            *cases(f"{_STANDING}.py::{_PAUSE}", "locked, a minute at least"),
        ),
    ),
    Row(
        "LOGIN-DELAY, in a refusal or in CAPA: the next poll waits at least so long.",
        (
            *cases(_MAIL, "login-at-first-too-soon"),
            *within(_ON_SOCKET, "test_the_delay_that_a_server_asks_for_is_reported"),
        ),
    ),
    Row(
        "The codes of RFC 3206 at PASS: back off, stop for good, or count a wrong password.",
        (
            *cases(
                _MAIL,
                "login-at-first-temporary",
                "login-at-first-broken",
                "login-at-first-wrong",
            ),
            *within(_ON_SOCKET, "test_a_refusal_is_told_apart_by_its_code_or_its_words"),
        ),
    ),
    Row(
        "A refusal without a code that sounds like 'not now' is taken for that.",
        (
            *within(_ON_SOCKET, "test_a_refusal_is_told_apart_by_its_code_or_its_words"),
            *within(_REFUSALS, "test_a_refused_login_is_read_by_its_code_or_its_words"),
        ),
    ),
    Row(
        "A code in lower case, one nobody knows, or one that is not closed.",
        (
            *cases(_MAIL, "login-at-first-unclosed-code", "login-at-first-unknown-code"),
            *within(_REFUSALS, "test_a_refused_login_is_read_by_its_code_or_its_words"),
        ),
    ),
    Row(
        "USER is refused, or any name is taken and PASS refused: both are about the login.",
        (
            *within(_ON_SOCKET, "test_a_refusal_is_told_apart_by_its_code_or_its_words"),
            *within(_LOGIN, "test_a_refused_user_never_hears_the_password"),
        ),
    ),
    Row(
        "The reply to PASS takes its time, and is waited for.",
        (
            *within(_ON_SOCKET, "test_a_slow_reply_to_the_password_is_waited_for"),
            *within(_LOGIN, "test_a_login_has_a_deadline_of_its_own"),
        ),
    ),
    Row(
        "The connection closes after PASS without a word: try later, more and more rarely.",
        (
            *cases(_MAIL, "closed-after-password-at-first"),
            *within(_ON_SOCKET, "test_no_reply_to_the_password_is_no_refusal"),
            *cases(f"{_STANDING}.py::{_PAUSE}", "doubling"),
        ),
    ),
    Row(
        "AUTH offers only what nobody here knows, and the error names it.",
        within(_ON_SOCKET, "test_a_server_that_takes_no_password_is_told_none"),
    ),
    Row(
        "A server takes tokens only (XOAUTH2): popsync has none, and says what is offered.",
        cases(f"{_ON_SOCKET}.py::test_a_server_that_takes_no_password_is_told_none", "*XOAUTH2*"),
    ),
    Row(
        "What was given as a password has expired: its source is asked anew in each session.",
        within(_ON_SOCKET, "test_a_password_that_changed_is_asked_for_anew"),
    ),
)
