"""Nested fields by their dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def flattened(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted key, value): {"contrast": [{"ratio": 0.2}]} gives ("contrast.0.ratio", 0.2)."""
    for key, value in settings.items():
        if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            value = {str(position): group for position, group in enumerate(value)}
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
