"""A moving average of the model, whose views are the keys of a contrast."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from models.encoders import Encoder
from models.feature_input import FeatureInput


class MomentumCopy(nn.Module):
    """What encodes a history, averaged over the steps of training: theta_k of MoCo.

    He et al. 2020 (arXiv:1911.05722, equation 2): once a batch, before its first step,
    theta_k <- momentum * theta_k + (1 - momentum) * theta_q.  A task that trains again on a batch
    meets the same keys again.  It starts as a copy, has no gradient, and is saved with the model.
    """

    def __init__(
        self,
        momentum: float,
        encoder: Encoder,
        item_embedding: nn.Embedding,
        feature_input: FeatureInput | None = None,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.encoder = copy.deepcopy(encoder)
        self.item_embedding = copy.deepcopy(item_embedding)
        self.feature_input = copy.deepcopy(feature_input)
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, *parts: nn.Module | None) -> None:
        """Move towards the weights of encoder, embeddings and features as they are now."""
        for mine, theirs in self.beside(parts):
            for slow, fast in zip(mine.parameters(), theirs.parameters(), strict=True):
                slow.lerp_(fast, 1.0 - self.momentum)

    @torch.no_grad()
    def start(self, *parts: nn.Module | None) -> None:
        """Be a copy again."""
        for mine, theirs in self.beside(parts):
            mine.load_state_dict(theirs.state_dict())

    def beside(self, parts: Sequence[nn.Module | None]) -> Iterator[tuple[nn.Module, nn.Module]]:
        """Each part and the one that it is a copy of."""
        own = (self.encoder, self.item_embedding, self.feature_input)
        for mine, theirs in zip(own, parts, strict=True):
            if mine is not None and theirs is not None:
                yield mine, theirs
