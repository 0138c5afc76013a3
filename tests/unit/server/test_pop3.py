"""The bundled POP3 server, spoken to octet by octet."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from popsync.server.pop3 import Pop3Service, ServedConnection
from popsync.server.pop3_transaction import BATCH_OCTETS
from tests.doubles.bundled_server import Bench, trusting
from tests.doubles.line_client import LineClient, line_client
from tests.servers.certificates import issue_certificate

SMALL = b"Subject: small\r\n\r\n.one\r\ntwo\r\n"
AWKWARD = b"A: b\r\n\r\n.\r\n..\r\nbare\nLF\n.dot bare\rCR \0 NUL \xff\r\n\r\r\n%b\r\n" % (
    b"x" * 70_000
)
LARGE = b"A: b\r\n\r\n" + (b".%b\r\n" % (b"y" * 998)) * (3 * BATCH_OCTETS // 1000)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make a mailstore."""
    return Bench(tmp_path)


@pytest.fixture
async def pop3(bench: Bench) -> AsyncIterator[Bench]:
    """Serve the bench's mailstore by POP3, in the clear."""
    service = Pop3Service(mailboxes=bench.mailboxes, mailstore=bench.mailstore, sleep=bench.sleep)
    async with bench.serving(service.make_protocol, refusal=b"-ERR [SYS/TEMP] full\r\n"):
        yield bench


def files(bench: Bench) -> list[Path]:
    """Give jane's files in order of arrival."""
    return [message.path for message in bench.mailstore.scan("jane")]


# -- login -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [b"USER jane", b"PASS secret word"],
        [b"user jane", b"pass secret word"],
        [b"AUTH PLAIN AGphbmUAc2VjcmV0IHdvcmQ="],
        [b"auth plain amFuZQBqYW5lAHNlY3JldCB3b3Jk"],
        [b"AUTH PLAIN", b"AGphbmUAc2VjcmV0IHdvcmQ="],
        [b"USER joe", b"USER jane", b"PASS secret word"],
    ],
)
async def test_every_way_to_log_in_leads_to_the_maildrop(pop3: Bench, lines: list[bytes]) -> None:
    """RFC 1939 §7 and RFC 5034 §4, in one step and in two; a password may hold blanks."""
    pop3.put(SMALL)
    async with line_client(pop3.address, b"+OK") as client:
        replies = [await client.ask(line) for line in lines]
        assert replies[-1] == b"+OK 1 messages"
        assert await client.ask(b"STAT") == b"+OK 1 %d" % len(SMALL)


async def test_unknown_user_and_wrong_password_look_the_same(pop3: Bench) -> None:
    """Nobody learns who has a mailbox here."""
    async with line_client(pop3.address, b"+OK") as client:
        texts = []
        for user, password in ((b"jane", b"wrong"), (b"nobody", b"secret word")):
            texts.append(
                (await client.ask(b"USER " + user), await client.ask(b"PASS " + password))
            )

    assert texts[0] == texts[1]
    assert texts[0][1].startswith(b"-ERR [AUTH] ")


async def test_each_refused_login_waits_longer_and_the_third_is_the_last(pop3: Bench) -> None:
    """Guessing costs time and connections, whatever the mechanism."""
    async with line_client(pop3.address, b"+OK") as client:
        await client.ask(b"USER jane")
        await client.ask(b"PASS wrong")
        await client.ask(b"AUTH PLAIN AGphbmUAd3Jvbmc=")
        await client.send(b"USER jane\r\nPASS wrong\r\nUSER jane\r\nPASS secret word\r\n")
        rest = await client.rest()

    assert rest.count(b"\r\n") == 2
    assert rest.endswith(b"-ERR [AUTH] login or password is wrong\r\n")
    assert pop3.slept == [1, 2, 4]


