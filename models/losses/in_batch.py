"""In-batch softmax: which of the batch's candidates belongs to this row?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.losses.counted_mean import counted_mean
from models.losses.info_nce import Similarity, similarities


def in_batch_logits(
    anchors: Tensor,
    candidates: Tensor,
    temperature: float,
    similarity: Similarity = "dot",
    log_q: Tensor | None = None,
    false_negatives: Tensor | None = None,
) -> Tensor:
    """Similarity of each anchor to each candidate over the temperature, less log q: [N, N].

    Sampled softmax (Bengio & Senecal 2008) as used for two towers by Yi et al. 2019
    (doi:10.1145/3298689.3346996, eq. 3): a candidate that is drawn with probability q gets
    -log q, the positive on the diagonal included.

    anchors, candidates: [N, d]; row i of each belongs together.
    log_q:    [N] natural logarithms, one a candidate; None: all alike.
    false_negatives: [N, N] bool; these candidates are no negatives of that anchor and become -inf.
              The diagonal always stays.
    """
    logits = similarities(anchors, candidates, similarity) / temperature  # [N, N]
    if log_q is not None:
        logits = logits - log_q
    if false_negatives is None:
        return logits
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    return logits.masked_fill(false_negatives & ~own, float("-inf"))


def in_batch_softmax(logits: Tensor, counted: Tensor | None = None) -> Tensor:
    """Cross-entropy whose right answers are the diagonal: a scalar in nats.

    Averaged over all N rows, or over those that `counted` [N] bool marks; 0 when it marks none.
    ln(N) when the logits carry no information.
    """
    own = torch.arange(len(logits), device=logits.device)
    losses = F.cross_entropy(logits, own, reduction="none")  # [N]
    if counted is None:
        return losses.mean()
    return counted_mean(losses, counted)
