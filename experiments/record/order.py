"""The order of names in tables and files."""

from __future__ import annotations

import re


def natural(text: str) -> list[tuple[int, float, str]]:
    """A key that sorts numbers in a text by their size."""
    parts = re.split(r"(\d+\.?\d*(?:e[+-]?\d+)?)", text)
    return [
        (0, float(part), "") if index % 2 else (1, 0.0, part) for index, part in enumerate(parts)
    ]
