import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_core import ErrorDetails

from popsync.config.explain import explain
from popsync.config.load import load_config
from popsync.config.model import (
    AccountConfig,
    LmtpDestination,
    MaildirDestination,
    SmtpDestination,
)
from popsync.config.secrets import CommandSecret, EnvSecret, FileSecret, LiteralSecret
from popsync.errors import ConfigError
from tests.unit.config.files import GMX, INBOX, load, load_account, problems, write


def test_smallest_configuration_gets_every_default(tmp_path: Path) -> None:
    """Five keys of an account and two of a destination are enough."""
    config = load_config(write(tmp_path, INBOX + GMX), {"STATE_DIRECTORY": "/state"})
    account = config.accounts["gmx"]

    assert (account.tls, account.port, account.auth) == ("implicit", 995, "auto")
    assert (account.poll_every_s, account.max_octets, account.fetch_limit) == (300, 50 << 20, 0)
    assert (account.first_run, account.pipelining, account.reverse_path) == ("all", "auto", "auto")
    assert (account.trace, account.enabled, account.delete_after_s) == (True, True, 0)
    assert account.deliver_to == ("inbox",)
    assert account.password == LiteralSecret("s3cret")
    assert (config.limits.connections, config.limits.connections_per_host) == (200, 50)
    assert (config.log.level, config.log.format) == ("info", "auto")
    assert config.state_dir == Path("/state")
    assert config.server.mailstore == Path("/state/mailstore")
    assert config.files == (config.path,) == (tmp_path / "popsync.toml",)


def test_configuration_may_have_no_account_yet(tmp_path: Path) -> None:
    """A daemon may start before its first account is written."""
    assert not load(tmp_path, INBOX).accounts


@pytest.mark.parametrize("text", ["", " \n\n", "# one day\n\t# or another\n", "\ufeff"])
def test_empty_file_is_a_mistake(tmp_path: Path, text: str) -> None:
    """It is what half-written files look like, and is told in one line (P5)."""
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, text)

    (problem,) = refusal.value.problems
    advice = "is empty; put an account into it, popsync init writes one"
    assert problem == f"{tmp_path}/popsync.toml: {advice}"


def test_empty_included_file_is_a_mistake_and_a_comment_is_not(tmp_path: Path) -> None:
    """An account may be commented out; a file without a word was cut short."""
    write(tmp_path, "# [account.gone]\n", name="more/a.toml")
    include = 'include = ["more/*.toml"]\n' + INBOX
    assert len(load(tmp_path, include).files) == 2

    write(tmp_path, "\n", name="more/b.toml")
    with pytest.raises(ConfigError, match=r"more/b\.toml: is empty, as half-written files are"):
        load(tmp_path, include)


def test_relative_file_name_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is loaded holds wherever the process goes later."""
    write(tmp_path, INBOX)
    monkeypatch.chdir(tmp_path)

    config = load_config(Path("popsync.toml"))

    assert config.path == tmp_path / "popsync.toml"
    assert config.destinations["inbox"].path == tmp_path / "Mail"  # type: ignore[union-attr]


def test_account_says_otherwise_than_the_defaults(tmp_path: Path) -> None:
    """Each key is inherited by itself."""
    defaults = '[defaults]\nmode = "delete"\npoll_every = "1h"\ntls = "starttls"\n'
    account = load_account(tmp_path, 'poll_every = "1m"\n', around=defaults + INBOX)

    assert (account.mode, account.poll_every_s) == ("keep", 60)
    assert (account.tls, account.port) == ("starttls", 110)


def test_account_may_live_on_defaults_alone(tmp_path: Path) -> None:
    """Any key may be inherited, host and password too."""
    defaults = '[defaults]\nhost = "pop"\npassword = "x"\nmode = "keep"\n'

    config = load(tmp_path, defaults + INBOX + '[account.a]\nuser = "a"\n')

    assert config.accounts["a"].account_id == "a@pop"


def test_inherited_delete_after_does_nothing_in_keep_mode(tmp_path: Path) -> None:
    """Some accounts may delete while others keep."""
    text = '[defaults]\nmode = "delete"\ndelete_after = "14d"\n' + INBOX + GMX
    text += GMX.replace("gmx", "work").replace('mode = "keep"\n', "")

    accounts = load(tmp_path, text).accounts

    assert (accounts["gmx"].delete_after_s, accounts["work"].delete_after_s) == (0, 1_209_600)


def test_default_delete_after_that_nobody_uses_is_a_mistake(tmp_path: Path) -> None:
    """Whoever wrote it expects messages to be deleted."""
    text = '[defaults]\ndelete_after = "14d"\n' + INBOX + GMX

    (found,) = problems(tmp_path, text)

    assert found.startswith("2:1: defaults.delete_after: has no effect, because no account has")


def test_account_id_has_the_host_in_lower_case(tmp_path: Path) -> None:
    """The ledger's key does not depend on how a host is typed."""
    config = load(tmp_path, INBOX + GMX.replace("pop.gmx.net", "POP.gmx.NET"))

    assert config.accounts["gmx"].account_id == "jane@gmx.net@pop.gmx.net"