@pytest.mark.parametrize(
    "lines",
    [
        [b"PASS secret word"],
        [b"USER"],
        [b"USER jane", b"PASS wrong", b"PASS secret word"],
        [b"AUTH CRAM-MD5"],
        [b"AUTH"],
        [b"AUTH PLAIN AGphbmU="],
        [b"AUTH PLAIN !!!"],
        [b"AUTH PLAIN", b"*"],
        [b"AUTH PLAIN", b"x" * 300],
        [b"AUTH PLAIN am9lAGphbmUAc2VjcmV0IHdvcmQ="],
        [b"STAT"],
        [b"RETR 1"],
        [b"APOP jane c4c9334bac560ecc979e58001b3e22fb"],
        [b"STLS"],
    ],
)
async def test_what_is_no_login_opens_nothing(pop3: Bench, lines: list[bytes]) -> None:
    """The session stays where it was, and goes on."""
    async with line_client(pop3.address, b"+OK") as client:
        replies = [await client.ask(line) for line in lines]
        assert replies[-1].startswith(b"-ERR")
        assert (await client.ask(b"STAT")).startswith(b"-ERR")
        assert await client.ask(b"QUIT") == b"+OK bye"


@pytest.mark.parametrize("name", [b"../jane", b"jane/", b"JANE", b"%6aane", b"jane\0", b"\xff"])
async def test_a_login_is_looked_up_and_never_a_path(pop3: Bench, name: bytes) -> None:
    """Only the configured name, octet for octet, is a name."""
    async with line_client(pop3.address, b"+OK") as client:
        await client.ask(b"USER " + name)
        assert (await client.ask(b"PASS secret word")).startswith(b"-ERR")


async def test_a_maildrop_is_one_sessions_at_a_time(pop3: Bench) -> None:
    """RFC 1939 §4: the second one is told so, others are free, and QUIT frees it."""
    async with pop3.pop3_login() as first, line_client(pop3.address, b"+OK") as second:
        await second.ask(b"USER jane")
        assert (await second.ask(b"PASS secret word")).startswith(b"-ERR [IN-USE] ")
        await second.ask(b"USER joe")
        assert (await second.ask(b"PASS other")).startswith(b"+OK")
        await first.ask(b"QUIT")
        async with pop3.pop3_login() as third:
            assert await third.ask(b"STAT") == b"+OK 0 0"


async def test_a_maildrop_that_cannot_be_read_is_a_temporary_trouble(pop3: Bench) -> None:
    """[SYS/TEMP] keeps a client from taking it for a wrong password."""
    new = pop3.mailstore.root / "jane" / "new"
    new.rename(new.with_name("elsewhere"))
    async with line_client(pop3.address, b"+OK") as client:
        await client.ask(b"USER jane")
        assert (await client.ask(b"PASS secret word")).startswith(b"-ERR [SYS/TEMP] ")
        new.with_name("elsewhere").rename(new)
        await client.ask(b"USER jane")
        assert (await client.ask(b"PASS secret word")).startswith(b"+OK")


# -- what is there ---------------------------------------------------------------------------


async def test_capabilities_are_the_same_truth_before_and_after_login(pop3: Bench) -> None:
    """Without a certificate and on loopback the state changes nothing."""
    async with line_client(pop3.address, b"+OK") as client:
        before = await client.rows(b"CAPA")
    async with pop3.pop3_login() as client:
        after = await client.rows(b"CAPA")

    assert before == after
    assert sorted(before) == [
        b"AUTH-RESP-CODE",
        b"EXPIRE NEVER",
        b"IMPLEMENTATION popsync",
        b"PIPELINING",
        b"RESP-CODES",
        b"SASL PLAIN",
        b"TOP",
        b"UIDL",
        b"USER",
    ]


async def test_stat_list_uidl_and_retr_agree(pop3: Bench) -> None:
    """Octets are those of the CRLF form; numbers follow arrival."""
    messages = [SMALL, AWKWARD, b"", b"\r\n", LARGE]
    pop3.put(*messages)
    async with pop3.pop3_login() as client:
        stat = await client.ask(b"STAT")
        listed = await client.rows(b"LIST")
        unique_ids = await client.rows(b"UIDL")
        for number, message in enumerate(messages, start=1):
            assert await client.ask(b"LIST %d" % number) == b"+OK " + listed[number - 1]
            assert await client.ask(b"UIDL %d" % number) == b"+OK " + unique_ids[number - 1]
            assert (await client.ask(b"RETR %d" % number)).startswith(b"+OK")
            assert await client.text() == message

    assert stat == b"+OK 5 %d" % sum(map(len, messages))
    assert listed == [b"%d %d" % (n, len(m)) for n, m in enumerate(messages, start=1)]
    assert len(set(unique_ids)) == 5


