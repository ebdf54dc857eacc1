"""Weights and states of a training on disk; tensors are read without pickle code."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import Tensor, nn

from experiments.errors import UsageError
from experiments.storage.atomic import write_bytes
from experiments.storage.hashing import content_sha256


def weights_of(model: nn.Module) -> bytes:
    """Parameters and buffers as safetensors; tensors that share memory are written twice."""
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in model.state_dict().items()
    }
    content: bytes = as_safetensors(state)
    return content


def weights_sha256(model: nn.Module) -> str:
    """Of the file that save_weights would write."""
    return hashlib.sha256(weights_of(model)).hexdigest()


def save_weights(path: Path, model: nn.Module) -> None:
    write_bytes(path, weights_of(model))


def load_weights(path: Path, model: nn.Module) -> None:
    """Put saved weights into a model of the same shape; UsageError for any other file."""
    put_weights(path, model, read_weights(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file; UsageError for any other."""
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: not readable as safetensors ({error})") from None
    return state


def put_weights(path: Path, model: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy a state into a model; UsageError when names or shapes differ."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: does not fit this model and data ({reason})") from None


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Tensors and primitives only, with a hash of them all."""
    buffer = io.BytesIO()  # torch hides why it could not write to a file
    torch.save({**state, "sha256": content_sha256(state)}, buffer)
    write_bytes(path, buffer.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Read what save_state wrote; nothing in the file is executed.

    Errors: UsageError for a file that is damaged in any bit that is read, or not a state.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch did not write
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise UsageError(f"{path}: not a state of a run ({type(error).__name__})") from None
    if not isinstance(state, dict) or not {"epoch", "model", "optimizer"} <= state.keys():
        raise UsageError(f"{path}: not a state of a run (entries are missing)")
    if state.pop("sha256", None) != content_sha256(state):
        raise UsageError(f"{path}: damaged (its contents are not those that were saved)")
    return state
