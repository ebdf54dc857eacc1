"""Two augmented views of a history are recognised as one: CL4SRec."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from augment import OPERATORS, Crop, Mask, Operator, Reorder, Sequences, draw_two_views
from augment.views import Draw
from models.tasks.contrastive import ContrastiveTask
from models.tasks.task import Batch, View


@dataclass(eq=False, repr=False)
class AugmentedViews(ContrastiveTask):
    """Contrast two randomly augmented views of each history against those of other rows.

    CL4SRec (arXiv:2010.14395, section 3.2).  Both views are made from the history itself.
    """

    operators: tuple[Operator, ...] = (Crop(), Mask(), Reorder())
    """What may be done to a history."""
    draw: Draw = "two_distinct"
    """two_distinct or with_replacement: one operator a view; chained: all, in this order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.operators:
            raise ValueError("operators must name at least one operator")
        if self.draw == "two_distinct" and len(self.operators) < 2:
            raise ValueError(
                "draw: two_distinct needs two operators or more; use with_replacement for one"
            )

    def pair(self, batch: Batch, rng: Generator) -> list[View]:
        names = operator_names(self.operators)
        drawn = draw_two_views(batch.histories, self.operators, self.draw, rng)
        return [View(v.sequences, self.pooling, names, v.operator) for v in drawn]

    def altered(self, histories: Sequences, rng: Generator) -> View:
        """Made as the rows' views are, so that nothing but the user tells them apart."""
        view, _ = draw_two_views(histories, self.operators, self.draw, rng)
        names = operator_names(self.operators)
        return View(view.sequences, self.pooling, names, view.operator, histories)


def operator_names(operators: tuple[Operator, ...]) -> tuple[str, ...]:
    """Catalogue names, numbered where one occurs again: ("crop", "mask", "mask.2")."""
    known = {cls: name for name, cls in OPERATORS.items()}
    names: list[str] = []
    for operator in operators:
        name = known.get(type(operator), type(operator).__name__)
        count = sum(other.split(".")[0] == name for other in names)
        names.append(f"{name}.{count + 1}" if count else name)
    return tuple(names)
