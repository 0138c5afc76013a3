"""``popsync run`` with ``[metrics]``, as a process."""

import socket
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.system.commands import MAILDIR, account, popsync, serving, write_config
from tests.system.daemon import rewrite, running

METRICS = '[metrics]\nlisten = "127.0.0.1:{port}"\n'
SELDOM = 'poll_every = "1d"'


def fetch(port: str) -> dict[str, float]:
    """Scrape, as Prometheus does; labels do not matter with one account."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {sample.name: sample.value for family in families for sample in family.samples}


def test_figures_follow_what_happens(tmp_path: Path) -> None:
    """A delivery is counted, and a refused configuration shows."""
    with serving(tmp_path, "jane") as served:
        text = MAILDIR + METRICS.format(port=0) + account("jane", served.pop3_port, SELDOM)
        config = write_config(tmp_path / "popsync.toml", text)
        served.send("jane", b"Subject: 1\r\n\r\nbody\r\n")
        with running(config) as daemon:
            served_at = next(line for line in daemon.said if "metrics are served" in line)
            port = served_at.rpartition("port=")[2].strip()
            daemon.wait_for(" polled ")
            first = fetch(port)
            rewrite(config, text + "broken =")
            daemon.wait_for("stays in effect")
            second = fetch(port)
            code = daemon.stop()

    assert code == 0
    assert first["popsync_messages_delivered_total"] == 1
    assert second["popsync_polls_total"] == 1
    assert second["popsync_last_success_timestamp_seconds"] > 1_000_000_000
    assert (first["popsync_config_last_reload_ok"], second["popsync_config_last_reload_ok"]) == (
        1,
        0,
    )


def test_port_in_use_ends_the_start_with_one_line(tmp_path: Path) -> None:
    """A daemon that is watched by nobody would be worse."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = write_config(tmp_path / "popsync.toml", MAILDIR + METRICS.format(port=port))
        ended = popsync("-c", config, "run")

    assert ended.returncode == 74
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_changed_address_takes_effect_at_the_next_start(tmp_path: Path) -> None:
    """The log says so."""
    config = write_config(tmp_path / "popsync.toml", MAILDIR)
    with running(config) as daemon:
        rewrite(config, MAILDIR + METRICS.format(port=0))
        line = daemon.wait_for("takes effect when popsync is started again")
        code = daemon.stop()

    assert code == 0
    assert "keys=metrics" in line
