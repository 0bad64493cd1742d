"""A picture of what was measured: CPU per request, one group of bars for each variant."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from html import escape

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 16, 18, 190, 90
COLOURS = ("#1f8a8a", "#8a8f98", "#c58b3b", "#6a5acd")  # teal first
TOP = 46


def medians(runs: Iterable[Mapping[str, object]]) -> dict[str, dict[str, float]]:
    """CPU microseconds per request, by `variant, connections` and by system, from the records of a JSON result."""
    values: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        variant = f"{run['variant'] or 'plain'}, {run['connections']} connections"
        values.setdefault(variant, {}).setdefault(str(run["system"]), []).append(float(str(run["cpu_us"])))
    return {name: {system: statistics.median(us) for system, us in found.items()} for name, found in values.items()}


def svg(runs: Sequence[Mapping[str, object]], machine: str) -> str:
    """The picture as a document of its own."""
    groups = medians(runs)
    systems = sorted({name for group in groups.values() for name in group}, key=lambda name: "teal" not in name)
    longest = max(us for group in groups.values() for us in group.values())
    parts = [_text(LEFT, 18, "CPU microseconds per request (shorter is better)", weight="bold")]
    parts += [_legend(index, name) for index, name in enumerate(systems)]
    y = TOP
    for variant, found in groups.items():
        parts.append(_text(LEFT - 8, y + BAR * len(found) / 2 + 4, variant, anchor="end"))
        for index, name in enumerate(systems):
            if (us := found.get(name)) is None:
                continue  # not every system can everything
            length = us / longest * (WIDTH - LEFT - RIGHT)
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" fill="{COLOURS[index]}"/>')
            parts.append(_text(LEFT + length + 5, y + BAR - 5, f"{us:.1f}"))
            y += BAR
        y += GAP
    parts.append(_text(LEFT, y + 6, machine, colour="#777"))
    height = y + 18
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>"]) + "\n"


def _legend(index: int, name: str) -> str:
    x = LEFT + index * 110
    return f'<rect x="{x}" y="26" width="12" height="12" fill="{COLOURS[index]}"/>' + _text(x + 17, 36, name)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#222") -> str:
    style = f'font-size="12" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
