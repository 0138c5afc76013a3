"""Odd answers to STAT, LIST and UIDL."""

from tests.odd_servers.rows.form import Row, cases, within

_MAIL = "odd_servers/test_cases.py::test_each_message_arrives_once_and_unchanged"
_KEPT = "odd_servers/test_listings.py::test_nothing_is_forgotten_and_nothing_comes_again"
_GONE = "odd_servers/test_listings.py::test_nobody_is_gone_while_the_listing_is_in_doubt"


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
    Row("There is no UIDL at all.", lacks="content keys"),
    Row(
        "UIDL with a number answers otherwise than the whole listing.",
        within("unit/maildrop/test_fence"),
        lacks="a case",
    ),
    Row("A row of UIDL has no unique-id, or a blank one.", lacks="content keys"),
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
        cases(_MAIL, "eight-bit-unique-ids"),
        lacks="content keys",
    ),
    Row(
        "A unique-id of up to 1024 octets is kept; a longer one is none.",
        cases(_MAIL, "long-unique-ids"),
        lacks="content keys",
    ),
    Row(
        "Two messages share a unique-id, and both are delivered.",
        cases(_MAIL, "same-unique-id-for-two"),
    ),
    Row("Two copies share a unique-id: one is delivered, both are deleted.", lacks="a case"),
    Row(
        "All unique-ids change at once, and nothing comes again.",
        cases(_MAIL, "unique-ids-change"),
        lacks="a hundred in keep mode",
    ),
    Row("Unique-ids change at every session.", lacks="content keys"),
    Row("The unique-id of a deleted message is given to a new one.", lacks="a case"),
    Row("A deleted message comes back.", lacks="a case"),
    Row(
        "Message numbers come out of order, twice, with gaps or zeros, or beyond the count.",
        (
            *cases(_MAIL, "listing-backwards"),
            *cases(_KEPT, "backwards", "leading-zeros"),
            *_both("number-twice", "number-zero", "number-beyond-count", "uidl-without-second"),
        ),
    ),
)
