"""What reads a history.  A new encoder is one file and one line here."""

from models.encoders.encoder import Encoder, EncoderConfig
from models.encoders.gru import GRUConfig
from models.encoders.original import OriginalConfig
from models.encoders.self_attention import SelfAttentionConfig

ENCODERS: dict[str, type[EncoderConfig]] = {
    "self_attention": SelfAttentionConfig,
    "gru": GRUConfig,
    "original": OriginalConfig,
}

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderConfig",
    "GRUConfig",
    "OriginalConfig",
    "SelfAttentionConfig",
]
