"""Odd answers to STAT, LIST and UIDL."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_KEPT = "odd_servers/test_listings.py::test_nothing_is_forgotten_and_nothing_comes_again"
_GONE = "odd_servers/test_listings.py::test_nobody_is_gone_while_the_listing_is_in_doubt"
_RETURNING = "odd_servers/test_returning_mail"
_NAMELESS = "odd_servers/test_nameless"
_ODD_ROW = f"{_NAMELESS}.py::test_a_row_without_a_usable_unique_id_costs_nothing_else"


def _both(*names: str) -> tuple[str, ...]:
    return (*cases(_KEPT, *names), *cases(_GONE, *names))


ROWS = (
    Row(
        "STAT is refused, has no numbers, a negative one or a fraction, or says more.",
        (
            *cases(_MAIL, "stat-refused"),
            *_both("stat-refused", "stat-without-numbers", "stat-negative", "stat-is-a-fraction"),
            *cases(_KEPT, "words-behind-stat"),
        ),
    ),
    Row(
        "STAT and UIDL disagree on how many there are, so nothing is concluded from absence.",
        (
            *cases(_MAIL, "stat-says-none-at-first"),
            *_both("stat-says-none", "stat-says-one-more", "stat-says-less"),
        ),
    ),
    Row(
        "LIST is refused or never ends: a refused one costs the sizes, no message.",
        (*cases(_MAIL, "list-refused"), *_both("list-refused", "list-hangs", "list-is-empty")),
    ),
    Row(
        "There is no UIDL: keep mode is refused, in delete mode content stands for unique-ids.",
        (
            *within(
                _NAMELESS,
                "test_without_uidl_keep_mode_is_refused_with_the_reason",
                "test_without_uidl_delete_mode_brings_all_once",
                "test_without_uidl_and_list_it_goes_by_the_count",
                "test_without_uidl_a_session_that_breaks_doubles_nothing",
                "test_what_waits_for_its_deletion_is_retrieved_once_a_day",
                "test_a_message_that_breaks_the_session_comes_last",
                "test_uidl_that_vanishes_costs_no_message",
                "test_what_was_adopted_cannot_be_told_without_uidl",
                "test_adopting_needs_unique_ids",
            ),
            *cases(
                "battery/test_durable_steps.py"
                "::test_a_process_that_dies_at_a_step_ends_as_if_undisturbed",
                "DELETE_MAILDIR_NAMELESS",
            ),
        ),
    ),
    Row(
        "UIDL with a number answers otherwise than the whole listing, which alone counts.",
        (
            *cases(_MAIL, "uidl-of-one-*"),
            *within(
                "unit/maildrop/test_fence",
                "test_a_server_without_uidl_n_is_asked_list_n_and_from_then_on_only_that",
            ),
        ),
    ),
    Row(
        "A row of UIDL has no unique-id, or a blank one: that message goes by its content.",
        (
            *cases(_ODD_ROW, "*-none", "*-blank", "*-blanks-and-tabs"),
            *within(
                _NAMELESS,
                "test_a_unique_id_that_fails_once_brings_nothing_twice",
                "test_a_unique_id_that_comes_later_brings_nothing_twice",
                "test_nobody_is_gone_who_is_there_without_a_name",
                "test_another_message_in_its_place_is_found_within_a_day",
                "test_another_size_in_its_place_is_retrieved_at_once",
                "test_a_blank_row_of_an_adopting_account_is_never_deleted",
            ),
        ),
    ),
    Row(
        "Several blanks or tabs stand before the unique-id.",
        (
            *cases(_MAIL, "blanks-before-unique-ids"),
            *cases(_KEPT, "tabs-and-blanks"),
        ),
    ),
    Row(
        "A unique-id has blanks inside or at its end, a slash or quotes, and is kept as it is.",
        cases(_MAIL, "blanks-in-unique-ids"),
    ),
    Row(
        "A unique-id has 8-bit or control octets; one with NUL, CR or LF is none.",
        (*cases(_MAIL, "eight-bit-unique-ids"), *cases(_ODD_ROW, "*-nul", "*-cr", "*-lf")),
    ),
    Row(
        "A unique-id of up to 1024 octets is kept; a longer one is none.",
        (
            *cases(_MAIL, "long-unique-ids"),
            *cases(_ODD_ROW, "*-1025-octets", "*-3000-octets"),
        ),
    ),
    Row(
        "Two messages share a unique-id, and both are delivered.",
        cases(_MAIL, "same-unique-id-for-two"),
    ),
    Row(
        "Two copies share a unique-id: one is delivered, both are deleted.",
        cases(_MAIL, "two-copies-share-a-unique-id"),
    ),
    Row(
        "All unique-ids change at once, and nothing comes again.",
        (
            *cases(_MAIL, "unique-ids-change"),
            *within(_RETURNING, "test_a_hundred_messages_under_new_names_bring_nothing_twice"),
        ),
    ),
    Row(
        "All unique-ids change again: from then on content stands for them, with a warning.",
        within(
            _NAMELESS,
            "test_names_that_change_each_session_are_given_up",
            "test_names_that_changed_once_are_kept",
        ),
    ),
    Row(
        "The unique-id of a deleted message is given to a new one, which is delivered.",
        within(_RETURNING, "test_a_name_that_is_given_to_a_new_message_hides_nothing"),
    ),
    Row(
        "A deleted message comes back with the same octets: it is only deleted again.",
        within(_RETURNING, "test_a_deleted_message_that_comes_back_is_deleted_again"),
    ),
    Row(
        "Message numbers come out of order, twice, with gaps or zeros, or beyond the count.",
        (
            *cases(_MAIL, "listing-backwards"),
            *cases(_KEPT, "backwards", "leading-zeros"),
            *_both("number-twice", "number-zero", "number-beyond-count", "uidl-without-second"),
        ),
    ),
)
