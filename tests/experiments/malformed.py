"""Malformed input of every kind, and what must become of it: something valid, or one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.errors import UsageError

Bytes = st.SearchStrategy[bytes]

HOSTILE_NAMES = [
    "", ".", "..", "../x", "../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/null/x", "a/b",
    "~root", "$(touch x)", "`touch x`", "; touch x", "-x", "--", "a\nb", "a\0b", "\x1b[2J", "%s%n",
    "{0.__class__}", "con", "x" * 300, "x" * 5000, "\udcff", "\u202e", "NaN", "null", " ",
    "é" * 150,
]  # fmt: skip
HOSTILE_VALUES = [
    "", "-1", "0", "1", "1e400", "-1e400", ".nan", "-.inf", "9" * 30, "9" * 5000, "0x" + "f" * 5000,
    "true", "null", "~", "[]", "{}", "[[[]]]", "{a: 1, a: 2}", "{1: 2, a: 3}", "{[1]: 2}", "[" * 99,
    "{" * 99, "[1, 2", "&a [*a]", "*a", "!!python/object/apply:os.system [touch x]",
    "!!binary aGk=", "7" * 20,
    "!!int x", "!!bool x", "!!set {a}", "2020-01-01", "2020-99-99", "12:30:45", "'", '"', "\ud800",
    '"\\ud800"', '"\\0"', "a: b: c", "- a", "? a", "---", "--- a\n--- b", "%TAG x", "=", "<<", "@a",
    "crop", "[crop, crop]", "[{operator: crop, keep: 2}]", "{task: augmented_views}", "1_000", "\t",
]  # fmt: skip


def examined(
    strategy: st.SearchStrategy[Any], examples: int, check: Callable[[Any], str | None]
) -> int:
    """Run a check on this many inputs, the same ones each time; how many ended in a message.

    check: returns the message of a UsageError, or None when the input was valid after all.
    """
    refused = 0

    def holds(value: Any) -> None:
        nonlocal refused
        refused += check(value) is not None

    settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )(given(strategy)(holds))()
    return refused


def outcome(read: Callable[[], Any]) -> Any:
    """What a call returns, or the message of its UsageError: one printable line of some length.

    A warning is an error: nothing half right may pass with one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return read()
        except UsageError as error:
            told = str(error)
    assert told.isprintable()
    assert 10 < len(told) < 4000
    return told


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes], fragments: list[bytes]) -> bytes:
    """A valid file with up to three wounds: a fragment put in, a stretch lost, repeated or cut."""
    content = draw(st.sampled_from(originals))
    first = draw(st.sampled_from([0, content.find(b"\n") + 1]))  # a header may stay whole
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(min(first, len(content)), len(content)))
        end = min(len(content), at + draw(st.integers(0, 8)))
        kind = draw(
            st.sampled_from(["insert", "insert", "replace", "lose", "repeat", "cut", "any"])
        )
        new = draw(st.binary(max_size=4) if kind == "any" else st.sampled_from(fragments))
        content = {
            "insert": content[:at] + new + content[at:],
            "replace": content[:at] + new + content[end:],
            "lose": content[:at] + content[end:],
            "repeat": content[:end] + content[at:],
            "cut": content[:at],
            "any": content[:at] + new + content[end:],
        }[kind]
    return content
