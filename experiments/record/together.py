"""Which lines of the results may stand in one table, and in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from experiments.errors import UsageError
from experiments.record.read import Line


def check_together(lines: Sequence[Line]) -> None:
    """The tested lines of one study and data set: one a variant and seed, all on the same data.

    Errors: UsageError that names two lines which do not go together.
    """
    first: dict[tuple[str, int], Line] = {}
    for line in lines:
        other = first.setdefault((line.variant, line.seed), line)
        if other is not line:
            raise UsageError(
                f"{line.study}: two trials of {line.variant!r} on {line.dataset}, seed {line.seed} "
                f"({other.trial}, {line.trial}); remove the one that is out of date"
            )
    for line in lines:
        if line.values.get("data_sha256") != lines[0].values.get("data_sha256"):
            raise UsageError(
                f"{line.study}: {line.variant!r} seed {line.seed} and {lines[0].variant!r} seed "
                f"{lines[0].seed} read different data as {line.dataset} (data_sha256 differs); "
                f"run them again on the same file"
            )


def natural(text: str) -> list[tuple[int, float, str]]:
    """A key that sorts numbers in a text by their size."""
    parts = re.split(r"(\d+\.?\d*(?:e[+-]?\d+)?)", text)
    return [
        (0, float(part), "") if index % 2 else (1, 0.0, part) for index, part in enumerate(parts)
    ]
