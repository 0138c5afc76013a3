"""Odd messages for SMTP and LMTP servers: their size, data, envelope, and the way they take."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_relays.py::test_each_message_is_handed_over_once_and_unchanged"
_SEEN = "odd_servers/test_relayed_messages"
_SMTP = "unit/destinations/test_smtp"
_LMTP = "unit/destinations/test_lmtp"
_BODY = "unit/wire/test_smtp_body"
_WIRE = "property/test_smtp_wire"
_SMUGGLING = "servers/test_smuggling"
_LOOPS = "unit/poll/test_loops"


def _both(*names: str) -> tuple[str, ...]:
    """Name cases that are tried with and without PIPELINING."""
    return cases(_MAIL, *names, *(f"{name}-pipelining" for name in names))


def _to_each(answer: str, *steps: str) -> tuple[str, ...]:
    return _both(*(f"{answer}-to-{step}" for step in steps))


_LIMITS = (
    Row(
        "The server's SIZE is smaller than a message: that one is held unasked.",
        (
            *_both("takes-no-large-message"),
            *within(_SMTP, "test_what_exceeds_size_is_refused_without_asking"),
        ),
    ),
    Row(
        "SIZE is 0, absent or nonsense, or 552 comes at a step: held, never deleted.",
        (
            *_both("says-nothing-of-size", "size-zero", "size-is-nonsense"),
            *_to_each("552", "mail", "rcpt", "data", "dot"),
        ),
    ),
    Row(
        "The POP3 server lists a size that is too small: the relay is told the true one.",
        (
            *within(_SEEN, "test_size_is_counted_and_not_taken_from_the_list"),
            *within(_SMTP, "test_size_is_the_count_of_what_is_sent"),
        ),
    ),
    Row(
        "8BITMIME is not offered: 8-bit octets are sent as they are, or held if so configured.",
        (
            *_both("takes-no-8-bit", "takes-no-8-bit-and-it-matters", "refuses-8-bit"),
            *within(_SMTP, "test_8bitmime_is_said_when_it_is_offered_and_needed"),
        ),
    ),
    Row(
        "SMTPUTF8 is not offered: an address that needs it is held, a header alone is sent.",
        (
            *_both("takes-no-address-beyond-ascii", "takes-no-header-beyond-ascii"),
            *within(
                _SMTP,
                "test_smtputf8_is_said_for_addresses_beyond_ascii_only",
                "test_without_smtputf8_an_address_beyond_ascii_is_refused_alone",
            ),
        ),
    ),
    Row(
        "Lines longer than 998 octets are sent as they are; who refuses them has them held.",
        (
            *_both("gets-long-lines", "takes-no-long-lines"),
            *within(
                "servers/test_bundled_smtp",
                "test_smtplib_delivers_every_octet",
            ),
        ),
    ),
    Row(
        "NUL is sent as it is, and who refuses it has the message held.",
        (
            *_both("gets-nul", "takes-no-nul"),
            *within(_SMTP, "test_nul_octets_are_sent_and_the_server_decides"),
        ),
    ),
)

_DATA = (
    Row(
        "Bare CR and LF become CRLF for SMTP, a missing last line end is added.",
        (
            *within(_BODY, "test_smtp_data_has_no_bare_line_ends_and_doubled_dots"),
            *within(_WIRE, "test_smtp_data_is_the_content_with_mended_line_ends"),
            *within(_LMTP, "test_bare_line_ends_and_nul_are_kept"),
        ),
    ),
    Row(
        "Nothing that some server takes for the end of data smuggles a second message in.",
        (
            *within(_SMTP, "test_nothing_can_be_smuggled"),
            *within(_LMTP, "test_nothing_can_be_smuggled"),
            *within(
                _SMUGGLING,
                "test_postfix_counts_as_many_messages_as_were_sent",
                "test_the_bundled_server_counts_as_many_messages_as_were_sent",
            ),
        ),
    ),
    Row(
        "Lines that begin with a dot come out as they were, wherever they are cut.",
        (
            *_both("gets-lines-that-begin-with-a-dot", "lmtp-gets-lines-that-begin-with-a-dot"),
            *within(_WIRE, "test_lmtp_data_differs_only_where_it_must"),
        ),
    ),
)

_ENVELOPE = (
    Row(
        "Whatever stands in Return-Path, one strict address or the null one is said.",
        (
            *within(_SEEN, "test_the_reverse_path_is_one_strict_address_or_null"),
            *within(
                "unit/wire/test_smtp_reverse_path", "test_any_doubt_means_the_null_reverse_path"
            ),
        ),
    ),
    Row(
        "A Return-Path below the first Received or in the body is the sender's, and not heeded.",
        (
            *within(_SEEN, "test_the_reverse_path_is_one_strict_address_or_null"),
            *within(
                "system/test_relay_loops",
                "test_a_configured_reverse_path_takes_the_place_of_the_messages_own",
            ),
        ),
    ),
    Row(
        "The null reverse-path stays null.",
        (
            *within(_SEEN, "test_the_reverse_path_is_one_strict_address_or_null"),
            *within(_SMTP, "test_the_null_reverse_path_is_kept"),
        ),
    ),
    Row(
        "Recipients come from the configuration, whatever a header says.",
        within(_SEEN, "test_recipients_are_those_of_the_configuration"),
    ),
    Row(
        "A message begins with no field: a header in front does not become part of it.",
        within(_SEEN, "test_a_header_in_front_leaves_the_message_what_it_was"),
    ),
)

_ROUNDS = (
    Row(
        "A message that more than fifty servers have received is held.",
        (
            *within(_SEEN, "test_a_message_that_too_many_servers_have_received_is_held"),
            *within(_LOOPS, "test_received_fields_are_counted_in_the_header_only"),
        ),
    ),
    Row(
        "The relay brings mail back into the maildrop: it goes round once and is held.",
        (
            *within(_SEEN, "test_what_the_relay_sends_back_is_not_sent_on_again"),
            *within("system/test_relay_loops", "test_a_message_goes_round_once_and_is_held"),
        ),
    ),
    Row(
        "A sender forges the mark of a loop, and the message is delivered.",
        within(_SEEN, "test_nobody_can_have_a_message_held_by_forging_the_mark"),
    ),
    Row(
        "What is refused makes nobody mail: no bounce, and no bounce of a bounce.",
        within(_SEEN, "test_what_is_refused_makes_nobody_mail"),
    ),
    Row(
        "A relay that takes mail and bounces it later meets a reverse-path of one's choice.",
        within(
            "system/test_relay_loops",
            "test_a_configured_reverse_path_takes_the_place_of_the_messages_own",
        ),
    ),
)

ROWS: tuple[Row, ...] = (*_LIMITS, *_DATA, *_ENVELOPE, *_ROUNDS)
