"""What every case of an odd server is made of."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tests.odd_servers.server import Answer, Mail, Oddity, Turn


def make_mail(name: str, body: bytes = b"Hello.\r\n") -> Mail:
    """Make a message that is known by ``name``."""
    head = f"From: a@example.org\r\nMessage-ID: <{name}@example.org>\r\nSubject: {name}\r\n\r\n"
    return Mail(f"uid-{name}".encode(), head.encode() + body)


ONE, TWO, THREE = make_mail("one"), make_mail("two", b"Second.\r\n" * 40), make_mail("three")
MAIL = (ONE, TWO, THREE)


@dataclass(frozen=True)
class Case:
    """One odd server, polled ``polls`` times in delete mode.

    stays: the messages of ``mail`` that must still be on the server at the end; None when that
    says nothing. missing: those that cannot arrive.
    """

    oddity: Oddity
    mail: tuple[Mail, ...] = MAIL
    polls: int = 4
    stays: tuple[Mail, ...] | None = ()
    missing: tuple[Mail, ...] = ()
    hasty: bool = False
    """The server falls silent, so it is not waited for long."""


def answer_verb(verb: bytes, answer: bytes | Answer, *, until: int = 99) -> Oddity:
    """Answer one verb, or one whole line, differently in the first ``until`` sessions."""

    def oddity(turn: Turn) -> bytes | Answer | None:
        fits = verb in (turn.verb, turn.line.upper()) and turn.session <= until
        return answer if fits else None

    return oddity


def answers(
    prefix: str,
    verb: bytes,
    answers: Mapping[str, bytes | Answer],
    *,
    until: int = 99,
    stays: tuple[Mail, ...] | None = (),
    hasty: Collection[str] = (),
) -> dict[str, Case]:
    """Give a case for each answer to one command, named ``prefix`` and the answer's name.

    hasty: the names of those that fall silent.
    """
    return {
        prefix + name: Case(
            answer_verb(verb, answer, until=until), stays=stays, hasty=name in hasty
        )
        for name, answer in answers.items()
    }
