"""The table of rules must fit the product; to remove each in turn takes a minute, by command."""

from tests.battery.removed_rules import REPOSITORY, RULES, misfits


def test_each_rule_has_its_line_and_its_tests() -> None:
    """A line that has moved would be removed nowhere."""
    assert misfits() == []
    assert all((REPOSITORY / "tests" / "unit" / rule.tests).is_file() for rule in RULES)
