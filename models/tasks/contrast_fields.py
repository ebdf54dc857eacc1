"""Every axis of InfoNCE as a field, and which of them exclude each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Literal

from models.losses.info_nce import Similarity
from models.ranges import check_below_one, check_count, check_not_negative, check_positive
from models.snapshot import Pooling
from models.tasks.head import Head
from models.tasks.task import Task
from models.tasks.temperature import LEARNABLE, TemperatureMode

Label = Literal["target", "user", "cluster"]
Negatives = Literal["in_batch", "queue", "random", "other_cluster", "same_cluster"]
OF_TWO_VIEWS = (
    "objective", "correction", "negatives", "hard_k", "hard_beta", "false_negatives_as",
)  # fmt: skip
"""Fields that `ContrastiveTask.contrast` reads, and a task's other contrasts need not."""


@dataclass(eq=False, repr=False)
class ContrastFields(Task):
    """What may vary in a contrast.  Fields that another one makes idle are not read."""

    temperature: float = 1.0
    """Divides similarities; > 0.  Cosine wants about 0.05 to 1, dot products about 1."""
    temperature_mode: TemperatureMode = "fixed"
    """fixed.  learnable: its logarithm is a weight that starts from `temperature` (CLIP,
    arXiv:2103.00020), within [0.01, 100]; weight decay draws it to 1.  cosine: half a cosine
    wave from `temperature` to `temperature_to` (after arXiv:2303.13664)."""
    temperature_to: float = 0.1
    """Where the cosine schedule ends; > 0."""
    temperature_epochs: int = 20
    """Epochs from the start of the cosine schedule to its end."""
    similarity: Similarity = "dot"
    """dot, or cosine (dot product of unit vectors)."""
    pooling: Pooling = "last"
    """Representation of a view: state at the last real item, mean over real items, or concat:
    all states side by side.  padded, mean_padded: the same of all max_length positions, padding
    included, as in the code of ICLRec and CoSeRec."""
    head: Head = "none"
    """Projection between representation and contrast (SimCLR, arXiv:2002.05709): none, linear,
    or mlp with one hidden layer."""
    head_dim: int = 64
    """Size of what a head gives."""
    objective: Literal["info_nce", "binary_nce"] = "info_nce"
    """info_nce: which one is the positive?  binary_nce: is it the positive?  A logistic term for
    the positive, and the mean of those of the negatives (Gutmann & Hyvarinen 2010)."""
    correction: Literal["none", "debiased", "decoupled"] = "none"
    """debiased: negatives less the share of hidden positives (Chuang et al. 2020,
    arXiv:2007.00224).  decoupled: no positive in the denominator (DCL, arXiv:2110.06848)."""
    tau_plus: float = 0.1
    """Of debiased: the probability that a negative is a positive, in [0, 1)."""
    negatives: Negatives = "in_batch"
    """in_batch: all other rows.  queue: those and the views of other rows in earlier batches,
    without gradient (after MoCo, arXiv:1911.05722).  random: whole histories of training users
    drawn uniformly (longer than most prefixes), and no other row.  other_cluster: rows whose
    users' histories are in other clusters.  same_cluster: only rows of the same cluster, which are
    harder."""
    queue_size: int = 1024
    """Views that the queue holds; a batch pushes two a row, or one with `momentum`, so the oldest
    key is queue_size / 2B or queue_size / B steps old."""
    random_size: int = 256
    """Users drawn for a batch."""
    momentum: float | None = None
    """Encode the second view, the key, by a moving average of the model with this coefficient,
    without gradient (MoCo, arXiv:1911.05722, equation 2; 0.999 there).  The first view, by the
    model itself, then picks its key among those of the batch and of the queue, and is the only
    anchor.  A head is the model's own for both.  null: the model encodes both, and both are
    anchors."""
    hard_k: int = 0
    """Only the k negatives most similar to an anchor count; 0: all."""
    hard_beta: float = 0.0
    """Negatives count by exp(beta * similarity / temperature), normalised (Robinson et al. 2021,
    arXiv:2010.04592); 0: all alike."""
    false_negatives: tuple[Label, ...] = ()
    """Rows with the same target, user or cluster of users are no true negatives of each other."""
    false_negatives_as: Literal["masked", "positives"] = "masked"
    """masked: neither negative nor positive.  positives: further positives (supervised contrast:
    L_out of Khosla et al. 2020, arXiv:2004.11362)."""
    positive_weights: dict[str, float] = field(default_factory=dict)
    """How much further positives count, by what they share: {user: 0.5}; 1 where nothing is said,
    and for the row's other view.  Of two rows that share more than one, the highest.  Strong and
    weak positives, after RCL (Wang et al., arXiv:2504.19178), without its order of the two."""
    clusters: int = 256
    """Clusters of users: k-means over training histories as each epoch starts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_ranges()
        self.check_combinations()

    def refuse_unread(self, names: Iterable[str], reason: str) -> None:
        """ValueError for one of these fields that is set where nothing would read it."""
        usual = {one.name: one.default for one in fields(ContrastFields)}
        for name in names:
            if getattr(self, name) != usual[name]:
                raise ValueError(f"{name}: {getattr(self, name)} {reason}")

    def check_ranges(self) -> None:
        check_positive("temperature", self.temperature)
        check_positive("temperature_to", self.temperature_to)
        for name in ("temperature_epochs", "head_dim", "queue_size", "random_size"):
            check_count(name, getattr(self, name))
        check_count("hard_k", self.hard_k, 0)
        check_count("clusters", self.clusters, 2)
        check_not_negative("hard_beta", self.hard_beta)
        if self.momentum is not None:
            check_below_one("momentum", self.momentum)
        for label, weight in self.positive_weights.items():
            check_positive(f"positive_weights: {label}", weight)
        check_below_one("tau_plus", self.tau_plus)

    def check_combinations(self) -> None:
        """Refuse fields that contradict each other."""
        low, high = LEARNABLE
        if self.false_negatives_as == "positives" and not self.false_negatives:
            raise ValueError(
                "false_negatives_as: positives needs false_negatives to name which rows"
            )
        unnamed = [label for label in self.positive_weights if label not in self.false_negatives]
        if unnamed or (self.positive_weights and self.false_negatives_as != "positives"):
            raise ValueError(
                "positive_weights needs false_negatives_as: positives, and false_negatives to name "
                + (", ".join(unnamed) or "which rows")
            )
        if self.positive_weights and self.correction == "debiased":
            raise ValueError("positive_weights: debiased knows one positive a row")
        if self.temperature_mode == "learnable" and not low <= self.temperature <= high:
            raise ValueError(
                f"temperature must lie in [{low}, {high:g}] to be learnable, got {self.temperature}"
            )
        if self.objective == "binary_nce" and self.correction != "none":
            raise ValueError(
                f"correction: {self.correction} changes the denominator, and binary_nce has none"
            )
        if self.correction == "debiased" and self.similarity != "cosine":
            raise ValueError(
                "correction: debiased needs similarity: cosine, because its floor "
                "exp(-1 / temperature) is the least that a cosine can give"
            )
        if self.correction == "debiased" and self.false_negatives_as == "positives":
            raise ValueError(
                "correction: debiased guesses which rows are positives, "
                "false_negatives_as: positives says which; choose one"
            )
        if self.negatives == "queue" and "cluster" in self.false_negatives:
            raise ValueError(
                "negatives: queue holds keys of earlier epochs, whose clusters are not "
                "those of now; take cluster out of false_negatives"
            )
        if self.negatives == "same_cluster" and "cluster" in self.false_negatives:
            raise ValueError(
                "negatives: same_cluster and false_negatives: [cluster] leave no negative at all"
            )
