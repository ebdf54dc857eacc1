"""What a variant is called: the model, and the fields in which it differs from others."""

from __future__ import annotations

from collections import Counter
from typing import Any

from experiments.config.typed import TAGS

Fields = dict[str, Any]


def short_names(keys: list[str]) -> dict[str, str]:
    """The last word of each field, with as many before it as tell it from the others."""
    names = {}
    for key in keys:
        parts = key.split(".")
        for count in range(1, len(parts) + 1):
            names[key] = ".".join(parts[-count:])
            if Counter(".".join(k.split(".")[-count:]) for k in keys)[names[key]] == 1:
                break
    return names


def label_of(model: str, axes: Fields, names: dict[str, str]) -> str:
    """`cl4srec temperature=0.2`."""
    return " ".join([model, *in_words(axes, names)])


def in_words(axes: Fields, names: dict[str, str]) -> list[str]:
    """`temperature=0.2` for a field and its value; a named variant is only its name."""
    return [
        str(value) if key == "variant" else f"{names[key]}={shown(value)}"
        for key, value in axes.items()
    ]


def shown(value: Any) -> str:
    """A field's value in few words: {operator: crop, keep: 0.6} is crop(keep=0.6)."""
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if not isinstance(value, dict):
        return str(value)
    rest = dict(value)
    tag = next((rest.pop(key) for key in sorted(TAGS) if key in rest), "")
    inside = ", ".join(f"{key}={shown(item)}" for key, item in rest.items())
    return f"{tag}({inside})" if inside else str(tag)