def test_paths_are_relative_to_their_file_and_know_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``~`` is expanded, a variable is not."""
    monkeypatch.setenv("HOME", "/home/jane")
    text = INBOX.replace('"Mail"', '"~/Mail"') + INBOX.replace("inbox", "b").replace(
        '"Mail"', '"$HOME/../Mail"'
    )

    destinations = load(tmp_path, 'state_dir = "s"\n' + text).destinations

    assert destinations["inbox"].path == Path("/home/jane/Mail")  # type: ignore[union-attr]
    assert destinations["b"].path == tmp_path / "$HOME/../Mail"  # type: ignore[union-attr]


def test_home_of_nobody_is_told(tmp_path: Path) -> None:
    """A missing user is not a traceback."""
    assert problems(tmp_path, 'state_dir = "~nobody-of-that-name/x"') == [
        "1:1: state_dir: begins with ~, but there is no such home directory"
    ]


def test_destinations_have_their_own_defaults(tmp_path: Path) -> None:
    """Ports follow from the kind and from TLS."""
    config = load(
        tmp_path,
        INBOX + '[destination.a]\ntype = "smtp"\nhost = "localhost"\n'
        '[destination.b]\ntype = "smtp"\nhost = "mx"\ntls = "starttls"\n'
        '[destination.c]\ntype = "smtp"\nhost = "mx"\ntls = "implicit"\n'
        '[destination.d]\ntype = "lmtp"\nhost = "::1"\n'
        '[destination.e]\ntype = "lmtp"\nsocket = "/run/lmtp"\n',
    )
    kinds = [type(destination) for destination in config.destinations.values()]
    ports = [getattr(config.destinations[name], "port", None) for name in "abcd"]

    assert kinds == [MaildirDestination, *[SmtpDestination] * 3, *[LmtpDestination] * 2]
    assert ports == [25, 587, 465, 24]


def test_recipients_are_the_accounts_else_the_destinations(tmp_path: Path) -> None:
    """A Maildir knows no recipients."""
    text = INBOX + '[destination.lmtp]\ntype = "lmtp"\nsocket = "s"\nrecipients = ["jane"]\n'
    text += GMX + 'deliver_to = ["inbox", "lmtp"]\n'
    other = GMX.replace("gmx", "o") + 'deliver_to = ["lmtp"]\nrecipients = ["a@b", "c@d"]\n'

    config = load(tmp_path, text + other)
    gmx, o = config.accounts["gmx"], config.accounts["o"]

    assert config.recipients(gmx, "inbox") == ("",)
    assert config.recipients(gmx, "lmtp") == ("jane",)
    assert config.recipients(o, "lmtp") == ("a@b", "c@d")


def test_deliver_to_at_the_top_serves_accounts_without_one(tmp_path: Path) -> None:
    """Defaults come before the top, the account before both."""
    text = INBOX + INBOX.replace("inbox", "b") + GMX + 'deliver_to = ["b"]\n'
    text += GMX.replace("gmx", "o")

    accounts = load(tmp_path, 'deliver_to = ["inbox"]\n' + text).accounts

    assert (accounts["gmx"].deliver_to, accounts["o"].deliver_to) == (("b",), ("inbox",))


def test_accounts_without_any_destination_are_told_once(tmp_path: Path) -> None:
    """The cure is one table."""
    found = problems(tmp_path, GMX + GMX.replace("gmx", "o"))

    assert len(found) == 1
    assert "add a table such as [destination.inbox]" in found[0]


def test_several_destinations_need_a_choice(tmp_path: Path) -> None:
    """Nothing is delivered to a place that nobody chose."""
    found = problems(tmp_path, INBOX + INBOX.replace("inbox", "b") + GMX)

    assert len(found) == 1
    assert "account.gmx.deliver_to: missing, and there is more than one" in found[0]
    assert '["inbox", "b"]' in found[0]


def test_passwords_say_where_they_are(tmp_path: Path) -> None:
    """A file's name is relative to the configuration."""
    config = load(
        tmp_path,
        INBOX
        + GMX.replace('"s3cret"', '{ command = ["pass", "x"] }')
        + GMX.replace('"s3cret"', '{ file = "pw" }').replace("gmx", "b")
        + GMX.replace('"s3cret"', '{ env = "PW" }').replace("gmx", "c"),
    )

    assert [account.password for account in config.accounts.values()] == [
        CommandSecret(("pass", "x")),
        FileSecret(tmp_path / "pw"),
        EnvSecret("PW"),
    ]


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("7", "must say where"),
        ('""', "is empty"),
        ('"a\\nb"', "control character"),
        (f'"{"x" * 4097}"', "longer than 4096"),
        ("{}", "exactly one source"),
        ('{ env = "A", file = "b" }', "exactly one source"),
        ('{ cmd = ["x"] }', 'did you mean "command"?'),
        ("{ qqq = 1 }", "unknown key in its table; write a text, or one of"),
        ('{ command = "pass x" }', "as a list, one word each"),
        ("{ command = [] }", "list of texts"),
        ("{ command = [1] }", "list of texts"),
        ('{ command = [""] }', "name of a program"),
        ("{ command = 1 }", "list of texts"),
        ('{ command = ["a\\u0000"] }', "list of texts"),
        ("{ file = 1 }", 'a text in quotes for "file"'),
        ('{ file = "" }', "must be a path"),
        ('{ env = "" }', "name of an environment variable"),
        ('{ env = "A=B" }', "name of an environment variable"),
        ('{ credential = "../x" }', "plain file name"),
        ('{ credential = "" }', "plain file name"),
    ],
)
def test_other_passwords_are_refused_with_the_way_to_write_them(
    tmp_path: Path, password: str, words: str
) -> None:
    """Every wrong form is told what would be right."""
    found = problems(tmp_path, INBOX + GMX.replace('"s3cret"', password))

    assert len(found) == 1
    assert words in found[0]


