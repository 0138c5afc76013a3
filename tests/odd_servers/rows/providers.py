"""Odd services, and whole sessions that go wrong."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_KEPT = "odd_servers/test_listings.py::test_nothing_is_forgotten_and_nothing_comes_again"
_GONE = "odd_servers/test_listings.py::test_nobody_is_gone_while_the_listing_is_in_doubt"
_RETURNING = "odd_servers/test_returning_mail"

ROWS = (
    Row(
        "A service shows a window of its mail and hides what was retrieved.",
        within(
            "odd_servers/test_spooled",
            "test_a_window_of_mail_that_shrinks_buries_nothing_that_is_owed",
        ),
        lacks="sessions until no more is shown, and deletions that it does not heed",
    ),
    Row("A service is slow and closes when it is asked too much.", lacks="a case"),
    Row("A service refuses logins in bursts.", lacks="a case"),
    Row("A maildrop of 200,000 messages is listed within 200 MB.", lacks="a case"),
    Row(
        "An empty maildrop is reported after a fault, and nothing is forgotten.",
        (
            *within(
                "odd_servers/test_listings",
                "test_a_store_that_was_empty_for_a_day_brings_nothing_twice",
            ),
            *within(
                _RETURNING,
                "test_a_hundred_that_were_not_shown_for_a_day_bring_nothing_twice",
            ),
        ),
    ),
    Row(
        "The server ends a session in its middle, or the clock is set: the ledger knows.",
        within(_RETURNING, "test_a_session_that_is_ended_goes_on_in_the_next"),
    ),
    Row(
        "Another client deletes messages meanwhile, and the others arrive.",
        within(_RETURNING, "test_another_client_that_takes_a_message_away_costs_no_other"),
    ),
    Row(
        "A refusal inside an unfinished listing makes it incomplete.",
        (
            *cases(_MAIL, "refusal-inside-the-listing"),
            *cases(_KEPT, "uidl-refusal-inside"),
            *cases(_GONE, "uidl-refusal-inside"),
        ),
    ),
    Row(
        "Nothing is retrieved behind a deletion, whose place another message could have taken.",
        cases(_MAIL, "*"),
    ),
    Row(
        "The tail of a line that is too long is not read as a line of its own.",
        cases(
            _MAIL,
            "second-message-at-first-status-of-5000-octets",
            "second-message-at-first-status-of-5000-octets-and-a-reply",
            "message-with-a-line-of-5000-octets-and-a-reply",
        ),
    ),
)
