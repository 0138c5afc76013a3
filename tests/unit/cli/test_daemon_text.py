"""What is said of the daemon itself."""

from dataclasses import replace

from popsync.agent.control import ConfigRefusal, Overview
from popsync.agent.overview import DestinationOverview
from popsync.cli.daemon import DaemonSeen
from popsync.cli.daemon_text import daemon_document, format_daemon

NOW = 1_000_000.0
RUNS = Overview("1.2.3", NOW - 7200, moving=True, accounts=())
REFUSED = ConfigRefusal(NOW - 60, ("a.toml:3:1: unknown key\n    x = 1", "a.toml:9:1: wrong"))
DOWN = DestinationOverview("mta", NOW - 60, NOW + 120, "refused\x07")


def said(overview: Overview | None, trouble: str = "") -> list[str]:
    """Give the lines."""
    return list(format_daemon(DaemonSeen(overview, trouble), NOW))


def test_since_when_it_runs() -> None:
    """One line while all is well."""
    (line,) = said(RUNS)

    assert line.startswith("popsync 1.2.3 runs since 1970-01-1")
    assert line.endswith(", for 2 hours")


def test_no_daemon_says_what_starts_one() -> None:
    """And that the figures below are the ledger's."""
    assert said(None) == ["No popsync runs; 'popsync run' starts it. The ledger remembers:"]


def test_a_daemon_that_is_stuck_or_silent_is_told_from_none() -> None:
    """It runs, and something is wrong with it."""
    assert said(replace(RUNS, moving=False))[0].endswith("polls are late, something is stuck")
    assert said(None, "no answer in 10 s") == [
        "A popsync runs, but does not say how it is: no answer in 10 s"
    ]


def test_a_refused_configuration_has_its_first_problem() -> None:
    """With file and line, how long, and how many more there are."""
    assert said(replace(RUNS, refused=REFUSED))[1] == (
        "The configuration is refused for 1 minute, the one before is in effect: "
        "a.toml:3:1: unknown key (and 1 more problem)"
    )


def test_only_destinations_that_are_down_are_named() -> None:
    """Why, since when, and when they are tried again; foreign words are escaped."""
    up = DestinationOverview("inbox", None, None, "")

    assert said(replace(RUNS, destinations=(up, DOWN)))[1:] == [
        "Destination mta takes no mail for 1 minute: refused\\x07; tried in 2 minutes"
    ]


def test_the_document_has_the_same_keys_with_and_without_a_daemon() -> None:
    """Scripts need no special case."""
    full = replace(RUNS, refused=REFUSED, destinations=(DOWN,))
    runs, none = (daemon_document(DaemonSeen(overview)) for overview in (full, None))

    assert runs.keys() == none.keys()
    assert runs["daemon"].keys() == none["daemon"].keys()
    assert (runs["daemon"]["running"], none["daemon"]["running"]) == (True, False)
    assert runs["configuration_refused"]["problems"] == list(REFUSED.problems)
    assert runs["destinations"][0]["error"] == "refused\x07"
    assert (none["configuration_refused"], none["destinations"]) == (None, [])
