import poplib
import smtplib
import socket
import ssl
from io import BufferedReader

import pytest

from tests.corpus import degenerate_messages, digests, varied_messages
from tests.servers.dovecot import PASSWORD, Dovecot, as_served, run_dovecot
from tests.servers.postfix import Postfix, SmtpSink
from tests.servers.programs import REQUIRE_SERVERS, PortLease, accepts, require_program

MESSAGE = b"Subject: hello\r\n\r\n.dot\r\n"
SENDER = "sender@corpus.example"


def trust(server: Dovecot | Postfix) -> ssl.SSLContext:
    """Trust the server's own authority and nobody else."""
    return ssl.create_default_context(cafile=str(server.certificate.ca_file))


def log_in(session: poplib.POP3, user: str) -> int:
    """Log in and give the number of messages."""
    session.user(user)
    session.pass_(PASSWORD)
    return session.stat()[0]


def retrieve(number: int, connection: socket.socket, replies: BufferedReader) -> bytes:
    """Give a message as RETR brings it, read by hand: poplib refuses long lines."""
    connection.sendall(b"RETR %d\r\n" % number)
    assert replies.readline().startswith(b"+OK")
    lines = iter(replies.readline, b".\r\n")
    return b"".join(line.removeprefix(b".") for line in lines)


def retrieve_all(server: Dovecot, user: str) -> list[bytes]:
    """Give every message of the user over plain POP3."""
    with (
        socket.create_connection(("127.0.0.1", server.pop3_port)) as connection,
        connection.makefile("rb") as replies,
    ):
        connection.sendall(b"USER %b\r\nPASS %b\r\n" % (user.encode(), PASSWORD.encode()))
        assert all(replies.readline().startswith(b"+OK") for _ in range(3))
        return [
            retrieve(number, connection, replies) for number in range(1, server.count(user) + 1)
        ]


def send_raw(port: int, recipient: str, messages: list[bytes]) -> None:
    """Send messages over SMTP octet by octet: smtplib would rewrite their line ends."""
    with smtplib.SMTP("127.0.0.1", port) as session:
        session.ehlo()
        for message in messages:
            session.mail(SENDER, ["BODY=8BITMIME"])
            session.rcpt(recipient)
            session.docmd("DATA")
            session.send(stuffed(message))
            assert session.getreply()[0] == 250


def stuffed(message: bytes) -> bytes:
    """Give the message as DATA wants it: dots doubled, ended by the final dot."""
    lines = message.split(b"\r\n")
    if not lines[-1]:
        lines.pop()
    doubled = (b"." + line if line.startswith(b".") else line for line in lines)
    return b"".join(line + b"\r\n" for line in doubled) + b".\r\n"


# -- Dovecot ---------------------------------------------------------------------------------


def test_dovecot_serves_plain_pop3(dovecot: Dovecot, dovecot_user: str) -> None:
    """What was filled in comes out, over a connection without TLS."""
    dovecot.fill(dovecot_user, [MESSAGE])

    session = poplib.POP3("127.0.0.1", dovecot.pop3_port)
    count = log_in(session, dovecot_user)
    _, lines, octets = session.retr(1)
    session.quit()

    assert count == 1
    assert lines == [b"Subject: hello", b"", b".dot"]
    assert octets >= len(MESSAGE)


def test_dovecot_serves_stls(dovecot: Dovecot, dovecot_user: str) -> None:
    """STLS turns the plain connection into a verified one."""
    session = poplib.POP3("localhost", dovecot.pop3_port)
    session.stls(trust(dovecot))
    count = log_in(session, dovecot_user)
    session.quit()

    assert count == 0


def test_dovecot_serves_pop3s(dovecot: Dovecot, dovecot_user: str) -> None:
    """The other port speaks TLS from the first octet on, with a certificate for localhost."""
    session = poplib.POP3_SSL("localhost", dovecot.pop3s_port, context=trust(dovecot))
    count = log_in(session, dovecot_user)
    session.quit()

    assert count == 0


def test_dovecot_forgets_what_was_deleted_at_quit(dovecot: Dovecot, dovecot_user: str) -> None:
    """DELE and QUIT take the message out of the mailbox that ``count`` sees."""
    dovecot.fill(dovecot_user, [MESSAGE, MESSAGE + b"2\r\n"])

    session = poplib.POP3("127.0.0.1", dovecot.pop3_port)
    log_in(session, dovecot_user)
    session.dele(1)
    session.quit()

    assert dovecot.count(dovecot_user) == 1
    assert dovecot.messages(dovecot_user) == [MESSAGE + b"2\r\n"]


