"""Odd answers to RETR."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_RETRIEVAL = "unit/maildrop/test_retrieval"
_FENCE = "unit/maildrop/test_fence"
_BOUNDS = "unit/maildrop/test_bounds"

ROWS = (
    Row("New mail appears between UIDL and RETR, and the numbers shift.", lacks="a case"),
    Row(
        "A message is ended too early: it is marked, stays, and the session ends.",
        cases(_MAIL, "dot-line-not-doubled"),
        lacks="a case without a forgery",
    ),
    Row(
        "What follows a false end looks like a reply: no other message is lost by it.",
        (
            *cases(_MAIL, "dot-line-not-doubled"),
            *within(_BOUNDS, "test_in_lock_step_no_command_goes_out_while_octets_wait"),
        ),
        lacks="held at the second time",
    ),
    Row(
        "The same, and the forged reply comes a moment later.",
        (
            *within(
                _BOUNDS,
                "test_a_forged_reply_in_a_later_segment_meets_a_question_it_cannot_answer",
            ),
            *within(_FENCE, "test_forged_lines_behind_an_unstuffed_terminator_are_found_out"),
            *within(
                _RETRIEVAL, "test_a_forged_reply_that_comes_late_is_never_taken_for_a_message"
            ),
        ),
        lacks="a whole poll",
    ),
    Row("Lines of a message that look like replies, or begin with a dot.", lacks="a case"),
    Row("A server does not double dots.", lacks="a case"),
    Row(
        "The end is missing: a dot behind the last octet, or without its line end.",
        cases(
            _MAIL,
            "second-message-at-first-ends-without-line-end",
            "second-message-at-first-ends-in-bare-cr",
        ),
    ),
    Row(
        "The connection is cut inside a message, at any octet, and nothing of it arrives.",
        (
            *cases(_MAIL, "cut-inside-a-message"),
            *within(_RETRIEVAL, "test_a_connection_cut_at_any_octet_gives_only_whole_messages"),
        ),
        lacks="each octet on a socket",
    ),
    Row("Bare LF inside a message, with a dot alone between them.", lacks="a case"),
    Row("Bare CR, CR CR LF and LF CR inside a message.", lacks="a case"),
    Row(
        "Whatever the cuts between reads and TLS records, the message is the same.",
        (
            *within(
                "property/test_pop3_wire",
                "test_any_octets_cut_anyhow_give_the_same_events_and_nothing_but_protocol_errors",
            ),
            *within(_RETRIEVAL, "test_messages_cut_anywhere_are_the_same"),
        ),
        lacks="TLS records",
    ),
    Row(
        "A server ends every line in a bare LF, and is read so from its greeting on.",
        cases(_MAIL, "bare-line-feeds", "bare-line-feeds-counted-once"),
    ),
    Row(
        "Replies end in CRLF and one message in bare LFs: it waits in vain for its end.",
        cases(
            _MAIL,
            "second-message-at-first-ends-in-line-feeds",
            "bare-line-feeds-except-in-bodies",
        ),
    ),
    Row("NUL octets in a message or a reply.", lacks="a case"),
    Row("Lines of a megabyte and of a hundred.", lacks="a case"),
    Row("A line that never ends.", lacks="a case"),
    Row(
        "A message that never ends.",
        (
            *cases(_MAIL, "second-message-at-first-never-ends"),
            *within(_RETRIEVAL, "test_a_message_that_outgrows_its_size_is_cut_off"),
        ),
        lacks="a stream of lines",
    ),
    Row(
        "A message drips octet by octet, and exceeds a deadline in all.",
        within(_RETRIEVAL, "test_a_message_that_drips_has_a_deadline_in_all"),
        lacks="a whole poll",
    ),
    Row("The server reads nothing that we send.", lacks="a case"),
    Row(
        "One message is refused: it waits, the others arrive.",
        cases(_MAIL, "one-message-refused"),
        lacks="other words",
    ),
    Row(
        "All messages are refused: five, then the session ends.",
        within(
            "odd_servers/test_refusing_servers",
            "test_five_refusals_end_the_session_but_not_the_deletions",
        ),
    ),
    Row("An empty message, or an error in place of one.", lacks="a case"),
    Row(
        "Sizes are doubled, zero, rounded, absent, enormous or count LF once.",
        cases(_MAIL, "sizes-zero", "sizes-doubled", "sizes-count-line-feeds"),
        lacks="the others",
    ),
    Row("TOP is broken, and never asked for.", lacks="a case"),
    Row("A message begins with a blank line or lacks its header.", lacks="a case"),
)
