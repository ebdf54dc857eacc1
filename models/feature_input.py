"""Item features as input: what the encoder reads of an item, beside its own embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.item_features import ItemFeatures
from models.ranges import check_count


@dataclass(frozen=True)
class FeaturesConfig:
    """What is known of items, read by the encoder together with their embeddings.

    As in RecBole's SASRecF and in FDSA (Zhang et al. 2019, doi:10.24963/ijcai.2019/600), at the
    level of items: f is a linear map of an item's features to dim, e its embedding.  Scores are
    products with e alone.  An item without features is read by its embedding.
    """

    source: str | None = None
    """auto: what lies next to the data (attributes, or titles and genres); or a file of vectors
    (.npy, .safetensors), of attributes (.json) or of texts (.item); null: none are read."""
    fusion: Literal["sum", "concat", "gate"] = "sum"
    """sum: e + f.  concat: a linear map of both side by side.  gate: g * e + (1 - g) * f with
    g = sigmoid of a linear map of both, for each dimension."""
    columns: int = 64
    """Columns that a wider bag of attributes or words is reduced to; vectors stay as they are."""

    def __post_init__(self) -> None:
        if self.source == "":
            raise ValueError("source must be auto, the name of a file, or null")
        check_count("columns", self.columns)


@dataclass(frozen=True)
class GivenFeatures:
    """How features are read, the features of all items, and the sha256 of what they are from."""

    config: FeaturesConfig
    items: ItemFeatures
    sha256: str = ""


class FeatureInput(nn.Module):
    """Fuses embeddings with features; the features are not trained, and not saved."""

    def __init__(self, given: GivenFeatures, dim: int, init_std: float) -> None:
        super().__init__()
        self.sha256, self.fusion = given.sha256, given.config.fusion
        vectors, known = given.items.vectors, given.items.known
        self.register_buffer("vectors", F.pad(vectors, (0, 0, 0, 1)), persistent=False)  # [mask]
        self.register_buffer("known", F.pad(known, (0, 1)), persistent=False)
        self.project = nn.Linear(vectors.shape[1], dim)
        self.fuse = None if self.fusion == "sum" else nn.Linear(2 * dim, dim)
        for part in (self.project, self.fuse):
            if part is not None:
                nn.init.normal_(part.weight, std=init_std)
                nn.init.zeros_(part.bias)

    def forward(self, rows: Tensor, embeddings: Tensor) -> Tensor:
        """rows [...] of the embedding table, embeddings [..., d] -> what is read [..., d].

        Row 0 is padding and stays 0.
        """
        known = F.embedding(rows, self.get_buffer("known")[:, None].to(embeddings.dtype))
        features = self.project(F.embedding(rows, self.get_buffer("vectors"))) * known  # [..., d]
        if self.fuse is None:
            total: Tensor = embeddings + features
            return total
        both: Tensor = self.fuse(torch.cat([embeddings, features], dim=-1))
        if self.fusion == "concat":
            return both * (rows > 0)[..., None]
        kept = torch.where(known > 0, both.sigmoid(), 1.0)
        mixed: Tensor = kept * embeddings + (1.0 - kept) * features
        return mixed
