"""Deliveries and stories, in words and as JSON."""

import pytest

from popsync.cli.story_text import (
    delivered_document,
    format_delivered,
    format_story,
    stories_document,
)
from popsync.ledger.reports import DeliveredMessage, DeliveryStory, MessageStory
from popsync.model import AccountId, DeliveryState, Digest, MessageState, UniqueId

NOW = 1_000_000.0
JANE = AccountId("jane@pop.example")
NAMES = {JANE: "gmx"}
ROW = DeliveredMessage(NOW, JANE, UniqueId(b"u1"), 1234, "<a@b>", "mta", "j@x", "250 ok\x07")
MADE = DeliveryStory("inbox", "", DeliveryState.DELIVERED, "", 1, 0, None, NOW - 60)
OWED = DeliveryStory("mta", "j@x", DeliveryState.DEFERRED, "451 later", 2, 1, NOW + 60, NOW - 30)
STORY = MessageStory(
    id=7,
    account=JANE,
    unique_id=UniqueId(b"u1"),
    message_id="<a@b>",
    digest=Digest(b"\x01" * 32),
    octets=1234,
    listed_octets=1236,
    copies=1,
    state=MessageState.PENDING,
    reason="",
    suspect=False,
    first_seen=NOW - 3600,
    settled_at=None,
    gone_at=None,
    next_try=NOW + 60,
    deletions=0,
    deliveries=(MADE, OWED),
)


def told(story: MessageStory) -> list[str]:
    """Give the lines, without spaces around them."""
    return [line.strip() for line in format_story(story, NAMES, NOW)]


def test_a_delivery_is_one_line_of_all_that_is_known() -> None:
    """The account as the configuration calls it; foreign words cannot steer a terminal."""
    line = format_delivered(ROW, NAMES)

    assert line[4:].startswith("-01-1")
    assert line[19:] == "  gmx  u1  1,234 octets  <a@b>  mta j@x  250 ok\\x07"


def test_what_is_missing_leaves_no_hole() -> None:
    """No Message-ID, no reply, an account that was renamed away."""
    row = ROW._replace(message_id="", reply="", recipient="", account=AccountId("x@y"))

    assert format_delivered(row, NAMES)[19:] == "  x@y  u1  1,234 octets  -  mta"


def test_a_story_tells_each_delivery() -> None:
    """State in words, the destination's own words, attempts and the next try."""
    lines = told(STORY)

    assert lines[0] == "<a@b>"
    assert "account:     gmx (jane@pop.example)" in lines
    assert f"SHA-256:     {'01' * 32}" in lines
    assert "state:       waits for a delivery" in lines
    made, owed = lines.index("inbox:"), lines.index("mta j@x:")
    assert lines[made + 1].startswith("state:     delivered, 19")
    assert owed == made + 2
    assert lines[owed + 1].startswith("state:     refused for now, 19")
    assert lines[owed + 2 : owed + 5] == [
        "reply:     451 later",
        "tried:     2 times",
        "in doubt:  1 time",
    ]
    assert lines[owed + 5].endswith("(in 1 minute)")


def test_the_end_of_a_story() -> None:
    """When all had it, how often its deletion was asked for, since when it is gone."""
    lines = told(
        STORY._replace(state=MessageState.GONE, settled_at=NOW - 60, deletions=2, gone_at=NOW - 30)
    )

    assert "state:       no longer on the server" in lines
    assert "deletion:    asked of the server 2 times" in lines
    assert lines[-1].endswith("(30 seconds ago)")


def test_a_message_that_was_never_retrieved_says_why() -> None:
    """Nor has it a digest."""
    lines = told(
        STORY._replace(
            message_id="",
            digest=None,
            state=MessageState.HELD,
            reason="too large",
            suspect=True,
            copies=2,
            deliveries=(),
        )
    )

    assert lines[0] == "u1"
    assert not any(line.startswith("SHA-256") for line in lines)
    assert (
        "state:       held, see 'popsync held'; too large; its size is not that of the listing, "
        "1236 octets; 2 copies were listed"
    ) in lines


def test_documents_hold_the_same_facts() -> None:
    """With times in UTC, and null for what is not there."""
    (row,) = delivered_document([ROW], NAMES)["deliveries"]
    (story,) = stories_document([STORY._replace(digest=None)], NAMES)["messages"]

    assert (row["account"], row["id"], row["unique_id"]) == ("gmx", JANE, "u1")
    assert row["delivered_at"] == "1970-01-12T13:46:40.000+00:00"
    assert (story["state"], story["sha256"], story["gone_at"]) == ("pending", None, None)
    assert [d["state"] for d in story["deliveries"]] == ["delivered", "deferred"]


@pytest.mark.parametrize("state", [MessageState.DROPPED, MessageState.GONE])
def test_what_is_over_names_no_next_try(state: MessageState) -> None:
    """Given up or out of reach, it is not tried again, whatever was planned before."""
    over = STORY._replace(state=state)

    assert not any(line.startswith("next try") for line in told(over))
    (story,) = stories_document([over], NAMES)["messages"]
    assert [d["next_try"] for d in story["deliveries"]] == [None, None]
