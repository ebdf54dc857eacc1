"""Files of a run that must never be half written, and tensors that are read without pickle code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from experiments.errors import UsageError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """The file is there completely, or as it was before: temporary file, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def save_weights(path: Path, model: nn.Module) -> None:
    """Parameters and buffers as safetensors; tensors that share memory are written twice."""
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in model.state_dict().items()
    }
    write_atomically(path, lambda temporary: save_file(state, temporary))


def load_weights(path: Path, model: nn.Module) -> None:
    """Put saved weights into a model of the same shape; UsageError for any other file."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: not readable as safetensors ({error})") from None
    put_weights(path, model, state)


def put_weights(path: Path, model: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy a state into a model; UsageError when names or shapes differ."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: does not fit this model and data ({reason})") from None


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Tensors and primitives only."""
    write_atomically(path, lambda temporary: torch.save(state, temporary))


def load_state(path: Path) -> dict[str, Any]:
    """Read what save_state wrote; nothing in the file is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise UsageError(f"{path}: not a state of a run ({type(error).__name__})") from None
    if not isinstance(state, dict) or not {"epoch", "model", "optimizer"} <= state.keys():
        raise UsageError(f"{path}: not a state of a run (entries are missing)")
    return state