async def test_a_foreign_file_is_sent_with_crlf(pop3: Bench) -> None:
    """A Maildir that something else fills has LF line ends."""
    (pop3.mailstore.root / "jane" / "cur" / "1.2.h:2,S").write_bytes(b"A: b\n\n.\nlast")
    async with pop3.pop3_login() as client:
        assert await client.ask(b"LIST 1") == b"+OK 1 17"
        await client.ask(b"RETR 1")
        assert await client.text() == b"A: b\r\n\r\n.\r\nlast\r\n"


@pytest.mark.parametrize(
    ("lines", "top"),
    [
        (0, b"A: b\r\nC: d\r\n\r\n"),
        (1, b"A: b\r\nC: d\r\n\r\n.x\r\n"),
        (2, b"A: b\r\nC: d\r\n\r\n.x\r\n\r\n"),
        (99, b"A: b\r\nC: d\r\n\r\n.x\r\n\r\ny\r\n"),
    ],
)
async def test_top_gives_the_header_and_so_many_lines(pop3: Bench, lines: int, top: bytes) -> None:
    """RFC 1939 §7: none, some, or more than there are."""
    pop3.put(b"A: b\r\nC: d\r\n\r\n.x\r\n\r\ny\r\n")
    async with pop3.pop3_login() as client:
        assert (await client.ask(b"TOP 1 %d" % lines)).startswith(b"+OK")
        assert await client.text() == top
        assert await client.ask(b"NOOP") == b"+OK"


@pytest.mark.parametrize(
    "line",
    [
        *(b"RETR", b"RETR 0", b"RETR 2", b"RETR -1", b"RETR 18446744073709551617", b"RETR x"),
        *(b"RETR 1 1", b"RETR \xb2", b"LIST 0", b"LIST 2", b"UIDL 2", b"UIDL x", b"DELE 0"),
        *(b"DELE", b"DELE 2", b"TOP", b"TOP 1", b"TOP 2 0", b"TOP 1 -1", b"TOP 1 x"),
        *(b"USER jane", b"PASS x", b"STLS", b"AUTH PLAIN", b"XYZZY", b"", b" ", b"\0", b"\xff"),
        *(b"NOOP " + b"x" * 300, b"x" * 100_000),
    ],
)
async def test_a_command_that_cannot_be_is_refused_and_the_session_goes_on(
    pop3: Bench, line: bytes
) -> None:
    """No number, form, length or octet brings anything out of step."""
    pop3.put(SMALL)
    async with pop3.pop3_login() as client:
        assert (await client.ask(line)).startswith(b"-ERR")
        assert await client.ask(b"STAT") == b"+OK 1 %d" % len(SMALL)


async def test_twenty_bad_commands_end_the_connection(pop3: Bench) -> None:
    """What talks like this is no POP3 client."""
    async with pop3.pop3_login() as client:
        await client.send(b"XYZZY\r\n" * 25)
        assert (await client.rest()).count(b"-ERR") == 20


# -- many at once ----------------------------------------------------------------------------


async def test_pipelined_commands_are_answered_in_order(pop3: Bench) -> None:
    """RFC 2449 §6.6, across every kind of reply and more than one batch."""
    pop3.put(SMALL, LARGE, AWKWARD, SMALL)
    async with pop3.pop3_login() as client:
        await client.send(
            b"RETR 1\r\nRETR 2\r\nRETR 9\r\nRETR 3\r\nRETR 4\r\nDELE 1\r\nRETR 1\r\n"
            b"RETR 4\r\nbad\0\r\nNOOP\r\nQUIT\r\n"
        )
        for message in (SMALL, LARGE):
            assert (await client.line()).startswith(b"+OK")
            assert await client.text() == message
        assert await client.line() == b"-ERR no such message"
        for message in (AWKWARD, SMALL):
            assert (await client.line()).startswith(b"+OK")
            assert await client.text() == message
        assert await client.line() == b"+OK"
        assert await client.line() == b"-ERR no such message"
        assert (await client.line()).startswith(b"+OK")
        assert await client.text() == SMALL
        assert (await client.line()).startswith(b"-ERR")
        assert await client.line() == b"+OK"
        assert await client.line() == b"+OK bye"
        assert await client.rest() == b""


