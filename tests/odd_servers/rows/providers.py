"""Odd services, and whole sessions that go wrong."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_KEPT = "odd_servers/test_listings.py::test_nothing_is_forgotten_and_nothing_comes_again"
_GONE = "odd_servers/test_listings.py::test_nobody_is_gone_while_the_listing_is_in_doubt"
_SERVICES = "odd_servers/test_services"
_RETURNING = "odd_servers/test_returning_mail"

ROWS = (
    Row(
        "A service shows a window of its mail and hides what was retrieved: all arrives once.",
        (
            *within(
                "odd_servers/test_spooled",
                "test_a_window_of_mail_that_shrinks_buries_nothing_that_is_owed",
            ),
            *within(_SERVICES, "test_a_service_that_shows_a_window_and_hides_what_was_retrieved"),
        ),
    ),
    Row(
        "A service bears one session and closes on whoever asks for more: it gets one.",
        within(_SERVICES, "test_a_service_that_bears_one_session_gets_one"),
    ),
    Row(
        "A service refuses logins in bursts, each told for what it is.",
        within(_SERVICES, "test_a_service_that_refuses_logins_in_bursts"),
    ),
    Row(
        "A maildrop of 200,000 messages is listed within 200 MB, a larger one is refused.",
        (
            *within(
                "odd_servers/test_large_maildrops",
                "test_two_hundred_thousand_messages_are_listed_within_two_hundred_megabytes",
            ),
            *within(
                "unit/wire/test_pop3_client",
                "test_what_breaks_a_rule_or_a_limit_raises_with_little_evidence",
            ),
        ),
    ),
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
