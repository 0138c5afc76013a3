from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from popsync.errors import AuthRejected, MaildropLocked, TlsRefused
from popsync.maildrop.opening import connect_maildrop
from popsync.maildrop.session import Pop3Maildrop
from popsync.maildrop.settings import Pop3Settings
from popsync.model import ListedMessage, RetrievedMessage
from popsync.net.tls import TlsMode, TlsOptions
from popsync.storage.content import Scratch
from tests.corpus import degenerate_messages, varied_messages
from tests.servers.dovecot import PASSWORD, Dovecot, as_served, run_dovecot

TLS_MODES: tuple[TlsMode, ...] = ("none", "starttls", "implicit")


async def give_password() -> str:
    """Give the password of every user."""
    return PASSWORD


async def give_wrong_password() -> str:
    """Give another one."""
    return "wrong"


@pytest.fixture
def settings(dovecot: Dovecot, dovecot_user: str, tmp_path: Path) -> dict[str, object]:
    """Give what all sessions of one test share; TLS is still to be chosen."""
    return {
        "host": "127.0.0.1",
        "user": dovecot_user,
        "password": give_password,
        "scratch": Scratch(tmp_path),
    }


async def open_session(
    dovecot: Dovecot,
    settings: dict[str, object],
    mode: TlsMode = "none",
    *,
    lock_step: bool = False,
    **changes: object,
) -> Pop3Maildrop:
    """Log in."""
    port = dovecot.pop3s_port if mode == "implicit" else dovecot.pop3_port
    tls = TlsOptions(mode=mode, ca_file=str(dovecot.certificate.ca_file))
    values = {"port": port, "tls": tls} | settings | changes
    return await connect_maildrop(
        Pop3Settings(**values),  # type: ignore[arg-type]
        lock_step=lock_step,
    )


async def retrieve(
    maildrop: Pop3Maildrop, wanted: Sequence[ListedMessage]
) -> list[tuple[ListedMessage, bytes, str]]:
    """Give each message with its octets and what is doubtful about it."""
    given = []
    async with aclosing(maildrop.retrieve(wanted, stopping=lambda: False)) as bursts:
        async for burst in bursts:
            for retrieval in burst:
                assert isinstance(retrieval, RetrievedMessage)
                octets = b"".join(retrieval.content.chunks())
                retrieval.content.close()
                given.append((retrieval.listed, octets, retrieval.suspect))
    return given


@pytest.mark.parametrize("mode", TLS_MODES)
async def test_a_session_retrieves_and_deletes(
    dovecot: Dovecot, dovecot_user: str, settings: dict[str, object], mode: TlsMode
) -> None:
    """In the clear, after STLS and over POP3S."""
    messages = varied_messages(3)
    dovecot.fill(dovecot_user, messages)

    maildrop = await open_session(dovecot, settings, mode)
    listing = await maildrop.list()
    given = await retrieve(maildrop, listing.messages)
    agreed = await maildrop.delete(listing.messages[:2])
    await maildrop.quit()

    assert listing.complete
    assert [octets for _, octets, _ in given] == messages
    assert agreed == list(listing.messages[:2])
    assert dovecot.messages(dovecot_user) == messages[2:]


@pytest.mark.parametrize("auth", ["plain", "user"])
async def test_a_wrong_password_is_rejected_and_not_shown(
    dovecot: Dovecot, settings: dict[str, object], auth: str
) -> None:
    """Dovecot says so with [AUTH]."""
    with pytest.raises(AuthRejected, match=r"\[AUTH\]") as caught:
        await open_session(dovecot, settings, auth=auth, password=give_wrong_password)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("auth", ["plain", "user"])
async def test_the_right_password_opens_either_way(
    dovecot: Dovecot, settings: dict[str, object], auth: str
) -> None:
    """AUTH PLAIN with an initial response, and USER with PASS."""
    maildrop = await open_session(dovecot, settings, auth=auth)
    listing = await maildrop.list()
    await maildrop.quit()

    assert (listing.messages, listing.complete) == ((), True)


