"""sha256 of files and of values: what data, results and checkpoints are known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from experiments.storage.files import opened


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal; the file is streamed.

    Errors: UsageError when it cannot be read.
    """
    digest = hashlib.sha256()
    with opened(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def cached_file_sha256(path: Path) -> str:
    """The same, of a file that is asked for again and again: it is read when it has changed."""
    status = path.stat()
    return _file_sha256_at(path, status.st_mtime_ns, status.st_size)


def json_sha256(value: Any) -> str:
    """Hash of plain values as JSON; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def _file_sha256_at(path: Path, changed: int, size: int) -> str:
    return file_sha256(path)


def content_sha256(value: Any) -> str:
    """Hash of nested dicts, lists, numbers, texts and tensors: what is read, not how it is stored.

    Equal before and after a file of JSON, or of torch.
    """
    digest = hashlib.sha256()
    for part in _parts_of(value):
        digest.update(part)
    return digest.hexdigest()


def _parts_of(value: Any) -> Iterator[Any]:
    if hasattr(value, "detach"):  # a tensor: whoever has one has imported torch
        import torch

        yield f"{value.dtype}{tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    elif isinstance(value, dict):
        yield f"dict {len(value)}".encode()
        for key, entry in value.items():
            yield repr(key).encode()
            yield from _parts_of(entry)
    elif isinstance(value, (list, tuple)):
        yield f"list {len(value)}".encode()
        for entry in value:
            yield from _parts_of(entry)
    else:
        yield repr(value).encode()
