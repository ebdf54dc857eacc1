"""Colour, where a terminal shows it."""

from __future__ import annotations

import os
import sys
from typing import TextIO

CODES = {"green": "32", "red": "31"}


def coloured(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text in a colour of CODES if the stream [stdout] is a terminal; else as it is.

    NO_COLOR (no-color.org) and TERM=dumb switch colours off.
    """
    if not shows_colour(sys.stdout if stream is None else stream):
        return text
    return f"\033[{CODES[colour]}m{text}\033[0m"


def shows_colour(stream: TextIO) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and stream.isatty() and sys.platform != "win32"
