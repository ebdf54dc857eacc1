"""A gated recurrent unit over a history: the encoder of GRU4Rec."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from models.encoders.dropout import Dropout
from models.encoders.encoder import Encoder, EncoderConfig, at_last, initialise
from models.ranges import check_count


@dataclass(frozen=True)
class GRUConfig(EncoderConfig):
    """Gated recurrent unit of GRU4Rec (arXiv:1511.06939), in the shape of RecBole's."""

    layers: int = 1
    """Number of stacked recurrent layers."""
    dropout: float = 0.3
    """Probability of zeroing an element of the input."""
    init_std: float = 0.02
    """Standard deviation of the normal initialisation of embeddings and output; the recurrent
    matrices are Xavier's."""
    hidden: int = 128
    """Size of the recurrent state; a linear layer brings it back to dim."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("hidden", self.hidden)

    def build(self) -> Encoder:
        return GRU(self)


class GRU(Encoder):
    """Dropout, stacked GRU layers, and a linear map from the recurrent state to d."""

    def __init__(self, config: GRUConfig) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout)
        self.gru = nn.GRU(config.dim, config.hidden, config.layers, bias=False, batch_first=True)
        self.output = nn.Linear(config.hidden, config.dim)
        initialise(self, config.init_std)
        for name, weight in self.gru.named_parameters():
            if name.startswith("weight"):
                nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, lengths: Tensor, last_only: bool) -> Tensor:
        states, _ = self.gru(self.dropout(x))  # [B, L, hidden]
        out: Tensor = self.output(at_last(states, lengths) if last_only else states)
        return out
