"""The encoder of official code: its weights in our model, and what it gives for some histories."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augment import Sequences, TrainHistories
from models.encoders import SelfAttentionConfig
from models.encoders.passes import Request, encode_together
from models.encoders.self_attention import Block, SelfAttention
from models.recbole_plug import SASRec
from models.tasks import Task
from tests.models.tiny import build_model

ITEMS, LENGTH, DIM = 12, 6, 8
NAMES = {  # ours: S3-Rec's lineage, RecBole
    "query": ("attention.query", "multi_head_attention.query"),
    "key": ("attention.key", "multi_head_attention.key"),
    "value": ("attention.value", "multi_head_attention.value"),
    "attention.output": ("attention.dense", "multi_head_attention.dense"),
    "attention_norm": ("attention.LayerNorm", "multi_head_attention.LayerNorm"),
    "widen": ("intermediate.dense_1", "feed_forward.dense_1"),
    "narrow": ("intermediate.dense_2", "feed_forward.dense_2"),
    "feed_forward_norm": ("intermediate.LayerNorm", "feed_forward.LayerNorm"),
}


@functools.cache
def record(part: str) -> dict[str, Any]:
    """s3rec_lineage or recbole: weights, inputs, outputs and gradients."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("encoder.json").read_text())
    found: dict[str, Any] = content[part]
    return found


def doubles(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def as_ours(part: str, theirs: dict[str, Any]) -> dict[str, Tensor]:
    """Weights, or gradients, by the names of our model: queries, keys and values in one matrix."""
    of = ("s3rec_lineage", "recbole").index(part)
    stem, table = (("item_encoder", "item_embeddings"), ("trm_encoder", "item_embedding"))[of]
    rows = doubles(theirs[f"{table}.weight"])
    ours = {
        "item_embedding.weight": torch.nn.functional.pad(rows, (0, 0, 0, ITEMS + 2 - len(rows))),
        "encoder.position_embedding.weight": doubles(
            theirs[table.replace("item", "position") + ".weight"]
        ),
    }
    for kind in ("weight", "bias"):
        ours[f"encoder.input_norm.{kind}"] = doubles(theirs[f"LayerNorm.{kind}"])
        for layer in range(2):
            block = {
                name: doubles(theirs[f"{stem}.layer.{layer}.{names[of]}.{kind}"])
                for name, names in NAMES.items()
            }
            joint = torch.cat([block.pop(name) for name in ("query", "key", "value")])
            block["attention.query_key_value"] = joint
            ours |= {f"encoder.blocks.{layer}.{n}.{kind}": value for n, value in block.items()}
    return ours


def official_model(part: str, contrast: list[Task] | None = None) -> SASRec:
    """Our model with the official weights, in float64, evaluating."""
    config = SelfAttentionConfig(
        dim=DIM,
        layers=2,
        max_length=LENGTH,
        heads=2,
        inner=32,
        padding="left" if part == "s3rec_lineage" else "right",
    )
    train = TrainHistories(torch.arange(1, ITEMS + 1), torch.tensor([0, ITEMS]), ITEMS)
    model = build_model(config, contrast or [], train).double().eval()
    model.load_state_dict(as_ours(part, record(part)["weights"]), strict=contrast is None)
    return model


def histories(part: str) -> Sequences:
    """The inputs, oldest item first and padded on the right."""
    rows = torch.tensor(record(part)["inputs"]["sequences"])
    if part == "recbole":
        return Sequences(rows, torch.tensor(record(part)["inputs"]["lengths"]))
    starts = (rows > 0).int().argmax(dim=1)  # a 0 amid a history is an item that is hidden
    return Sequences(shifted(rows, starts), LENGTH - starts)


def shifted(rows: Tensor, starts: Tensor) -> Tensor:
    """[B, L]: what lies in front of each row's start goes behind its end."""
    source = (torch.arange(LENGTH) + starts[:, None]) % LENGTH
    return rows.gather(1, source)


def all_states(model: SASRec, seqs: Sequences) -> Tensor:
    """[B, L, d] as the encoder makes them, padding included and on its side."""
    request = Request(seqs, "padded", LENGTH)
    states = encode_together(model.encoder, model.embed, {"it": request})["it"]
    return states.view(len(seqs), LENGTH, DIM)


def states_after(model: SASRec, seqs: Sequences, layers: int) -> Tensor:
    """The same after some of the blocks; 0: the embedded and normed input."""
    encoder = model.encoder
    assert isinstance(encoder, SelfAttention)
    blocks, norm = encoder.blocks, encoder.output_norm
    assert all(isinstance(block, Block) for block in blocks)
    assert isinstance(norm, torch.nn.Identity)
    encoder.blocks = blocks[:layers]
    try:
        return all_states(model, seqs)
    finally:
        encoder.blocks = blocks
