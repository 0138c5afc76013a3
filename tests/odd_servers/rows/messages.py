"""Odd answers to RETR."""

from tests.odd_servers.rows.form import Row, cases, within

_DELETED = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_KEPT = "odd_servers/test_cases.py::test_each_message_arrives_once_and_stays"
_RETRIEVAL = "unit/maildrop/test_retrieval"
_FENCE = "unit/maildrop/test_fence"
_BOUNDS = "unit/maildrop/test_bounds"


def _mail(*names: str) -> tuple[str, ...]:
    """Name cases of servers, polled in both modes."""
    return (*cases(_DELETED, *names), *cases(_KEPT, *names))


ROWS = (
    Row(
        "New mail shifts the numbers behind the listing: what may be another message is doubted.",
        _mail("numbers-shift-behind-the-listing"),
    ),
    Row(
        "A message is ended too early: it is marked and stays, and the others arrive.",
        _mail("message-ended-early"),
    ),
    Row(
        "What follows a false end looks like a reply: no other message is lost by it.",
        (
            *_mail("message-that-forges-a-reply", "dot-line-not-doubled"),
            *within(_BOUNDS, "test_in_lock_step_no_command_goes_out_while_octets_wait"),
            *within(
                "odd_servers/test_doubtful_messages",
                "test_a_message_with_a_false_end_is_marked_and_looked_at_twice",
            ),
        ),
    ),
    Row(
        "The same, and the forged reply comes a moment later.",
        (
            *_mail("message-that-forges-a-reply-later"),
            *within(
                _BOUNDS,
                "test_a_forged_reply_in_a_later_segment_meets_a_question_it_cannot_answer",
            ),
            *within(_FENCE, "test_forged_lines_behind_an_unstuffed_terminator_are_found_out"),
            *within(
                _RETRIEVAL, "test_a_forged_reply_that_comes_late_is_never_taken_for_a_message"
            ),
        ),
    ),
    Row(
        "Lines of a message that look like replies, or begin with a dot, stay as they are.",
        _mail("message-with-lines-like-replies", "message-with-dots"),
    ),
    Row(
        "A server does not double dots: what it cannot have meant is marked and stays.",
        _mail("dots-not-doubled"),
    ),
    Row(
        "The end is missing: a dot behind the last octet, or without its line end.",
        _mail(
            "second-message-at-first-ends-without-line-end",
            "second-message-at-first-ends-in-bare-cr",
        ),
    ),
    Row(
        "The connection is cut inside a message, at any octet, and nothing of it arrives.",
        (
            *_mail("cut-inside-a-message", "second-message-at-first-resets"),
            *within("odd_servers/test_cuts", "test_a_cut_at_any_octet_leaves_nothing"),
            *within(_RETRIEVAL, "test_a_connection_cut_at_any_octet_gives_only_whole_messages"),
        ),
    ),
    Row(
        "Bare LFs inside a message, with a dot alone between them, are no end.",
        _mail(
            "message-with-bare-line-feeds",
            "message-with-a-dot-between-line-feeds",
            "message-with-a-dot-line-in-line-feeds",
        ),
    ),
    Row(
        "Bare CR, CR CR LF and LF CR inside a message are kept, and are no end.",
        _mail(
            "message-with-bare-carriage-returns",
            "message-with-carriage-return-before-line-ends",
            "message-with-line-feed-before-carriage-return",
            "message-with-carriage-return-before-a-dot",
        ),
    ),
    Row(
        "Whatever the cuts between reads and TLS records, the message is the same.",
        (
            *within(
                "property/test_pop3_wire",
                "test_any_octets_cut_anyhow_give_the_same_events_and_nothing_but_protocol_errors",
            ),
            *within(_RETRIEVAL, "test_messages_cut_anywhere_are_the_same"),
            *within("odd_servers/test_tls", "test_a_message_in_records_of_one_octet_is_the_same"),
        ),
    ),
    Row(
        "A server ends every line in a bare LF, and is read so from its greeting on.",
        _mail("bare-line-feeds", "bare-line-feeds-counted-once"),
    ),
    Row(
        "Replies end in CRLF and one message in bare LFs: it waits in vain for its end.",
        _mail(
            "second-message-at-first-ends-in-line-feeds",
            "bare-line-feeds-except-in-bodies",
        ),
    ),
    Row(
        "NUL octets in a message, its header or a reply are octets like others.",
        _mail(
            "message-with-nul-octets",
            "message-with-nul-octets-in-the-header",
            "nul-octets-in-replies",
            "second-message-at-first-status-with-nul",
        ),
    ),
    Row(
        "Lines of a megabyte and of a hundred stream through, and memory does not grow.",
        (
            *_mail("message-with-a-line-of-a-megabyte"),
            *within(
                "odd_servers/test_large_maildrops", "test_a_line_of_any_length_streams_through"
            ),
        ),
    ),
    Row(
        "A line never ends: the session does, once the message is far larger than listed.",
        _mail("second-message-at-first-pours-one-line"),
    ),
    Row(
        "A message that never ends.",
        (
            *_mail("second-message-at-first-never-ends"),
            *within(_RETRIEVAL, "test_a_message_that_outgrows_its_size_is_cut_off"),
        ),
    ),
    Row(
        "A message drips octet by octet, and exceeds a deadline in all.",
        (
            *_mail("second-message-at-first-drips", "second-message-at-first-drips-its-status"),
            *within(_RETRIEVAL, "test_a_message_that_drips_has_a_deadline_in_all"),
        ),
    ),
    Row(
        "The server reads nothing that we send: writing has a deadline, and so has the reply.",
        (
            *within(
                "unit/net/test_connection",
                "test_a_peer_that_takes_nothing_exceeds_the_write_deadline",
            ),
            *_mail("second-message-at-first-silent"),
        ),
    ),
    Row(
        "One message is refused: it waits, the others arrive.",
        _mail(
            "one-message-refused",
            "message-refused-for-now",
            "message-cannot-be-rendered",
            "message-is-not-there",
            "message-refused-without-a-word",
        ),
    ),
    Row(
        "All messages are refused: five, then the session ends.",
        within(
            "odd_servers/test_refusing_servers",
            "test_five_refusals_end_the_session_but_not_the_deletions",
        ),
    ),
    Row(
        "An empty message, or an error in place of one, is marked and stays.",
        _mail(
            "second-message-at-first-empty",
            "second-message-at-first-empty-with-a-line",
            "second-message-at-first-error-as-body",
            "message-is-always-empty",
            "message-is-always-an-error",
        ),
    ),
    Row(
        "Sizes are doubled, zero, rounded, absent, enormous or count LF once.",
        _mail(
            "sizes-*",
            "another-size-behind-ok",
        ),
    ),
    Row(
        "TOP cuts, drops attachments or answers twice, and is never asked for.",
        (*cases(_DELETED, "*"), *cases(_KEPT, "*")),
    ),
    Row(
        "A message begins with a blank line, an mbox line, or has no header: as it came.",
        _mail(
            "message-with-a-blank-line-first",
            "message-with-a-body-without-header",
            "message-with-a-mailbox-line-first",
            "message-with-a-continuation-first",
            "message-with-no-line-at-all",
            "message-with-one-octet",
        ),
    ),
)
