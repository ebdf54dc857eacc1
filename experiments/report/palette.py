"""A colour, a marker and a line for each variant, the same in all plots of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.report.style import COLOURS, LINES, MARKERS, OTHER


@dataclass(frozen=True)
class Look:
    """line: a style of matplotlib's."""

    colour: str
    marker: str
    line: Any


REST = Look(OTHER, ".", "-")
"""Of what is not told apart by its colour."""
Palette = dict[str, Look]


def palette(together: Iterable[Sequence[str]]) -> Palette:
    """A look for each name.  Names of one plot differ in colour, or, past ten, in marker and line.

    together: the names that one plot shows, for each plot of a page.  Names of many plots choose
    first; each takes the colour that the names beside it use least.
    """
    plots = [list(dict.fromkeys(names)) for names in together]
    frequency = Counter(name for names in plots for name in names)
    beside: dict[str, set[str]] = {name: set() for name in frequency}
    for names in plots:
        for name in names:
            beside[name] |= set(names) - {name}
    taken: dict[str, int] = {}
    looks: Palette = {}
    for name in sorted(frequency, key=lambda name: -frequency[name]):
        near = Counter(taken[other] for other in beside[name] if other in taken)
        number = min(range(len(COLOURS)), key=lambda number: (near[number], number))
        taken[name], again = number, number + near[number]
        marker, line = MARKERS[again % len(MARKERS)], LINES[again % len(LINES)]
        looks[name] = Look(COLOURS[number], marker, line)
    return looks