def test_configuration_shows_no_literal_password(tmp_path: Path) -> None:
    """A logged configuration gives nothing away (P7)."""
    config = load(tmp_path, INBOX + GMX)

    assert "s3cret" not in f"{config!r}{config}{config.accounts!r}"


@pytest.mark.parametrize("pinned", ["ca_file", "fingerprint"])
def test_pin_without_tls_is_a_mistake(tmp_path: Path, pinned: str) -> None:
    """Whoever pins a certificate expects TLS."""
    keys = f'tls = "none"\nhost = "localhost"\n{pinned} = "{"a" * 64}"\n'
    found = problems(tmp_path, INBOX + GMX.replace('host = "pop.gmx.net"\n', keys))

    assert len(found) == 1
    assert f"account.gmx.{pinned}: has no effect with tls" in found[0]


def test_plaintext_is_possible_when_stated(tmp_path: Path) -> None:
    """P7 is the user's to give up, knowingly."""
    account = load_account(tmp_path, 'tls = "none"\nallow_plaintext = true\n')

    assert (account.tls, account.port) == ("none", 110)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('tls = "starttls"\npassword = "x"', "destination.d.password: needs a user"),
        ('user = "x"', "destination.d.user: needs a password"),
        ('user = "x"\npassword = { env = "X" }', "destination.d.password: would be sent"),
        ('path = "x"', 'only destinations of type "maildir" have it'),
        ('mode = "keep"', "it belongs in [defaults] or [account.NAME]"),
        ("zzz = 1", "unknown key; the keys here are type, host, tls"),
    ],
)
def test_smtp_destination_that_cannot_work_is_refused(
    tmp_path: Path, keys: str, words: str
) -> None:
    """A login is whole and encrypted (P7)."""
    found = problems(tmp_path, f'[destination.d]\ntype = "smtp"\nhost = "mx.example"\n{keys}\n')

    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('socket = "s"\nhost = "h"', "host: cannot stand beside socket"),
        ('socket = "s"\nport = 24', "port: cannot stand beside socket"),
        ("port = 24", "socket: missing"),
    ],
)
def test_lmtp_destination_has_exactly_one_address(tmp_path: Path, keys: str, words: str) -> None:
    """A socket or a host, never both."""
    found = problems(tmp_path, f'[destination.d]\ntype = "lmtp"\n{keys}\n')

    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("", 'type: missing; write type = "maildir", "smtp" or "lmtp"'),
        ("type = 1", 'type: must be "maildir", "smtp" or "lmtp"'),
        ('type = "imap"', '"imap" is not possible; it must be'),
    ],
)
def test_destination_of_no_known_type_is_refused(tmp_path: Path, kind: str, words: str) -> None:
    """Its other keys mean nothing then, but accounts may name it."""
    text = f'[destination.d]\n{kind}\npath = "x"\n' + GMX
    found = problems(tmp_path, text)

    assert len(found) == 1
    assert words in found[0]