async def test_a_session_in_one_segment_and_octet_by_octet_is_the_same(pop3: Bench) -> None:
    """How the commands were cut up does not matter."""
    pop3.put(SMALL)
    octets = b"CAPA\r\nUSER jane\r\nPASS secret word\r\nLIST\r\nUIDL\r\nRETR 1\r\nQUIT\r\n"
    async with line_client(pop3.address, b"+OK") as client:
        await client.send(octets)
        at_once = await client.rest()
    async with line_client(pop3.address, b"+OK") as client:
        for octet in octets:
            await client.send(bytes([octet]))
        one_by_one = await client.rest()

    assert at_once == one_by_one
    assert at_once.endswith(b"\r\n.\r\n+OK bye\r\n")


async def test_thousands_of_retrs_in_one_segment(pop3: Bench) -> None:
    """The reply is as long as it must be, however far the client is behind in reading."""
    pop3.put(AWKWARD)
    async with pop3.pop3_login() as client:
        await client.send(b"RETR 1\r\n" * 1000 + b"QUIT\r\n")
        for _ in range(1000):
            assert (await client.line()).startswith(b"+OK")
            assert await client.text() == AWKWARD
        assert await client.rest() == b"+OK bye\r\n"


# -- deletion --------------------------------------------------------------------------------


async def test_deletions_take_place_at_quit(pop3: Bench) -> None:
    """A deleted message keeps its number and is not shown; the others keep theirs."""
    pop3.put(b"1\r\n", b"2\r\n", b"3\r\n")
    async with pop3.pop3_login() as client:
        assert await client.ask(b"DELE 2") == b"+OK"
        assert await client.ask(b"DELE 2") == b"-ERR no such message"
        assert await client.ask(b"LIST 2") == b"-ERR no such message"
        assert await client.rows(b"LIST") == [b"1 3", b"3 3"]
        assert await client.ask(b"STAT") == b"+OK 2 6"
        assert len(files(pop3)) == 3
        assert await client.ask(b"QUIT") == b"+OK bye"

    assert pop3.contents() == [b"1\r\n", b"3\r\n"]


async def test_rset_forgets_deletions(pop3: Bench) -> None:
    """RFC 1939 §5."""
    pop3.put(b"1\r\n")
    async with pop3.pop3_login() as client:
        await client.ask(b"DELE 1")
        assert await client.ask(b"RSET") == b"+OK"
        assert await client.ask(b"STAT") == b"+OK 1 3"
        await client.ask(b"QUIT")

    assert pop3.contents() == [b"1\r\n"]


async def test_a_session_that_breaks_off_deletes_nothing(pop3: Bench) -> None:
    """Only QUIT leads to UPDATE (RFC 1939 §6), and the maildrop is free again."""
    pop3.put(b"1\r\n")
    async with pop3.pop3_login() as client:
        await client.ask(b"DELE 1")
    await maildrop_is_free(pop3)

    assert pop3.contents() == [b"1\r\n"]


async def test_twenty_bad_commands_delete_nothing(pop3: Bench) -> None:
    """Being shown the door is not QUIT."""
    pop3.put(b"1\r\n")
    async with pop3.pop3_login() as client:
        await client.send(b"DELE 1\r\n" + b"XYZZY\r\n" * 20)
        await client.rest()

    assert pop3.contents() == [b"1\r\n"]


