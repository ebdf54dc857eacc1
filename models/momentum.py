"""A moving average of the model, whose views are the keys of a contrast."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from models.encoders import Encoder


class MomentumCopy(nn.Module):
    """What encodes a history, averaged over the steps of training: theta_k of MoCo.

    He et al. 2020 (arXiv:1911.05722, equation 2): before every step but the first,
    theta_k <- momentum * theta_k + (1 - momentum) * theta_q.  It starts as a copy, has no gradient,
    and is saved with the model.
    """

    def __init__(self, momentum: float, encoder: Encoder, item_embedding: nn.Embedding) -> None:
        super().__init__()
        self.momentum = momentum
        self.encoder = copy.deepcopy(encoder)
        self.item_embedding = copy.deepcopy(item_embedding)
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, encoder: Encoder, item_embedding: nn.Embedding) -> None:
        """Move towards the weights as they are now."""
        pairs = ((self.encoder, encoder), (self.item_embedding, item_embedding))
        for mine, theirs in pairs:
            for slow, fast in zip(mine.parameters(), theirs.parameters(), strict=True):
                slow.lerp_(fast, 1.0 - self.momentum)

    @torch.no_grad()
    def start(self, encoder: Encoder, item_embedding: nn.Embedding) -> None:
        """Be a copy again."""
        self.encoder.load_state_dict(encoder.state_dict())
        self.item_embedding.load_state_dict(item_embedding.state_dict())

    def weight(self) -> Tensor:
        """The item embeddings, [num_items + 2, d]."""
        return self.item_embedding.weight
