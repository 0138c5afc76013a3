"""``popsync log`` and ``popsync explain`` as processes."""

import json
from pathlib import Path

from tests.system.commands import MAILDIR, account, popsync, serving, write_config

MESSAGE = b"Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody\r\n"


def test_what_was_delivered_is_listed_and_explained(tmp_path: Path) -> None:
    """The newest last; a message is found by its Message-ID or by its unique-id."""
    with serving(tmp_path, "jane") as served:
        table = account("jane", served.pop3_port)
        config = write_config(tmp_path / "popsync.toml", f'state_dir = "state"\n{MAILDIR}{table}')
        for number in (1, 2):
            served.send("jane", MESSAGE % (number, number))
            popsync("-c", config, "once")
    logged = popsync("-c", config, "log").stdout.splitlines()
    (last,) = json.loads(popsync("-c", config, "log", "-n1", "jane", "--json").stdout)[
        "deliveries"
    ]
    story = popsync("-c", config, "explain", "1@example.org")
    same = popsync("-c", config, "explain", "--json", last["unique_id"])

    assert [line.split()[2] for line in logged] == ["jane", "jane"]
    assert "<1@example.org>  inbox" in logged[0]
    assert last["message_id"] == "<2@example.org>"
    assert story.returncode == 0
    assert story.stdout.startswith("<1@example.org>\n  account:     jane (")
    assert "  state:       delivered everywhere\n  inbox:\n" in story.stdout
    (message,) = json.loads(same.stdout)["messages"]
    assert (message["message_id"], message["state"]) == ("<2@example.org>", "settled")


def test_an_account_that_was_taken_out_goes_by_its_id(tmp_path: Path) -> None:
    """The ledger knows it all the same, also while the file has mistakes."""
    with serving(tmp_path, "jane") as served:
        head = f'state_dir = "state"\n{MAILDIR}'
        config = write_config(tmp_path / "popsync.toml", head + account("jane", served.pop3_port))
        served.send("jane", MESSAGE % (1, 1))
        popsync("-c", config, "once")
    config.write_text(head)
    known = popsync("-c", config, "log", "jane@127.0.0.1")
    stranger = popsync("-c", config, "log", "jan@127.0.0.1")
    config.write_text(head + "broken")
    broken = [popsync("-c", config, *c) for c in (("log", "jane@127.0.0.1"), ("explain", "1"))]

    assert known.returncode == 0
    assert " jane@127.0.0.1 " in known.stdout
    assert (stranger.returncode, "did you mean 'jane@127.0.0.1'" in stranger.stderr) == (64, True)
    assert broken[0].stdout == known.stdout
    assert broken[0].stderr.count("\n") == 1
    assert broken[1].returncode == 64


def test_what_nobody_knows_is_said(tmp_path: Path) -> None:
    """An empty ledger has no deliveries; a message or account that is not there is a mistake."""
    config = write_config(
        tmp_path / "popsync.toml", f'state_dir = "state"\n{MAILDIR}{account("jane", 1)}'
    )

    empty = popsync("-c", config, "log", "jane")
    unknown = popsync("-c", config, "explain", "<nobody@example.org>")
    stranger = popsync("-c", config, "log", "jamie")

    assert (empty.returncode, empty.stdout) == (0, "")
    assert (unknown.returncode, unknown.stdout) == (64, "")
    assert unknown.stderr == "popsync: the ledger knows no message '<nobody@example.org>'\n"
    assert (stranger.returncode, "did you mean 'jane'?" in stranger.stderr) == (64, True)


def test_a_number_that_no_ledger_counts_to_is_a_mistake_of_usage(tmp_path: Path) -> None:
    """And not a bug of ours."""
    config = write_config(tmp_path / "popsync.toml", 'state_dir = "state"\n')
    asked = popsync("-c", config, "log", "-n", "9" * 20)

    assert asked.returncode == 64
    assert "-n" in asked.stderr