async def test_a_deletion_that_fails_is_told_at_quit(
    pop3: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 1939 §6; what could be deleted is."""
    pop3.put(b"1\r\n", b"2\r\n")
    first = files(pop3)[0]
    real = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path == first:
            raise PermissionError(13, "Permission denied")
        real(path, missing_ok=missing_ok)

    async with pop3.pop3_login() as client:
        await client.send(b"DELE 1\r\nDELE 2\r\nNOOP\r\n")
        assert [await client.line() for _ in range(3)] == [b"+OK"] * 3
        monkeypatch.setattr(Path, "unlink", unlink)
        assert await client.ask(b"QUIT") == (b"-ERR [SYS/TEMP] some deleted messages not removed")
        assert await client.rest() == b""

    assert pop3.contents() == [b"1\r\n"]


async def test_what_arrives_during_a_session_is_for_the_next(pop3: Bench) -> None:
    """Numbers and totals stand still while a maildrop is locked."""
    async with pop3.pop3_login() as client:
        pop3.put(SMALL)
        assert await client.ask(b"STAT") == b"+OK 0 0"
        await client.ask(b"QUIT")
    async with pop3.pop3_login() as client:
        assert await client.ask(b"STAT") == b"+OK 1 %d" % len(SMALL)


# -- messages that change under a session ----------------------------------------------------


@pytest.mark.parametrize("message", [SMALL, LARGE])
async def test_a_message_that_vanished_is_refused(pop3: Bench, message: bytes) -> None:
    """Nothing is given in its place; the next one is served."""
    pop3.put(message, SMALL)
    async with pop3.pop3_login() as client:
        files(pop3)[0].unlink()
        assert await client.ask(b"RETR 1") == b"-ERR that message is no longer there"
        assert await client.ask(b"TOP 1 0") == b"-ERR that message is no longer there"
        assert (await client.ask(b"RETR 2")).startswith(b"+OK")
        assert await client.text() == SMALL


async def test_a_small_message_that_became_shorter_is_refused(pop3: Bench) -> None:
    """It was read before a word was said."""
    pop3.put(SMALL)
    async with pop3.pop3_login() as client:
        os.truncate(files(pop3)[0], 5)
        assert (await client.ask(b"RETR 1")).startswith(b"-ERR [SYS/TEMP] ")


async def test_a_large_message_that_became_shorter_never_gets_a_final_dot(pop3: Bench) -> None:
    """The connection is cut: a client must not take a part for the whole."""
    pop3.put(SMALL, LARGE)
    async with pop3.pop3_login() as client:
        os.truncate(files(pop3)[1], len(LARGE) - 10)
        await client.send(b"RETR 1\r\nRETR 2\r\nQUIT\r\n")
        assert (await client.line()).startswith(b"+OK")
        assert await client.text() == SMALL
        octets = await client.rest()

    assert octets.startswith(b"+OK")
    assert b"\r\n.\r\n" not in octets
    assert b"bye" not in octets


# -- TLS -------------------------------------------------------------------------------------


@pytest.fixture
async def stls(bench: Bench, tmp_path: Path) -> AsyncIterator[tuple[Bench, ssl.SSLContext]]:
    """Serve POP3 with a certificate; give also a context that trusts it."""
    certificate = issue_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate.chain_file, certificate.key_file)
    service = Pop3Service(mailboxes=bench.mailboxes, mailstore=bench.mailstore, tls=tls)
    async with bench.serving(service.make_protocol):
        yield bench, trusting(certificate.ca_file)


async def test_stls_begins_tls_and_a_new_state(stls: tuple[Bench, ssl.SSLContext]) -> None:
    """RFC 2595 §4: what was said before does not count, and STLS is no longer offered."""
    bench, context = stls
    bench.put(SMALL, LARGE)
    async with line_client(bench.address, b"+OK") as client:
        assert b"STLS" in await client.rows(b"CAPA")
        await client.ask(b"USER jane")
        assert (await client.ask(b"STLS")).startswith(b"+OK")
        await client.start_tls(context)
        assert (await client.ask(b"PASS secret word")).startswith(b"-ERR")
        assert b"STLS" not in await client.rows(b"CAPA")
        assert (await client.ask(b"STLS")).startswith(b"-ERR")
        await client.ask(b"USER jane")
        assert (await client.ask(b"PASS secret word")).startswith(b"+OK")
        await client.ask(b"RETR 2")
        assert await client.text() == LARGE
        assert await client.ask(b"QUIT") == b"+OK bye"


async def test_what_was_sent_behind_stls_is_dropped(stls: tuple[Bench, ssl.SSLContext]) -> None:
    """Commands injected into the clear part are never carried out, under TLS or not."""
    bench, context = stls
    async with line_client(bench.address, b"+OK") as client:
        reply = await client.ask(b"STLS\r\nUSER jane\r\nNOOP")
        assert reply == b"-ERR nothing may be sent between STLS and its reply"
        assert (await client.ask(b"STLS")).startswith(b"+OK")
        await client.start_tls(context)
        assert await client.ask(b"PASS secret word") == b"-ERR USER comes first"


async def test_what_was_sent_before_the_handshake_ends_the_connection(
    stls: tuple[Bench, ssl.SSLContext],
) -> None:
    """Plaintext where TLS should begin is an attack or nonsense."""
    bench, _ = stls
    async with line_client(bench.address, b"+OK") as client:
        assert (await client.ask(b"STLS")).startswith(b"+OK")
        await client.send(b"USER jane\r\nPASS secret word\r\nSTAT\r\n")
        rest = await client.rest()

    assert b"+OK" not in rest


async def test_no_login_without_tls_from_elsewhere(
    stls: tuple[Bench, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: a password is not even asked for, and CAPA does not offer it."""
    monkeypatch.setattr("popsync.net.connection.Connection.loopback", False)
    bench, context = stls
    async with line_client(bench.address, b"+OK") as client:
        rows = await client.rows(b"CAPA")
        assert b"USER" not in rows
        assert b"SASL PLAIN" not in rows
        assert await client.ask(b"USER jane") == b"-ERR no login without TLS"
        assert await client.ask(b"AUTH PLAIN") == b"-ERR no login without TLS"
        await client.ask(b"STLS")
        await client.start_tls(context)
        await client.ask(b"USER jane")
        assert (await client.ask(b"PASS secret word")).startswith(b"+OK")


# -- limits ----------------------------------------------------------------------------------


async def test_a_silent_client_is_parted_from(bench: Bench) -> None:
    """After the autologout time nothing is deleted and the maildrop is free."""
    bench.put(SMALL)
    service = Pop3Service(
        mailboxes=bench.mailboxes, mailstore=bench.mailstore, idle_timeout_s=0.05
    )
    async with bench.serving(service.make_protocol), bench.pop3_login() as client:
        await client.ask(b"DELE 1")
        assert await client.rest() == b""
        async with bench.pop3_login() as second:
            assert await second.ask(b"STAT") == b"+OK 1 %d" % len(SMALL)


async def test_stopping_cuts_sessions_and_deletes_nothing(bench: Bench) -> None:
    """No task is left behind, and nobody gets a QUIT they did not send."""
    bench.put(SMALL)
    service = Pop3Service(mailboxes=bench.mailboxes, mailstore=bench.mailstore)
    async with bench.serving(service.make_protocol) as gate, bench.pop3_login() as client:
        await client.ask(b"DELE 1")
        await gate.clear()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    assert bench.contents() == [SMALL]


async def test_parting_sends_what_is_still_waiting() -> None:
    """The reply to QUIT is not lost behind a message that a client is slow to take."""
    made: asyncio.Queue[object] = asyncio.Queue()
    server = await asyncio.get_running_loop().create_server(
        lambda: ServedConnection(on_made=made.put_nowait), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    connection = await made.get()
    assert isinstance(connection, ServedConnection)
    assert connection._transport is not None
    connection._transport.set_write_buffer_limits(high=1 << 30)
    await connection.write(b"x" * 30_000_000, timeout_s=10)
    _, octets = await asyncio.gather(connection.part(), reader.read())

    assert len(octets) == 30_000_000
    writer.close()
    server.close()


async def maildrop_is_free(bench: Bench) -> None:
    """Return once jane can log in again: the server hears of a broken connection a bit later."""
    async with asyncio.timeout(10), line_client(bench.address, b"+OK") as client:
        while not await _logged_in(client):
            pass


async def _logged_in(client: LineClient) -> bool:
    await client.ask(b"USER jane")
    return (await client.ask(b"PASS secret word")).startswith(b"+OK")
