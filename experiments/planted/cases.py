"""In which world, and with which fields, each task is compared with SASRec.

Worlds and fields were chosen on seeds 100 to 104, by both splits of those worlds; the results in
experiments/results/planted.jsonl are of seeds 0 to 4, which nothing was chosen on.  The seed
decides world and training alike, so a pair shares its data, initial weights and batches.

The loss is SASRec's original one, one negative a target.  Under the full softmax, same_user and
augmented_views gained too where that was tried (three seeds), dropout_views, same_target and
user_item did not; the last has then the same optimum as the loss itself.  In worlds of a few very
popular items or of chains, where item i is followed by i + 1, dropout_views made SASRec worse.

Intents gained where a row's intent is that of its user's whole history (intent_of: user), and where
histories are long enough for k-means to find the groups.  With the centroid nearest to the row's
own state, as ICLRec's code takes it, the same world and weight gained .0060 on seeds 100 to 104
(p = .17), .0073 on 0 to 4 (p = .083) and .0096 on 5 to 14 (p = .016), and nothing beyond chance
elsewhere (noise .2 to .4, 15 to 60 groups, 300 to 800 users, 15 to 200 centroids, weights .05
to 1, temperatures .1 to .5, mean and last, warm starts, both losses).  That centroid is picked by
the very state that is pulled to it, so what it sharpens is whatever grouping the model has, right
or wrong.  Weights of .3 and more mostly cost, either way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from experiments.planted.worlds import CLUSTERS

SETTINGS: dict[str, Any] = {
    "model": "sasrec",
    "examples": "prefixes",
    "epochs": 20,
    "encoder": {
        "dim": 32,
        "inner": 64,
        "layers": 1,
        "heads": 2,
        "max_length": 10,
        "dropout": 0.3,
        "attention_dropout": 0.3,
    },
    "next_item": {"loss": "bce", "negatives": 1},
    "train": {
        "batch_size": 256,
        "learning_rate": 4e-3,
        "patience": 20,
        "bucket_pool": 1,
        "device": "cpu",
    },
    "track": {"mode": "disabled"},
}
"""Both sides of every comparison: all 20 epochs are trained, and validation picks one.  The loss is
SASRec's original one, which tells a target from one item at a time."""

COSINE = {"similarity": "cosine", "temperature": 0.2}
APART = {"false_negatives": ["user", "cluster"], "clusters": CLUSTERS}
"""One row in 15 is after the same as the anchor: the model's own clusters say which they are,
and they are not pushed away."""


@dataclass(frozen=True)
class Case:
    """What is added to SASRec, where, and why it ought to help there."""

    world: str
    because: str
    fields: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Case] = {
    "same_user": Case(
        "noisy_clusters",
        "two parts of one history share no item, only the group",
        {"weight": 0.3, **COSINE},
    ),
    "augmented_views": Case(
        "noisy_clusters",
        "halves of one history share the group, and the noise only by chance",
        {
            "weight": 0.3,
            "pooling": "mean",
            "operators": [{"operator": "crop", "keep": 0.5}, {"operator": "mask", "ratio": 0.5}],
            **COSINE,
            **APART,
        },
    ),
    "same_target": Case(
        "noisy_clusters",
        "histories without a common item that lead to one target are of one group, mostly",
        {"weight": 0.3, "pooling": "mean", "false_negatives": ["user", "target"], **COSINE},
    ),
    "dropout_views": Case(
        "noisy_clusters",
        "histories of different clusters are pushed apart, which the loss has few negatives for",
        {"weight": 0.2, "pooling": "mean", **COSINE, **APART},
    ),
    "user_item": Case(
        "noisy_clusters",
        "targets are rare, and one negative a target says little; all of the batch's say more",
        {"weight": 1.0},
    ),
    "recent_subsequence": Case(
        "noisy_clusters",
        "the newest half and the whole share the group; the noise of the older half does not count",
        {"weight": 0.3, "pooling": "mean", **COSINE, **APART},
    ),
    "intents": Case(
        "longer_histories",
        "a whole history tells the group that a short row does not",
        {"weight": 0.1, "clusters": [CLUSTERS, 40], "intent_of": "user", **COSINE},
    ),
    "alignment": Case(
        "attributes",
        "items too rare to be placed by who has them are placed by their attributes",
        {"weight": 0.5, **COSINE},
    ),
}
