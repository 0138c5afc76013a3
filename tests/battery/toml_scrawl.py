"""Random TOML: most of it well-formed, some of it damaged by an octet or two."""

from random import Random

_KEYS = ("a", "b", "c-1", '"a.b"', "'#'", "a.b", "b . c", '"\\u00e4"', "1", "ü")
_SCALARS = (
    *("1", "-0x1f", "1.5e3", "true", "1979-05-27 07:32:00Z", '"x"', "'y#]'", '"\\"}"', "''"),
    *('"""a\n[b]"""', "'''\n''x'''''", '"""\\\n  """', '"""""q"""', '"a # b"', "07:32:00", "nan"),
)
_GAPS = ("", " ", "\t", "\n", " # ] } \n")
_COMMENTS = ("", "", " # c = [1", "\n", "\n# [no]")
_DAMAGE = ("", '"', "'", "[", "]", "=", "{", "}", "\\", "\n", ",", "#", ".", "\0", "é", "a")


def toml_scrawl(rng: Random) -> str:
    """Give up to twelve lines; one text in three is damaged."""
    text = "\n".join(_line(rng) for _ in range(rng.randrange(1, 12)))
    for _ in range(rng.choice((0, 0, 1))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(_DAMAGE) + text[at + rng.randrange(2) :]
    return text


def _line(rng: Random) -> str:
    if rng.random() < 0.3:
        opening, closing = rng.choice((("[", "]"), ("[[", "]]")))
        return f"{opening}{_name(rng)}{closing}{rng.choice(_COMMENTS)}"
    return f"{_name(rng)} = {_value(rng, 3)}{rng.choice(_COMMENTS)}"


def _name(rng: Random) -> str:
    # A number of its own keeps most keys from being set twice, which tomllib refuses.
    name = rng.choice(_KEYS)
    return f"{name}.k{rng.randrange(99)}" if rng.random() < 0.8 else name


def _value(rng: Random, depth: int) -> str:
    form = rng.random() if depth else 1.0
    if form < 0.15:
        items = [rng.choice(_GAPS) + _value(rng, depth - 1) for _ in range(rng.randrange(4))]
        return f"[{','.join(items)}{rng.choice(_GAPS)}]"
    if form < 0.3:
        items = [f"{_name(rng)}={_value(rng, depth - 1)}" for _ in range(rng.randrange(3))]
        return f"{{ {', '.join(items)} }}"
    return rng.choice(_SCALARS)
