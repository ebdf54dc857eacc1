"""A training that is asked to stop says how to go on."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from experiments.errors import RunFailed

ASKED = tuple(  # Windows has no SIGHUP
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopped(KeyboardInterrupt):
    """Ended by a signal; the message is the one line to print, if any."""

    def __init__(self, number: signal.Signals, line: str = "") -> None:
        super().__init__(line)
        self.number = number
        self.exit_code = 128 + number


def resume_command(folder: Path, plugins: list[str], processes: int) -> str:
    """What continues the run in this folder, ready to paste."""
    start = f"torchrun --nproc-per-node={processes}" if processes > 1 else "python"
    more = [word for name in plugins for word in ("--plugin", name)]
    return f"{start} " + shlex.join(["run.py", "train", "--out", str(folder), "--resume", *more])


@contextlib.contextmanager
def resumable(config: Path, command: str, speaks: bool) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the block with Stopped; a second one ends the process.

    The epoch in hand is abandoned.  config: the file that is there once there is a run to
    resume.  speaks: False for all but one of several processes.
    A RunFailed of the block is told the command too, if it speaks.
    """
    kept = {} if threading.current_thread() is not threading.main_thread() else handlers()
    try:
        for number in kept:
            signal.signal(number, stop)
        yield
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, Stopped) else signal.SIGINT
        advice = f"continue with `{command}`" if config.exists() else "nothing was written yet"
        raise Stopped(number, f"interrupted: {number.name}; {advice}" if speaks else "") from None
    except RunFailed as error:
        if not config.exists() or not speaks:
            raise
        raise RunFailed(f"{error}; once that is mended, continue with `{command}`") from error
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def handlers() -> dict[signal.Signals, signal._HANDLER]:
    """The present handlers of the signals that are not ignored, as under nohup."""
    present = {number: signal.getsignal(number) for number in ASKED}
    return {number: known for number, known in present.items() if known is not signal.SIG_IGN}


def stop(number: int, frame: FrameType | None) -> NoReturn:
    for other in handlers():
        signal.signal(other, signal.SIG_DFL)
    raise Stopped(signal.Signals(number))