def test_wrong_recipients_are_not_told_as_missing_too(tmp_path: Path) -> None:
    """One mistake is told once."""
    smtp = '[destination.d]\ntype = "smtp"\nhost = "localhost"\n'
    found = problems(tmp_path, smtp + 'recipients = "a"\n' + GMX)
    more = problems(tmp_path, smtp + GMX + "recipients = [1]\n")

    assert [len(found), len(more)] == [1, 1]
    assert "recipients[0]: must be a text in quotes, not a whole number" in more[0]


def test_figures_for_other_machines_must_be_wished_for(tmp_path: Path) -> None:
    """They name accounts, and nobody has to log in."""
    listen = '[metrics]\nlisten = "0.0.0.0:9125"\n'
    found = problems(tmp_path, listen)
    config = load(tmp_path, listen + "allow_remote = true\n")

    assert len(found) == 1
    assert "metrics.listen: can be reached from other machines" in found[0]
    assert config.metrics.listen == ("0.0.0.0", 9125)  # noqa: S104


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('tls_cert = "x"', "server.tls_cert: needs tls_key"),
        ('tls_key = "x"', "server.tls_key: needs tls_cert"),
        ('smtp_listen = "192.0.2.1:25"', "server.smtp_listen: can be reached"),
        ('hostname = "a b"', "server.hostname: is not a host name"),
        ("mailbox = 1", "server.mailbox: must be a table; write [server.mailbox.NAME]"),
    ],
)
def test_server_that_would_be_open_is_refused(tmp_path: Path, keys: str, words: str) -> None:
    """Beyond this machine the bundled server needs TLS (P7)."""
    found = problems(tmp_path, f"[server]\n{keys}\n")

    assert len(found) == 1
    assert words in found[0]


