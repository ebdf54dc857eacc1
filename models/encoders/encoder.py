"""What an encoder is to the rest of the code, and the fields that all encoders share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from models.ranges import check_below_one, check_count, check_positive

Padding = Literal["right", "left"]


@dataclass(frozen=True)
class EncoderConfig:
    """Fields that every encoder has, and what an encoder says of itself."""

    causal: ClassVar[bool] = True
    """The state at a position depends on no later item.  An encoder that says False is refused
    under `examples: windows`, where each position predicts the item after it."""
    fixed_length: ClassVar[bool] = False
    """It reads exactly max_length positions, as a filter of frequencies does; all rows are padded
    to them."""
    dim: int = 64
    """d, the size of item embeddings and history representations."""
    layers: int = 2
    """Number of stacked blocks."""
    dropout: float = 0.5
    """Probability of zeroing an element of the input and of each block's output."""
    max_length: int = 50
    """L, the most recent items of a history that are read."""
    init_std: float = 0.02
    """Standard deviation of the normal initialisation of all weight matrices."""

    def __post_init__(self) -> None:
        for name in ("dim", "layers", "max_length"):
            check_count(name, getattr(self, name))
        check_below_one("dropout", self.dropout)
        check_positive("init_std", self.init_std)

    @property
    def padding(self) -> Padding:
        """On which side of a history its padding is.  left: the last position is the latest item.
        A subclass says `padding = "left"`, or has a field of this name."""
        return "right"

    def build(self) -> Encoder:
        """The encoder these fields describe, with freshly drawn weights."""
        raise NotImplementedError


@dataclass(frozen=True)
class Layout:
    """How rows are laid out for an encoder: where their padding is, and how long they are.

    length: positions of every row; None: as many as the longest row beside it.
    """

    padding: Padding = "right"
    length: int | None = None


class Encoder(nn.Module):
    """Reads embedded histories.

    forward(x [B, L, d], lengths [B], last_only) returns the state at every position [B, L, d],
    or at the last real one [B, d].  x is laid out as the configuration says; each row has 1 to L
    real positions.  The state at a real position depends on the items of its own row alone: not on
    other rows, and not on how far they make it be padded (padding is embedded as 0).  A causal
    encoder needs no mask for padding on the right.  States at padding are meaningless.

    reads_times: forward takes `times`, the items' times [B, L] int64, 0 at padding, or None of a
                 view whose operator dropped them; data without times are refused.
    reads_real:  forward takes `real` [B, L] bool, where an item is.  Lengths say so, too, unless
                 an operator has put the id of padding amid a history.
    """

    reads_times = False
    reads_real = False
    layout: Layout = Layout()

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        raise NotImplementedError


class EncoderError(ValueError):
    """An encoder does not do what it has to; the message says what would be right."""


def build_encoder(config: EncoderConfig) -> Encoder:
    """The encoder with freshly drawn weights, and how its rows are to be laid out.

    Errors: EncoderError for a config that builds no `Encoder`.
    """
    encoder = config.build()
    if not isinstance(encoder, Encoder):
        raise EncoderError(
            f"{type(config).__name__}: `build` has to return an Encoder, got a "
            f"{type(encoder).__name__}"
        )
    length = config.max_length if config.fixed_length else None
    encoder.layout = Layout(config.padding, length)
    return encoder


def initialise(module: nn.Module, std: float) -> None:
    """Matrices from N(0, std^2), biases zero, layer norms the identity (as RecBole's SASRec)."""
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def at_last(states: Tensor, lengths: Tensor) -> Tensor:
    """The state at each row's last real position: [B, L, d] -> [B, d]."""
    return states[torch.arange(lengths.shape[0], device=lengths.device), lengths - 1]


def real_positions(lengths: Tensor, width: int, padding: Padding) -> Tensor:
    """[B, width] bool: where each row has an item."""
    place = torch.arange(width, device=lengths.device)
    if padding == "left":
        return place >= width - lengths[:, None]
    return place < lengths[:, None]
