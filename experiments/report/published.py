"""Other people's numbers, with the protocol that they were measured under."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.errors import UsageError
from experiments.metric_names import RULES
from experiments.report.numbers import number_text
from experiments.report.pipe_table import pipe_table
from experiments.storage.files import REPOSITORY
from experiments.storage.yaml_file import parse

PUBLISHED = REPOSITORY / "experiments" / "results" / "published.yaml"
SEEN = (*RULES, "unstated")
COLUMNS = ("data set", "method", "HR@10", "NDCG@10", "seen items", "loss and notes", "source")


@dataclass(frozen=True)
class Published:
    """One row.

    seen: our rule that it is comparable with, or "unstated".  source: the paper or the GitHub
    repository, where: the table or file of it.
    """

    dataset: str
    method: str
    seen: str
    hr: float
    ndcg: float
    next_item: str
    source: str
    where: str
    notes: str = ""

    @property
    def protocol(self) -> str:
        """What a reader has to know before comparing; the seen rule is told by the column."""
        return "; ".join(part for part in (self.next_item, self.notes) if part)


def published(path: Path = PUBLISHED) -> list[Published]:
    """Every row of the file, in its order."""
    rows: list[Published] = []
    for number, fields in enumerate(parse(path.read_bytes(), path.name), 1):
        try:
            hr, ndcg = float(fields.pop("hr@10")), float(fields.pop("ndcg@10"))
            row = Published(hr=hr, ndcg=ndcg, **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path.name}: row {number}: {error}") from None
        if row.seen not in SEEN:
            raise UsageError(f"{path.name}: row {number}: seen is {' or '.join(SEEN)}")
        if not (row.source and row.where):
            raise UsageError(f"{path.name}: row {number}: has no source, or not where in it")
        rows.append(row)
    return rows


def published_table(rows: list[Published]) -> str:
    """All of them as a pipe table, each with where it is from."""
    return pipe_table(COLUMNS, map(cells, rows))


def cells(row: Published) -> list[str]:
    numbers = [number_text(row.hr), number_text(row.ndcg)]
    source = f"{source_link(row.source)}: {row.where}"
    return [row.dataset, row.method, *numbers, row.seen, row.protocol, source]


def source_link(source: str) -> str:
    """[arXiv:2110.05730](...) or [owner/name](...)."""
    number = source.removeprefix("arXiv:")
    url = f"https://arxiv.org/abs/{number}" if number != source else f"https://github.com/{source}"
    return f"[{source}]({url})"