def test_address_of_two_mailboxes_is_refused(tmp_path: Path) -> None:
    """The server would not know where mail goes; case makes no difference."""
    box = '[server.mailbox.{0}]\npassword = "x"\naddresses = ["{1}@b", "{1}@b"]\n'
    found = problems(tmp_path, box.format("x", "a") + box.format("y", "A"))

    assert len(found) == 2
    assert 'server.mailbox.y.addresses[0]: "A@b" already belongs to mailbox "x"' in found[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("account = 3", "account: must be a table; write [account.NAME]"),
        ("[[account]]\nhost = 'x'", "account: must be a table; write [account.NAME]"),
        ("[account]\nhost = 'x'", "account.host: must be a table; give it a name"),
        ("destination = []", "destination: must be a table"),
        ("log = true", "log: must be a table; write [log]"),
        ("[[server]]", "server: must be a table; write [server]"),
        ("[[defaults]]", "defaults: must be a table"),
    ],
)
def test_table_of_the_wrong_shape_is_told_how_to_be_written(
    tmp_path: Path, text: str, words: str
) -> None:
    """Brackets are the commonest mistake of those new to TOML."""
    found = problems(tmp_path, text)

    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[account.x]\nusername = 'x'", 'unknown key; write user = "…"'),
        ("[account.x]\nstate_dir = 'x'", "at the top of the file, above the first [table]"),
        ("[limits]\nlevel = 'x'", "it belongs in [log]"),
        ("[defaults]\ndestination = 'x'", 'unknown key; write deliver_to = ["…"]'),
        ("[log]\naccount = 'x'", "unknown key here; [account.NAME] is a table of its own"),
        ("[defaults]\nhost = 1", 'host = "pop.gmx.net", not a whole number'),
        ("[defaults]\nuser = 1.5", "not a number with a fraction"),
        ("[defaults]\nuser = 2026-01-01", "not a date or a time"),
        ("[defaults]\nuser = {}", "not a table"),
        ("[defaults]\nmode = 1", 'must be "keep" or "delete", not a whole number'),
        ("[defaults]\nport = true", "must be a whole number, such as port = 995, not true or"),
        ("[defaults]\nfetch_limit = -1", "must be from 0 to 1000000000"),
        ("[defaults]\npoll_every = 300", 'such as "30s", "5m"'),
    ],
)
def test_each_kind_of_mistake_has_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    """What is wrong is said in TOML's words, with an example."""
    assert any(words in problem for problem in problems(tmp_path, text))


def test_error_speaks_no_library_language(tmp_path: Path) -> None:
    """No sentence is pydantic's own."""
    text = Path(__file__).with_name("mistakes.toml").read_text()

    told = "\n".join(problems(tmp_path, text))

    assert not [word for word in ("Input", "should be", "valid", "Extra", "field") if word in told]


def test_quoted_and_dotted_keys_are_found(tmp_path: Path) -> None:
    """TOML has many ways to write the same table."""
    text = 'account."jane doe".hots = "x"\n'

    found = problems(tmp_path, text + INBOX)

    assert found[0].startswith('1:9: account."jane doe".user: missing')
    assert found[-1] == '1:20: account."jane doe".hots: unknown key, did you mean "host"?'


def test_byte_order_mark_and_crlf_are_taken(tmp_path: Path) -> None:
    """Windows editors write both; lines are still counted right."""
    path = write(tmp_path, "")
    path.write_bytes(b"\xef\xbb\xbf# x\r\n[log]\r\nlevell = 1\r\n")

    with pytest.raises(ConfigError, match=r":3:1: log\.levell"):
        load_config(path)


def test_config_stays_lazy() -> None:
    """The package itself brings nothing heavy; commands such as --version stay quick."""
    code = "import sys, popsync.config; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tables_can_be_made_in_code() -> None:
    """Paths and secrets that are already there are taken as they are."""
    maildir = MaildirDestination(type="maildir", path=Path("/x"))
    smtp = SmtpDestination(type="smtp", host="mx", password=LiteralSecret("x"))

    assert (maildir.path, smtp.password) == (Path("/x"), LiteralSecret("x"))


def test_error_of_an_unforeseen_kind_still_gives_an_example() -> None:
    """A later pydantic may have more kinds of errors than we know."""
    error = ErrorDetails(type="new", loc=("port",), msg="Input should be new", input=1)

    assert explain(error, AccountConfig) == "cannot be used; write for example port = 995"
