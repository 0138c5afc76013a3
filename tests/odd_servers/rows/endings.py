"""Odd answers to DELE and QUIT, and replies that nobody asked for."""

from tests.odd_servers.rows.form import Row, cases, within

_SPOOL = "odd_servers/test_spooled"
_MAIL = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_SERVICES = "odd_servers/test_services"
_RETURNING = "odd_servers/test_returning_mail"

ROWS = (
    Row(
        "DELE is refused or not answered: the message stays known and is deleted later.",
        cases(
            _MAIL,
            "deletion-refused",
            "deletion-unanswered-at-first",
            "deletion-closes-at-first",
            "one-deletion-refused",
            "deletions-are-of-deleted",
        ),
    ),
    Row(
        "The server deletes or hides what was retrieved: what is owed is in the spool by then.",
        (
            *within(
                _SPOOL,
                "test_what_a_server_deletes_as_it_is_retrieved_is_delivered",
                "test_what_a_server_hides_is_delivered_once_the_relay_takes_it",
                "test_a_full_spool_leaves_mail_on_a_server_that_would_hide_it",
            ),
            *within(
                _SERVICES,
                "test_a_server_that_deletes_what_is_retrieved_gives_it_once",
                "test_a_server_that_deletes_what_is_retrieved_and_a_relay_that_waits",
                "test_what_a_service_hides_at_quit_is_safe_before_it",
            ),
        ),
    ),
    Row(
        "CAPA says EXPIRE: keep mode is told, and QUIT waits for the spool.",
        (
            *within(_SPOOL, "test_a_server_that_keeps_no_mail_is_told_of_once"),
            *within(
                "unit/maildrop/test_opening", "test_how_long_mail_is_kept_is_said_for_this_user"
            ),
            *within(_SERVICES, "test_what_a_service_hides_at_quit_is_safe_before_it"),
        ),
    ),
    Row(
        "RSET would undo deletions, and is never sent.",
        cases(_MAIL, "*"),
    ),
    Row(
        "QUIT is refused, unanswered or closes, or is agreed to and forgotten.",
        (
            *cases(
                _MAIL,
                "quit-refused",
                "quit-closes",
                "quit-unanswered",
                "quit-is-no-reply",
                "quit-forgets*",
                "quit-at-first-*",
            ),
            *within(
                _RETURNING,
                "test_deletions_that_have_no_effect_are_told_in_the_end",
                "test_deletions_that_take_effect_later_double_nothing",
            ),
        ),
    ),
    Row(
        "The server deletes though there was no QUIT: only what is delivered was to go.",
        within(_RETURNING, "test_a_server_that_deletes_without_quit_does_no_harm"),
    ),
    Row(
        "A reply that no command asked for ends the session.",
        cases(_MAIL, "line-unasked-behind-a-message"),
    ),
    Row(
        "A reply that is neither +OK nor -ERR ends the session, not the account.",
        cases(
            _MAIL,
            "second-message-at-first-is-no-reply",
            "login-at-first-no-reply-at-all",
            "quit-is-no-reply",
        ),
    ),
    Row(
        "A reply is lost behind another, and its deadline ends the session.",
        cases(_MAIL, "second-message-at-first-never-comes"),
    ),
)
