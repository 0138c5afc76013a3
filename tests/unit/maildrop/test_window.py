from popsync.maildrop.window import Window

MIB = 1 << 20


def test_it_begins_with_the_least() -> None:
    """Nothing is known of the line yet."""
    window = Window(MIB, 16 * MIB)
    window.adjust()

    assert window.octets == MIB


def test_it_is_what_the_line_brings_within_a_second() -> None:
    """A second is what an orderly stop has to wait for at most, if the line stays as it is."""
    window = Window(MIB, 16 * MIB)
    window.note(MIB, 0.2)
    window.note(MIB, 0.3)
    window.adjust()

    assert window.octets == 4 * MIB


def test_it_has_bounds() -> None:
    """A fast line does not make it boundless, a slow one not useless."""
    window = Window(MIB, 16 * MIB)
    window.note(MIB, 0.0)
    window.adjust()
    widest = window.octets
    window.note(1000, 1.0)
    window.adjust()

    assert (widest, window.octets) == (16 * MIB, MIB)


def test_it_follows_a_line_that_becomes_slower() -> None:
    """What came before the last time counts no more."""
    window = Window(MIB, 16 * MIB)
    window.note(8 * MIB, 1.0)
    window.adjust()
    window.note(2 * MIB, 1.0)
    window.adjust()

    assert window.octets == 2 * MIB


def test_a_most_below_the_least_is_the_least() -> None:
    """A small window that was asked for does not grow."""
    window = Window(100, 10)
    window.note(MIB, 0.1)
    window.adjust()

    assert window.octets == 100
