"""The command line: argv to a command, errors to one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import io
import locale
import os
import sys
from collections.abc import Callable

from experiments.cli.fields import check_text, joined, overrides
from experiments.cli.first import first
from experiments.cli.parser import parser
from experiments.errors import RunFailed, UsageError, one_line
from experiments.storage.atomic import NOT_ALLOWED
from experiments.terminal import coloured
from experiments.training.signals import Stopped

UTF8_LOCALES = ("C.UTF-8", "en_US.UTF-8", "UTF-8")  # of Linux and macOS; one that is there


def main(argv: list[str]) -> int:
    """Run a command.  0: success; 2: a user's mistake; 1: a failure; 3: what is left needs another
    machine; 130, 143, 129: stopped."""
    speak_utf8()
    argv = [as_utf8(argument) for argument in argv]
    try:
        check_text(argv)
        if not argv:
            first()
            return 0
        arguments, rest = parsed(argv)
        arguments.overrides = overrides(arguments, rest)
        command: Callable[[argparse.Namespace], None] = arguments.command
        command(arguments)
    except UsageError as error:
        print(f"{coloured('error:', 'red', sys.stderr)} {error}", file=sys.stderr)
        return 2
    except UnicodeEncodeError as error:
        if error.encoding != sys.getfilesystemencoding():
            raise
        name = one_line(str(error.object))
        print(
            f"error: {name}: no file can have this name in the encoding {error.encoding}; set "
            "PYTHONUTF8=1 or LC_ALL=C.UTF-8",
            file=sys.stderr,
        )
        return 2
    except (FloatingPointError, RunFailed) as error:
        print(f"{coloured('failed:', 'red', sys.stderr)} {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except MemoryError:
        print("failed: not enough memory", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        mistake = error.errno in NOT_ALLOWED
        kind = "error" if mistake else "failed"
        print(f"{kind}: {one_line(f'{error.filename}: {error.strerror}')}", file=sys.stderr)
        return 2 if mistake else 1
    except Stopped as stopped:
        with contextlib.suppress(OSError):  # of a terminal that is gone
            sys.stderr.write(f"{stopped}\n" if str(stopped) else "")  # at once: others write too
        return stopped.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def speak_utf8() -> None:
    """What a terminal cannot show is printed as \\u7528; files are UTF-8 in every locale, those
    that RecBole opens, too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")
    for name in UTF8_LOCALES:
        if locale.getpreferredencoding(False).lower().replace("-", "") == "utf8":
            break
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)


def as_utf8(argument: str) -> str:
    """An argument as it was typed, where the locale took its bytes for no text."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:  # it is no UTF-8 either, or it is text already
        return argument


def parsed(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What the command knows, and the rest: fields of the configuration."""
    top = parser()
    if command := top.commands.get(argv[0]):
        argv = joined(argv, command.options(), command.get_default("fields"))
    return top.parse_known_args(argv)


def entry() -> int:
    """The installed command, `seqcontrast`."""
    return main(sys.argv[1:])
