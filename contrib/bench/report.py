"""Measurements as a table and as a picture."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """What one program took for one scenario."""

    wall_s: float
    cpu_s: float


Figures = Mapping[str, Figure]
"""By program."""
Curves = Mapping[str, Sequence[tuple[int, float]]]
"""For each program what was varied, and what it took, in seconds."""


class Panel(NamedTuple):
    """One diagram of a picture."""

    title: str
    across: str
    """What was varied."""
    curves: Curves


WIDTH, HEIGHT = 560, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 90, 30, 50
COLOURS = ("#c03030", "#2060b0", "#308040", "#a06010", "#704090")


def table(results: Mapping[str, Figures]) -> str:
    """Give a Markdown table; the ratio is to the fastest program other than popsync."""
    lines = [
        "| scenario | program | wall s | CPU s | wall / best peer |",
        "|---|---|---:|---:|---:|",
    ]
    for scenario, figures in results.items():
        peers = [figure.wall_s for name, figure in figures.items() if name != "popsync"]
        for name, figure in sorted(figures.items(), key=lambda item: item[1].wall_s):
            ratio = f"{figure.wall_s / min(peers):.2f}" if peers else ""
            cells = (scenario, name, f"{figure.wall_s:.2f}", f"{figure.cpu_s:.2f}", ratio)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(panels: Sequence[Panel]) -> str:
    """Give an SVG picture: seconds, on a logarithmic scale, one diagram beside the other."""
    drawn = "\n".join(
        f'<g transform="translate({WIDTH * number} 0)">\n{_diagram(panel)}\n</g>'
        for number, panel in enumerate(panels)
    )
    width = WIDTH * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>\n{drawn}\n</svg>\n'
    )


def _diagram(panel: Panel) -> str:
    points = [point for curve in panel.curves.values() for point in curve]
    scale = _Scale(
        max(x for x, _ in points) or 1,
        math.floor(math.log10(min(wall_s for _, wall_s in points))),
        math.ceil(math.log10(max(wall_s for _, wall_s in points))),
    )
    parts = [
        _text(WIDTH / 2, 18, panel.title, "middle"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, panel.across, "middle"),
        *_axes(scale, sorted({x for x, _ in points})),
    ]
    for (name, curve), colour in zip(panel.curves.items(), COLOURS, strict=False):
        parts += _curve(name, [scale.place(point) for point in curve], colour)
    return "\n".join(parts)


class _Scale(NamedTuple):
    largest: int
    lowest: int
    """As a power of ten of a second, like ``highest``."""
    highest: int

    def place(self, point: tuple[int, float]) -> tuple[float, float]:
        value, wall_s = point
        part = (math.log10(wall_s) - self.lowest) / max(1, self.highest - self.lowest)
        across = LEFT + (WIDTH - LEFT - RIGHT) * value / self.largest
        return across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part


def _axes(scale: _Scale, values: Sequence[int]) -> list[str]:
    parts: list[str] = []
    for value in values:
        x, _ = scale.place((value, 1))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{value:,}", "middle"))
    for power in range(scale.lowest, scale.highest + 1):
        _, y = scale.place((0, 10.0**power))
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ccc"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{10.0**power:g} s", "end"))
    return parts


def _curve(name: str, places: Sequence[tuple[float, float]], colour: str) -> list[str]:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    return [
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places),
        _text(x + 8, y + 4, name, "start", colour),
    ]


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