async def test_another_name_than_the_certificates_is_refused(
    dovecot: Dovecot, settings: dict[str, object]
) -> None:
    """Dovecot never sees a user's name."""
    tls = TlsOptions(ca_file=str(dovecot.certificate.ca_file), server_hostname="pop.example.org")
    with pytest.raises(TlsRefused, match="certificate"):
        await open_session(dovecot, settings, "implicit", tls=tls)


async def test_dropping_keeps_everything(
    dovecot: Dovecot, dovecot_user: str, settings: dict[str, object]
) -> None:
    """Without QUIT no deletion takes place."""
    dovecot.fill(dovecot_user, varied_messages(2))

    maildrop = await open_session(dovecot, settings)
    listing = await maildrop.list()
    assert len(await maildrop.delete(listing.messages)) == 2
    await maildrop.drop()
    await maildrop.drop()

    maildrop = await open_session(dovecot, settings)
    assert await maildrop.list() == listing
    await maildrop.quit()


async def test_stopping_still_brings_what_was_asked_for(
    dovecot: Dovecot, dovecot_user: str, settings: dict[str, object]
) -> None:
    """And QUIT is possible afterwards."""
    dovecot.fill(dovecot_user, varied_messages(20))

    maildrop = await open_session(dovecot, settings, window_messages=4)
    listing = await maildrop.list()
    taken: list[int] = []
    async for burst in maildrop.retrieve(listing.messages, stopping=lambda: bool(taken)):
        for retrieval in burst:
            assert isinstance(retrieval, RetrievedMessage)
            retrieval.content.close()
            taken.append(retrieval.listed.number)
    await maildrop.quit()

    assert taken == [1, 2, 3, 4]


@pytest.mark.parametrize("lock_step", [False, True], ids=["pipelined", "lock step"])
@pytest.mark.parametrize("mode", ["none", "implicit"])
async def test_three_hundred_messages_come_as_they_are(
    dovecot: Dovecot,
    dovecot_user: str,
    settings: dict[str, object],
    mode: TlsMode,
    *,
    lock_step: bool,
) -> None:
    """Degenerate ones among them: none is suspect, and no size disagrees."""
    messages = varied_messages(300)
    for at, message in enumerate(degenerate_messages()):
        messages.insert(at * 40, message)
    dovecot.fill(dovecot_user, messages)

    maildrop = await open_session(dovecot, settings, mode, lock_step=lock_step)
    listing = await maildrop.list()
    given = await retrieve(maildrop, listing.messages)
    await maildrop.quit()

    assert listing.complete
    assert [message for message, _, _ in given] == list(listing.messages)
    assert [octets for _, octets, _ in given] == [as_served(message) for message in messages]
    assert {suspect for _, _, suspect in given} == {""}


async def test_sizes_that_are_wrong_do_not_lose_the_step(
    dovecot: Dovecot, dovecot_user: str, settings: dict[str, object]
) -> None:
    """In lock step UIDL confirms it after each; a message shorter than it should be is suspect."""
    messages = varied_messages(6)
    dovecot.fill(dovecot_user, messages)

    maildrop = await open_session(dovecot, settings, lock_step=True)
    listing = await maildrop.list()
    wrong = [
        listed._replace(octets=max(listed.octets + (-500 if i % 2 else 500), 0))
        for i, listed in enumerate(listing.messages)
    ]
    given = await retrieve(maildrop, wrong)
    await maildrop.quit()

    assert [octets for _, octets, _ in given] == messages
    assert [bool(suspect) for _, _, suspect in given] == [True, False] * 3


async def test_a_maildrop_in_use_is_locked(settings: dict[str, object]) -> None:
    """The second session is told so with [IN-USE], as a passing state, and then let in."""
    with run_dovecot(locks_sessions=True) as dovecot:
        user = "jane@example.org"
        dovecot.add_user(user)
        first = await open_session(dovecot, settings, user=user)
        with pytest.raises(MaildropLocked, match=r"\[IN-USE\]") as caught:
            await open_session(dovecot, settings, user=user)
        await first.quit()
        second = await open_session(dovecot, settings, user=user)
        await second.quit()
    assert caught.value.temporary
