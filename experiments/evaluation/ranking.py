"""Full ranking by counting, under each rule for items that a user has already seen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from augment import Sequences
from augment.examples import Rows, histories_at
from experiments.data.histories import Histories, IntArray
from experiments.data.splits.held_out import Split, evaluation_rows
from experiments.evaluation.beyond_accuracy import beyond_metrics, train_counts
from experiments.evaluation.rank_counts import Pairs, count_ranks
from experiments.evaluation.scores import (
    Block,
    Layout,
    Scorer,
    UserVectors,
    can_be_cut,
    score_blocks,
    vector_blocks,
)
from experiments.evaluation.seen_items import seen_items
from experiments.evaluation.top_items import top_items
from experiments.metric_names import CUTOFFS, RULES, SCORE0, SELECTION_CUTOFF
from models.shard import ALONE, Shard

__all__ = ["Evaluation", "EvaluationOptions", "Scorer", "evaluate", "metrics"]

FloatArray = NDArray[np.float64]
USERS = 512  # histories encoded at once
SECONDS = 5  # before a progress bar is shown


@dataclass(frozen=True)
class EvaluationOptions:
    """What an evaluation reports besides the two rules that are always there.

    cutoffs: of the metrics; 10 is always one of them, since validation chooses by it.
    score0:  rank under the rule of the code that descends from S3-Rec, too.
    beyond:  coverage, popularity and novelty of the best items.
    """

    cutoffs: tuple[int, ...] = CUTOFFS
    score0: bool = False
    beyond: bool = False

    @property
    def rules(self) -> tuple[str, ...]:
        return (*RULES, SCORE0) if self.score0 else RULES

    @property
    def all_cutoffs(self) -> list[int]:
        return sorted({*self.cutoffs, SELECTION_CUTOFF})


DEFAULT_OPTIONS = EvaluationOptions()


@dataclass(frozen=True)
class Evaluation:
    """Ranks of one split's targets, [T] each, by the rule for items that the user has seen.

    users:    whose target it is, by number; ascending, and more than once where the split has
              several targets of a user.

    ranked:   seen items compete like all others.
    excluded: seen items are taken out; a target that was seen before is a miss (rank inf).
    score0:   seen items stay and their score becomes 0, also that of a seen target: the rule of
              S3-Rec (arXiv:2008.07873) and the code that descends from it.  An item with a
              negative score then ranks below the seen ones.  That code also ranks the rows of
              padding and mask in its table; ours never are.
    beyond:   by rule, metrics of the best items of each user.
    """

    ranked: FloatArray
    excluded: FloatArray
    targets_seen: int
    users: IntArray
    score0: FloatArray | None = None
    options: EvaluationOptions = DEFAULT_OPTIONS
    beyond: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def ranks(self) -> dict[str, FloatArray]:
        """By rule."""
        both = {"excluded": self.excluded, "ranked": self.ranked}
        return both if self.score0 is None else {**both, SCORE0: self.score0}

    def metrics(self) -> dict[str, dict[str, float]]:
        """{"excluded" | "ranked" | "score0": {"hr@5": ...}}, averaged over targets."""
        return {
            rule: {**metrics(ranks, self.options.all_cutoffs), **self.beyond.get(rule, {})}
            for rule, ranks in self.ranks.items()
        }


def metrics(ranks: FloatArray, cutoffs: Iterable[int] = CUTOFFS) -> dict[str, float]:
    """HR, NDCG and MRR at each cutoff, of targets that are ranked one by one.

    hit = rank <= k; ndcg = 1 / log2(1 + rank) and mrr = 1 / rank for a hit, else 0.
    """
    result = {}
    for k in cutoffs:
        hit = ranks <= k
        result[f"hr@{k}"] = float(hit.mean())
        result[f"ndcg@{k}"] = float(np.where(hit, 1.0 / np.log2(1.0 + ranks), 0.0).mean())
        result[f"mrr@{k}"] = float(np.where(hit, 1.0 / ranks, 0.0).mean())
    return result


@torch.inference_mode()
def evaluate(
    model: Scorer | UserVectors,
    histories: Histories,
    split: Split,
    max_length: int,
    block: int,
    device: torch.device,
    shard: Shard = ALONE,
    options: EvaluationOptions = DEFAULT_OPTIONS,
) -> Evaluation:
    """Rank every target of the split among all real items.

    rank = 1 + #(greater) + #(other equal) / 2, so ties cost what a random order would and a
    constant scorer gains nothing.  Histories of like length are encoded together; scores are
    made and counted in blocks of users x items <= block, which stay in a processor's cache.
    Processes that train together share the targets out.
    Raises FloatingPointError when a score is not finite.
    """
    rows = evaluation_rows(histories, split, max_length)
    seen = seen_items(histories)
    layout = Layout.of(block, histories.num_items, can_be_cut(model))
    ranked = RankedTargets.of(len(rows), histories.num_items, options)
    items = torch.from_numpy(histories.items).to(device)
    times = None if histories.times is None else torch.from_numpy(histories.times).to(device)
    order = np.argsort(rows.length, kind="stable")
    for first in bar(range(shard.rank * USERS, len(order), shard.count * USERS), shard):
        index = order[first : first + USERS]
        batch, targets = evaluation_batch(items, times, rows, index)
        start = 0
        for part in blocks_of(model, rows.user[index], batch, layout, histories.num_items, device):
            block_of = slice(start, start + layout.rows)
            start += layout.rows
            here = index[block_of]
            ranked.add(here, part, targets[block_of] - 1, seen.of(rows, here, device))
    if shard.count > 1:  # a target is ranked by one process and is 0 in all others
        ranked = ranked.summed(shard, device)
    return ranked.evaluation(histories, rows.user)


@dataclass(frozen=True)
class RankedTargets:
    """What is known of each target so far, by rule.

    ranks: [rules, T].  best: [rules, T, K] item numbers, K = 0 where they are not asked for.
    """

    ranks: FloatArray
    best: NDArray[np.int32]
    num_items: int
    options: EvaluationOptions

    @staticmethod
    def of(targets: int, num_items: int, options: EvaluationOptions) -> RankedTargets:
        longest = min(max(options.all_cutoffs), num_items) if options.beyond else 0
        best = np.zeros((len(options.rules), targets, longest), dtype=np.int32)
        return RankedTargets(np.zeros((len(options.rules), targets)), best, num_items, options)

    def add(self, rows: IntArray, block: Block, targets: Tensor, seen: Pairs) -> None:
        """Rank the targets of these rows, which are columns of the block."""
        count, rules = self.best.shape[2], self.options.rules
        if count:  # first: counting overwrites the scores
            top = top_items(block, seen, count, rules)
            for place, rule in enumerate(rules):
                self.best[place, rows] = top[rule].items.cpu().numpy()
        ranks = count_ranks(block, targets, seen, self.num_items, self.options.score0)
        for place, rule in enumerate(rules):
            self.ranks[place, rows] = ranks[rule].cpu().numpy()

    def summed(self, shard: Shard, device: torch.device) -> RankedTargets:
        """Of all processes."""
        ranks = shard.sum(torch.from_numpy(self.ranks).to(device)).cpu().numpy()
        best = self.best
        if best.size:
            best = shard.sum(torch.from_numpy(best).to(device)).cpu().numpy()
        return RankedTargets(ranks, best, self.num_items, self.options)

    def evaluation(self, histories: Histories, users: IntArray) -> Evaluation:
        options = self.options
        ranks = dict(zip(options.rules, self.ranks, strict=True))
        beyond = {}
        if self.best.size:
            train = train_counts(histories)
            beyond = {
                rule: beyond_metrics(best, train, options.all_cutoffs)
                for rule, best in zip(options.rules, self.best, strict=True)
            }
        missed = int(np.isinf(ranks["excluded"]).sum())
        return Evaluation(
            ranks["ranked"], ranks["excluded"], missed, users, ranks.get(SCORE0), options, beyond
        )


def bar(batches: range, shard: Shard) -> tqdm[int]:
    """The batches of users, with a progress bar where a person looks and it takes a while."""
    return tqdm(
        batches, desc="ranking", unit="batch", leave=False, delay=SECONDS,
        disable=not sys.stderr.isatty() or shard.rank > 0,
    )  # fmt: skip


def blocks_of(
    model: Scorer | UserVectors,
    users: IntArray,
    batch: Sequences,
    layout: Layout,
    num_items: int,
    device: torch.device,
) -> Iterator[Block]:
    """Scores of these users, whose histories are the batch."""
    if isinstance(model, UserVectors):
        return vector_blocks(model, torch.from_numpy(users).to(device), layout)
    return score_blocks(model, batch, layout, num_items)


def evaluation_batch(
    items: Tensor, times: Tensor | None, rows: Rows, index: IntArray
) -> tuple[Sequences, Tensor]:
    """The histories of some rows, trimmed to their longest, and the targets [B] of each."""
    assert rows.target is not None  # evaluation_rows names every target
    histories = histories_at(items, times, rows.start[index], rows.length[index])
    return histories, items[torch.from_numpy(rows.target[index]).to(items.device)]