def test_dovecot_serves_the_corpus_as_announced(dovecot: Dovecot, dovecot_user: str) -> None:
    """``as_served`` says exactly what RETR brings, of ordinary and of degenerate messages."""
    messages = [*varied_messages(24), *degenerate_messages()]
    dovecot.fill(dovecot_user, messages)

    assert retrieve_all(dovecot, dovecot_user) == [as_served(message) for message in messages]


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_dovecot_takes_lmtp(dovecot: Dovecot, dovecot_user: str, family: str) -> None:
    """LMTP over either kind of socket files the message; an unknown recipient is refused."""
    socket_path = str(dovecot.lmtp_socket)
    address = (socket_path, 0) if family == "unix" else ("127.0.0.1", dovecot.lmtp_port)
    session = smtplib.LMTP(*address)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        session.sendmail(SENDER, "nobody@example.org", MESSAGE)
    session.sendmail(SENDER, dovecot_user, MESSAGE)
    session.close()

    assert refused.value.recipients["nobody@example.org"][0] == 550
    assert dovecot.messages(dovecot_user) == [MESSAGE]


def test_dovecot_ends_without_a_trace() -> None:
    """After ``run_dovecot`` nobody listens, and the directory is gone."""
    with run_dovecot() as server:
        home, port = server.home, server.pop3_port
        assert accepts(port)

    assert not accepts(port)
    assert not home.exists()


# -- Postfix and smtp-sink -------------------------------------------------------------------


def test_postfix_delivers_what_was_sent(postfix: Postfix, postfix_user: str) -> None:
    """What was sent arrives octet by octet, once Postfix's own trace lines are taken off."""
    messages = varied_messages(24)
    send_raw(postfix.port, postfix_user, messages)

    arrived = postfix.wait_for_messages(postfix_user, len(messages))

    assert digests(arrived) == digests(messages)


def test_postfix_refuses_an_unknown_recipient(postfix: Postfix) -> None:
    """An address without a mailbox is refused for good at RCPT."""
    with (
        smtplib.SMTP("127.0.0.1", postfix.port) as session,
        pytest.raises(smtplib.SMTPRecipientsRefused) as refused,
    ):
        session.sendmail(SENDER, "nobody@example.org", MESSAGE)

    assert refused.value.recipients["nobody@example.org"][0] == 550


def test_postfix_offers_starttls(postfix: Postfix, postfix_user: str) -> None:
    """STARTTLS gives a verified session that takes mail."""
    with smtplib.SMTP("localhost", postfix.port) as session:
        session.starttls(context=trust(postfix))
        session.sendmail(SENDER, postfix_user, MESSAGE)

    assert postfix.wait_for_messages(postfix_user, 1) == [MESSAGE]


def test_smtp_sink_files_each_transaction(smtp_sink: SmtpSink) -> None:
    """Envelope and content of each message can be read back."""
    messages = varied_messages(12)
    send_raw(smtp_sink.port, "jane@example.org", messages)

    filed = smtp_sink.messages()

    assert digests(message.content for message in filed) == digests(messages)
    assert {message.reverse_path for message in filed} == {SENDER.encode()}
    assert {message.recipients for message in filed} == {(b"jane@example.org",)}


def test_lmtp_sink_answers_for_each_recipient(lmtp_sink: SmtpSink) -> None:
    """The sink greets LHLO and files one transaction for both recipients."""
    with smtplib.LMTP("127.0.0.1", lmtp_sink.port) as session:
        session.sendmail(SENDER, ["a@example.org", "b@example.org"], MESSAGE)
        assert session.getreply()[0] == 250

    filed = lmtp_sink.messages()
    assert [message.recipients for message in filed] == [(b"a@example.org", b"b@example.org")]


# -- programs and ports ----------------------------------------------------------------------


def test_missing_program_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a developer's machine a missing server skips the tests that need it."""
    monkeypatch.delenv(REQUIRE_SERVERS, raising=False)

    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        require_program("no-such-program")


def test_missing_program_fails_where_servers_are_a_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the real servers are required, nothing is skipped in silence."""
    monkeypatch.setenv(REQUIRE_SERVERS, "1")

    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        require_program("no-such-program")


def test_leased_ports_are_nobody_elses() -> None:
    """Two leases never share a port, and a leased port is free to be bound."""
    first, second = PortLease(3), PortLease(3)
    with socket.socket() as server:
        server.bind(("127.0.0.1", first.ports[0]))
    first.release()
    second.release()

    assert set(first.ports).isdisjoint(second.ports)
