"""What ends a command with one line instead of a traceback, and what that line suggests."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

SHORT = {
    "lr": ("learning_rate",),
    "bs": ("batch_size",),
    "wd": ("weight_decay",),
    "tau": ("temperature",),
    "temp": ("temperature",),
    "lambda": ("weight",),
    "drop": ("dropout",),
    "dropout_prob": ("dropout",),
    "hidden_dropout_prob": ("dropout",),
    "attn_dropout_prob": ("attention_dropout",),
    "hidden_size": ("dim",),
    "embedding_size": ("dim",),
    "hidden_units": ("dim",),
    "inner_size": ("inner",),
    "n_layers": ("layers",),
    "num_layers": ("layers",),
    "num_blocks": ("layers",),
    "n_heads": ("heads",),
    "num_heads": ("heads",),
    "maxlen": ("max_length",),
    "max_len": ("max_length",),
    "max_seq_length": ("max_length",),
    "early_stop": ("patience",),
    "stopping_step": ("patience",),
    "valid_metric": ("monitor",),
    "grad_clip": ("clip_norm",),
    "train_batch_size": ("batch_size",),
    "gpu": ("device",),
    "gpu_id": ("device",),
    "topk": ("cutoffs",),
    "aug": ("operators",),
    "ce": ("cross_entropy",),
    "softmax": ("cross_entropy",),
    "binary_cross_entropy": ("bce",),
    "transformer": ("self_attention",),
    "sasrec": ("self_attention",),
    "gru4rec": ("gru",),
    "fp32": ("float32",),
    "bf16": ("bfloat16",),
}
"""Short and foreign names of fields and values, and what they are called here."""
LONGEST = 2000  # characters of a message; a screen, whatever a file holds


class UsageError(Exception):
    """One line for the user: what is wrong, where, and what would be right.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RunFailed(Exception):
    """One line on a failure that is not the user's mistake; the command exits with code 1."""

    exit_code = 1


class NotHere(RunFailed):
    """This machine lacks what is asked for, such as a GPU: another may have it."""

    exit_code = 3


def one_line(text: str) -> str:
    """The text with line breaks and control characters escaped, and its middle cut if endless.

    Names and keys from files end up in messages: none may break the line or steer a terminal.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST * 3 // 4]} ... {text[-LONGEST // 4 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def unknown(name: Any, known: Iterable[Any]) -> str:
    """What was not known, what was probably meant, and what there is."""
    names = [str(entry) for entry in known]
    return f"unknown {name!r}{did_you_mean(str(name), names)}; known: {', '.join(names) or 'none'}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " (did you mean 'beauty'?)" for the known word nearest to this one, or "" if none is near.

    Case does not count; a usual short form (ce, bf16) counts as its name.
    """
    by_lower = {name.lower(): name for name in known}
    full = [name for name in SHORT.get(word.lower(), ()) if name in by_lower]
    near = full or get_close_matches(word.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
