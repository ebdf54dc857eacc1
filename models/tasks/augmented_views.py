"""Two augmented views of a history are recognised as one: CL4SRec."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Generator

from augment import (
    OPERATORS,
    CorrelatedItems,
    Correlation,
    Crop,
    Mask,
    Operator,
    Reorder,
    Sequences,
    TrainHistories,
    draw_two_views,
)
from augment.operator import check_times, operator_names
from augment.views import Draw, ShortHistories
from models.ranges import check_count
from models.snapshot import Snapshot
from models.tasks.contrastive import ContrastiveTask
from models.tasks.step import Batch, View
from models.tasks.task import Sizes


@dataclass(eq=False, repr=False)
class AugmentedViews(ContrastiveTask):
    """Contrast two randomly augmented views of each history against those of other rows.

    CL4SRec (arXiv:2010.14395, section 3.2); with correlated operators and fewer of them for
    short histories, CoSeRec (arXiv:2108.06479).  Both views are made from the history itself.
    """

    operators: tuple[Operator, ...] = (Crop(), Mask(), Reorder())
    """What may be done to a history."""
    draw: Draw = "two_distinct"
    """two_distinct or with_replacement: one operator a view; chained: all, in this order."""
    short_max_length: int = 0
    """Histories of at most this many items draw from short_operators only; 0: none is short."""
    short_operators: tuple[str, ...] = ("substitute", "insert", "mask")
    """Which of the operators a short history draws from, by their names."""
    correlation: Correlation = field(default_factory=Correlation)
    """Which items substitute and insert take."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.operators:
            raise ValueError("operators must name at least one operator")
        if self.draw == "two_distinct" and len(self.operators) < 2:
            raise ValueError(
                "draw: two_distinct needs two operators or more; use with_replacement for one"
            )
        self.check_short()
        self.correlated: CorrelatedItems | None = None

    def check_short(self) -> None:
        """Short histories need operators that are there, and a draw that picks some."""
        for name in self.short_operators:
            if name not in OPERATORS:
                known = ", ".join(OPERATORS)
                raise ValueError(f"short_operators: unknown {name!r}; known: {known}")
        check_count("short_max_length", self.short_max_length, 0)
        if self.short_max_length and self.draw == "chained":
            raise ValueError("short_max_length: draw chained applies every operator; set it to 0")
        there = {type(operator) for operator in self.operators}
        absent = [name for name in self.short_operators if OPERATORS[name] not in there]
        if self.short_max_length and absent:
            raise ValueError(f"short_operators: {', '.join(absent)} not among the operators")
        needed = 2 if self.draw == "two_distinct" else 1
        if self.short_max_length and len(self.for_short()) < needed:
            raise ValueError(
                f"short_operators must name at least {needed} of the operators for this draw"
            )

    def for_short(self) -> tuple[int, ...]:
        """Indices of the operators that short histories draw from."""
        kinds = tuple(OPERATORS[name] for name in self.short_operators)
        return tuple(i for i, operator in enumerate(self.operators) if type(operator) in kinds)

    def prepare(self, sizes: Sizes) -> None:
        super().prepare(sizes)
        self.correlated = CorrelatedItems(
            self.correlation, self.operators, sizes.max_length, sizes.count_neighbours
        )

    def fit(self, train: TrainHistories) -> None:
        super().fit(train)
        check_times(self.operators, OPERATORS, train)
        if self.correlated is not None:
            self.correlated.fit(train)

    def start_epoch(self, epoch: int, snapshot: Snapshot, rng: Generator) -> None:
        super().start_epoch(epoch, snapshot, rng)
        if self.correlated is not None:
            self.correlated.start_epoch(epoch, snapshot.items)

    def make_views(self, batch: Batch, rng: Generator) -> list[View]:
        return self.draw_views(batch.histories, rng)

    def augment_negatives(self, histories: Sequences, rng: Generator) -> View:
        """Made as the rows' views are.  (Of whole histories: prefixes are shorter.)"""
        view, _ = self.draw_views(histories, rng)
        return replace(view, made_from=histories)

    def draw_views(self, histories: Sequences, rng: Generator) -> list[View]:
        names = operator_names(self.operators, OPERATORS)
        short = None
        if self.short_max_length:
            short = ShortHistories(self.short_max_length, self.for_short())
        operators = self.operators
        if self.correlated is not None:
            operators = self.correlated.bound(histories.device)
        drawn = draw_two_views(histories, operators, self.draw, rng, short)
        return [View(v.sequences, self.pooling, names, v.operator) for v in drawn]
