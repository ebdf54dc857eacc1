"""What ends a command with one line instead of a traceback, and what that line suggests."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST = 2000  # characters of a message; a screen, whatever a file holds


class UsageError(Exception):
    """One line for the user: what is wrong, where, and what would be right.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class RunFailed(Exception):
    """One line on a failure that is not the user's mistake; the command exits with code 1."""


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

    Case does not count.
    """
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
