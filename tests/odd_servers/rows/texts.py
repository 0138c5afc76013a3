"""Odd texts and odd extensions."""

from tests.odd_servers.rows.form import Row, cases, within

_WORDS = "odd_servers/test_server_words"

ROWS = (
    Row(
        "Control characters in what a server says are escaped wherever they are shown.",
        within(_WORDS, "test_control_characters_are_escaped"),
        lacks="in the log",
    ),
    Row(
        "What a server says makes one line of the log, whatever line ends are in it.",
        within(_WORDS, "test_control_characters_are_escaped"),
        lacks="in the log",
    ),
    Row(
        "A password that the server repeats is masked.",
        within(_WORDS, "test_a_password_that_the_server_repeats_is_masked"),
        lacks="in the log",
    ),
    Row("RETR is refused for want of UTF8.", lacks="a decision"),
    Row(
        "Extensions that nobody knows are ignored.",
        cases(
            "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged",
            "capabilities-nobody-knows",
        ),
    ),
)
