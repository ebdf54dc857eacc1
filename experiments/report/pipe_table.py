"""A table of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def pipe_table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """The cells as they are: escaped by the caller, where they need it."""
    head = " | ".join(columns).lstrip()  # the first column may have no name
    lines = [f"| {head} |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
