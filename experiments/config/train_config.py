"""How a model is trained and evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from experiments.metric_names import CUTOFFS, MONITOR, RULES, SCORE0
from models.ranges import check_below_one, check_count, check_not_negative, check_positive

MONITORS = re.compile(rf"({'|'.join((*RULES, SCORE0))})/(hr|ndcg|mrr)@([1-9]\d{{0,8}})")


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    batch_size: int = 256
    """Histories in a batch: prefixes or windows, by `examples`."""
    learning_rate: float = 1e-3
    """Adam's step size; with a schedule, its highest."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Of the learning rate: constant, or falling to 0 at the end of the last of `epochs`, in a
    line or in half a cosine wave.  Patience may end it sooner."""
    warm_up: float = 0.0
    """Epochs in which the learning rate rises from 0 in a line, before its schedule."""
    weight_decay: float = 0.0
    """L2 penalty in Adam's gradient; not of weights that move in a second step."""
    patience: int = 5
    """Evaluations without a better validation metric (`monitor`) before training stops."""
    monitor: str = MONITOR
    """What chooses the epoch: a rule for seen items (excluded, ranked, score0), then hr, ndcg or
    mrr at a cutoff, of validation.  Published codes differ: score0/ndcg@20 in CoSeRec's, ICLRec's
    and ICSRec's, ranked/mrr@10 in RecBole's.  A search still chooses between its trials by
    excluded/ndcg@10."""
    evaluate_every: int = 1
    """Epochs from one validation to the next."""
    bucket_pool: int = 32
    """Batches whose rows are sorted by length together: less padding, but a row meets only
    negatives of like length.  1 keeps batches random, and is what `examples: windows`
    gets where nothing is said: bucketed ones cost accuracy."""
    diagnose_every: int = 20
    """Steps from one record of the contrast's diagnostics to the next."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Of matrix products while training.  tf32: all of them, on NVIDIA GPUs, 10 bits of mantissa.
    bfloat16: encoder and output layer, 7 bits; quicker than float32 where the processor has such
    products (AVX512-BF16, AMX, GPUs), and no quicker elsewhere.  What is rounded are factors and
    results of products: weights, losses and evaluation are float32 always."""
    lazy_rows: bool = False
    """Let a step update only the item embeddings it has read: for large catalogues, with a loss
    that samples.  Adam's moments of the other rows stand still."""
    device: str = "auto"
    """auto (an NVIDIA GPU when there is one, else the CPU), cpu, cuda or cuda:N."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights over the steps, such as 0.999; the
    average is validated, kept and tested in place of the weights.  Every step then costs a pass
    over all weights, with lazy_rows, too.  null: the weights themselves."""
    clip_norm: float | None = None
    """Scale a step's gradient down to this L2 norm, taken over all weights but those of a second
    step, if it is longer."""

    @property
    def monitored(self) -> tuple[str, int]:
        """The rule and the cutoff of `monitor`."""
        rule, _, metric = self.monitor.partition("/")
        return rule, int(metric.partition("@")[2])

    def __post_init__(self) -> None:
        if not MONITORS.fullmatch(self.monitor):
            raise ValueError(
                "monitor must be a rule and a metric, such as excluded/ndcg@20 or ranked/mrr@10, "
                f"got {self.monitor!r}"
            )
        for name in ("batch_size", "patience", "evaluate_every", "bucket_pool", "diagnose_every"):
            check_count(name, getattr(self, name))
        check_positive("learning_rate", self.learning_rate)
        check_not_negative("warm_up", self.warm_up)
        check_not_negative("weight_decay", self.weight_decay)
        if self.ema is not None:
            check_below_one("ema", self.ema)
        if self.clip_norm is not None:
            check_positive("clip_norm", self.clip_norm)
        if self.lazy_rows and self.weight_decay > 0.0:
            raise ValueError("lazy_rows leaves rows alone that weight_decay would shrink: use one")


@dataclass(frozen=True)
class EvaluateConfig:
    """How the model is evaluated; both seen-item rules are always reported."""

    block: int = 800_000
    """Scores held at once: users times items.  3 MB stay in a processor's cache.  64 users are
    always scored together; large catalogues are cut into blocks of items, but for RecBole's models
    and baselines."""
    test: bool = True
    """Look at the test split when training ends.  A search by validation leaves it false."""
    cutoffs: tuple[int, ...] = CUTOFFS
    """Where HR, NDCG and MRR are cut off.  10 is always one of them, and so is the cutoff of
    train.monitor."""
    score0: bool = False
    """Rank under a third rule, too: seen items stay in the ranking with the score 0, as in the
    code that descends from S3-Rec.  So it is where train.monitor asks for score0."""
    beyond: bool = False
    """Report the coverage of the catalogue, and the popularity and novelty of what is
    recommended, when training ends."""

    def __post_init__(self) -> None:
        check_count("block", self.block)
        if not self.cutoffs or min(self.cutoffs) < 1 or len({*self.cutoffs}) < len(self.cutoffs):
            raise ValueError(
                "cutoffs must be different whole numbers from 1 up, such as [1, 5, 10, 50], got "
                f"{list(self.cutoffs)}"
            )
