"""Odd SMTP and LMTP servers: their words, their silence, their absence."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_relays.py::test_each_message_is_handed_over_once_and_unchanged"
_BEAR = "odd_servers/test_relays"
_SEEN = "odd_servers/test_relayed_messages"
_SLOW = "odd_servers/test_slow_relays"
_SPOOL = "odd_servers/test_spooled"
_LOCAL = "odd_servers/test_local_relays"
_OPENING = "unit/destinations/test_smtp_opening"
_SMTP = "unit/destinations/test_smtp"
_CUTS = "unit/destinations/test_smtp_cuts"
_LMTP = "unit/destinations/test_lmtp"
_CREW = "unit/destinations/test_smtp_crew"
_WIRE = "property/test_smtp_wire"


def _both(*names: str) -> tuple[str, ...]:
    """Name cases that are tried with and without PIPELINING."""
    return cases(_MAIL, *names, *(f"{name}-pipelining" for name in names))


def _to_each(answer: str, *steps: str) -> tuple[str, ...]:
    return _both(*(f"{answer}-to-{step}" for step in steps))


_OPENING_ROWS = (
    Row(
        "The greeting is late, is 421 or 554, or does not come: that is no message's fault.",
        (
            *within(_SLOW, "test_a_greeting_that_is_late_is_waited_for"),
            *cases(
                _MAIL,
                "busy-at-connect",
                "puts-off-at-connect",
                "refuses-at-connect",
                "closes-at-connect",
                "silent-at-connect",
                "greets-as-another-protocol",
            ),
            *within(_OPENING, "test_trouble_before_mail_is_never_a_messages_fault"),
        ),
    ),
    Row(
        "EHLO is not known, so HELO is said and no extension is used.",
        (
            *cases(_MAIL, "knows-no-ehlo", "knows-no-hello"),
            *within(_OPENING, "test_a_server_without_ehlo_is_greeted_with_helo"),
        ),
    ),
    Row(
        "STARTTLS is demanded and not offered, refused or put off: nothing is said in clear.",
        within(_OPENING, "test_without_tls_nothing_goes_on"),
    ),
)

_ANSWERS = (
    Row(
        "421 at MAIL, RCPT, DATA, in the body or at the dot: the message was not taken.",
        (
            *_to_each("421", "mail", "rcpt", "data", "dot"),
            *_both("421-in-the-body"),
            *within(
                _CUTS, "test_a_server_that_refuses_and_leaves_in_the_body_is_taken_at_its_word"
            ),
        ),
    ),
    Row(
        "4yz at MAIL, RCPT, DATA or the dot defers that message; three in a row pause the relay.",
        (
            *_to_each("450", "mail", "rcpt", "data", "dot"),
            *_to_each("452", "mail", "rcpt", "data", "dot"),
            *_both("puts-off-every-message", "puts-off-every-recipient"),
            *within(_SMTP, "test_after_three_deferrals_in_a_row_the_rest_waits"),
        ),
    ),
    Row(
        "5yz for one message holds that one, offers it a few times more, and stops no other.",
        (
            *_to_each("550", "mail", "rcpt", "data", "dot"),
            *_to_each("599", "mail", "rcpt", "data", "dot"),
            *within(_SMTP, "test_one_refused_message_does_not_stop_the_others"),
            *within(_SEEN, "test_what_is_refused_makes_nobody_mail"),
            *within(_BEAR, "test_a_message_that_a_relay_cannot_bear_stops_no_other"),
        ),
    ),
    Row(
        "5yz for every message: after three the relay pauses, and no thousand are held.",
        (
            *_both("refuses-every-message", "refuses-every-recipient"),
            *within(
                _SMTP,
                "test_after_three_rejections_in_a_row_the_rest_waits",
                "test_a_message_that_is_not_rejected_breaks_the_row",
            ),
            *within(_CREW, "test_a_server_that_refuses_all_sees_one_link"),
        ),
    ),
    Row(
        "Some recipients are taken, some refused, some put off: each has an outcome of its own.",
        (
            *_both("one-recipient-refused-at-first", "one-recipient-put-off"),
            *within(_SMTP, "test_recipients_are_answered_each_for_itself"),
        ),
    ),
    Row(
        "No recipient is taken: there is no DATA, and RSET before the next message.",
        (
            *_both("no-recipient-taken-at-first"),
            *within(
                _SMTP,
                "test_nobody_accepted_means_no_data_and_a_clean_next_transaction",
                "test_data_invited_for_nobody_is_ended_by_a_lone_dot",
            ),
        ),
    ),
    Row(
        "DATA is refused, answered 250 or not at all: the message was not taken.",
        (
            *_both("550-to-data", "takes-data-unasked", "silent-at-data"),
            *within(_SMTP, "test_a_reply_that_makes_no_sense_ends_the_session_before_any_dot"),
        ),
    ),
    Row(
        "A reply has several lines, comes octet by octet, has no text, another code, or no end.",
        (
            *_both(
                "replies-in-pieces-of-lines",
                "replies-octet-by-octet",
                "replies-without-text",
                "extensions-in-lower-case",
                "not-even-a-line",
                "code-99",
                "code-600",
                "code-abc",
                "replies-twice",
            ),
            *within(_WIRE, "test_replies_do_not_depend_on_where_the_octets_are_cut"),
        ),
    ),
    Row(
        "The dot is never answered: it may have arrived, and comes again with a mark.",
        (
            *_both("silent-after-dot"),
            *within(_CUTS, "test_a_lost_reply_to_the_dot_is_in_doubt"),
        ),
    ),
    Row(
        "The reply to the dot comes in pieces, or is cut off inside.",
        (
            *_both(
                "replies-octet-by-octet",
                "cut-after-25",
                "cut-before-line-end",
                "closes-after-dot",
                "odd-after-dot",
            ),
            *within(_CUTS, "test_a_cut_after_any_octet_leaves_the_truth"),
        ),
    ),
)

_TIME = (
    Row(
        "The server leaves after some messages, or closes between two: a new link, no doubt.",
        (
            *_both("leaves-after-two", "closes-after-two"),
            *within(
                _CUTS,
                "test_a_server_that_ends_the_session_between_messages_is_called_again",
                "test_an_idle_link_is_used_again_and_replaced_when_it_died",
            ),
        ),
    ),
    Row(
        "The server stops reading in a body: a deadline for each block, and the message waits.",
        (
            *_both("stops-reading"),
            *within(_CUTS, "test_a_server_that_stops_reading_is_given_up"),
        ),
    ),
    Row(
        "The server reads drop by drop: a deadline for the whole body, and the message waits.",
        within(
            _CUTS,
            "test_a_server_that_reads_drop_by_drop_is_given_up",
            "test_a_body_may_take_as_long_as_it_is_large",
        ),
    ),
    Row(
        "The POP3 server loses patience while the relay takes its time: delivered once.",
        within(_SLOW, "test_the_maildrop_may_be_lost_while_the_relay_takes_its_time"),
    ),
    Row(
        "The relay is down for a day: nothing is retrieved, then all comes in its order.",
        (
            *within(
                _SLOW, "test_while_a_relay_is_down_nothing_is_retrieved_and_then_all_in_order"
            ),
            *within(_SPOOL, "test_one_destination_that_is_down_for_long_holds_up_no_other"),
        ),
    ),
    Row(
        "A relay that greylists gets the message again later.",
        (
            *_both("greylists"),
            *within(_SPOOL, "test_what_a_server_hides_is_delivered_once_the_relay_takes_it"),
        ),
    ),
    Row(
        "A login is refused: one attempt for all accounts, then the relay pauses.",
        (
            *within(_SLOW, "test_a_refused_login_is_not_repeated_by_every_account"),
            *cases(_MAIL, "refuses-the-login", "puts-off-the-login", "offers-no-login-of-ours"),
            *within(_OPENING, "test_a_login_that_fails_says_whether_it_may_work_later"),
        ),
    ),
)

_LMTP_ROWS = (
    Row(
        "The Unix socket is missing, stale, no socket, or somebody else's.",
        within(
            _LOCAL,
            "test_a_socket_that_leads_nowhere_is_named_and_tried_again",
            "test_a_socket_of_somebody_else_is_named_and_tried_again",
        ),
    ),
    Row(
        "LMTP answers for fewer recipients than there are, or for more.",
        (
            *_both("lmtp-fewer-replies", "lmtp-silent-for-one", "lmtp-more-replies"),
            *within(
                _LMTP,
                "test_missing_replies_are_in_doubt_for_their_recipients_only",
                "test_more_replies_than_recipients_end_the_session",
            ),
        ),
    ),
)

ROWS: tuple[Row, ...] = (*_OPENING_ROWS, *_ANSWERS, *_TIME, *_LMTP_ROWS)
