"""Other people's numbers, with the protocol that they were measured under."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.errors import UsageError
from experiments.evaluation.metric_names import RULES
from experiments.storage.files import REPOSITORY
from experiments.storage.yaml_file import parse

PUBLISHED = REPOSITORY / "experiments" / "results" / "published.yaml"


@dataclass(frozen=True)
class Published:
    """One row: seen is our rule that it is comparable with, "excluded" or "ranked"."""

    dataset: str
    method: str
    seen: str
    hr: float
    ndcg: float
    next_item: str
    source: str
    notes: str = ""

    @property
    def protocol(self) -> str:
        """What a reader has to know before comparing; the seen rule is told by the column."""
        return "; ".join(part for part in (self.next_item, self.notes) if part)


def published(path: Path = PUBLISHED) -> list[Published]:
    """Every row of the file, in its order."""
    rows = parse(path.read_bytes(), path.name)
    found = []
    for number, row in enumerate(rows, 1):
        try:
            hr, ndcg = float(row.pop("hr@10")), float(row.pop("ndcg@10"))
            found.append(Published(hr=hr, ndcg=ndcg, **row))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path.name}: row {number}: {error}") from None
        if found[-1].seen not in RULES:
            raise UsageError(f"{path.name}: row {number}: seen is {' or '.join(RULES)}")
    return found
