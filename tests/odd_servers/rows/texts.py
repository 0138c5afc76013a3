"""Odd texts and odd extensions."""

from tests.odd_servers.rows.form import Row, cases, within

_WORDS = "odd_servers/test_server_words"
_LOG = (
    "odd_servers/test_shown_words.py::test_no_word_of_a_server_steers_a_terminal_or_forges_a_line"
)

ROWS = (
    Row(
        "Control characters in what a server says are escaped wherever they are shown.",
        (*within(_WORDS, "test_control_characters_are_escaped"), *cases(_LOG, "*-screen-*")),
    ),
    Row(
        "What a server says makes one line of the log, whatever line ends are in it.",
        (*within(_WORDS, "test_control_characters_are_escaped"), *cases(_LOG, "*-line-ends-*")),
    ),
    Row(
        "A password that the server repeats is masked.",
        (
            *within(_WORDS, "test_a_password_that_the_server_repeats_is_masked"),
            *cases(_LOG, "*-our-password*"),
        ),
    ),
    Row(
        "RETR is refused for want of UTF8: the message waits, the others arrive.",
        within(
            "odd_servers/test_services", "test_a_message_that_needs_utf8_mode_waits_and_is_told"
        ),
    ),
    Row(
        "Extensions that nobody knows are ignored.",
        cases(
            "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged",
            "capabilities-nobody-knows",
        ),
    ),
)
