"""Files of a run that must never be half written, and tensors that are read without pickle code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import Tensor, nn

from experiments.disk import to_disk, writing
from experiments.errors import UsageError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """The file is there completely, or as it was before: temporary file, fsync, rename, fsync.

    Errors: NotWritable where that is not allowed, RunFailed for a full or failing disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            write(temporary)
            to_disk(temporary)
            temporary.replace(path)
            to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content_sha256(value: Any) -> str:
    """Hash of nested dicts, lists, numbers, texts and tensors: what is read, not how it is stored.

    Equal before and after a file of JSON, or of torch.
    """
    digest = hashlib.sha256()
    for part in parts_of(value):
        digest.update(part)
    return digest.hexdigest()


def parts_of(value: Any) -> Iterator[Any]:
    if isinstance(value, Tensor):
        yield f"{value.dtype}{tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    elif isinstance(value, dict):
        yield f"dict {len(value)}".encode()
        for key, entry in value.items():
            yield repr(key).encode()
            yield from parts_of(entry)
    elif isinstance(value, (list, tuple)):
        yield f"list {len(value)}".encode()
        for entry in value:
            yield from parts_of(entry)
    else:
        yield repr(value).encode()


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
