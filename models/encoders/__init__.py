"""What reads a history.  A new encoder is one file and one line here."""

from models.encoders.bsarec import BSARecConfig
from models.encoders.encoder import Encoder, EncoderConfig, build_encoder
from models.encoders.fmlp import FMLPConfig
from models.encoders.gru import GRUConfig
from models.encoders.hstu import HSTUConfig
from models.encoders.ligr import LiGRConfig
from models.encoders.original import OriginalConfig
from models.encoders.self_attention import SelfAttentionConfig

ENCODERS: dict[str, type[EncoderConfig]] = {
    "self_attention": SelfAttentionConfig,
    "gru": GRUConfig,
    "original": OriginalConfig,
    "ligr": LiGRConfig,
    "bsarec": BSARecConfig,
    "fmlp": FMLPConfig,
    "hstu": HSTUConfig,
}

__all__ = [
    "ENCODERS",
    "BSARecConfig",
    "Encoder",
    "EncoderConfig",
    "FMLPConfig",
    "GRUConfig",
    "HSTUConfig",
    "LiGRConfig",
    "OriginalConfig",
    "SelfAttentionConfig",
    "build_encoder",
]
