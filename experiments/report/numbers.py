"""How numbers are written in tables and sentences."""

from __future__ import annotations

from experiments.report.aggregate import Mean


def number_text(value: float) -> str:
    """.0543; a metric is below 1 and needs no leading 0."""
    return f"{value:.4f}".removeprefix("0") if 0.0 <= value < 1.0 else f"{value:.4f}"


def mean_text(mean: Mean | None) -> str:
    if mean is None:
        return ""
    spread = "" if mean.sd is None else f" ± {number_text(mean.sd)}"
    return number_text(mean.mean) + spread


def signed(value: float) -> str:
    """+.0031; a difference that rounds to nothing has no sign."""
    text = number_text(abs(value))
    if text == ".0000":
        return text
    return ("+" if value > 0.0 else "-") + text


def p_text(p: float) -> str:
    """.004; <.010 for what would round up to the level of .01 that it is below."""
    if p < 0.001:
        return "<.001"
    return "<.010" if p < 0.01 <= round(p, 3) else f"{p:.3f}".removeprefix("0")
