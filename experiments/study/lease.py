"""Who works on what: leases as files in a folder that all workers share.

A lease on a key is the file KEY.N with the highest N.  It is made whole and only if it is not
there yet (a hard link), so of any number of workers one gets it.  Its owner touches it every few
seconds; when that has stopped for longer than a lease lasts, or the owner's process is seen to be
gone, the next worker makes KEY.N+1.  Nothing is ever deleted or renamed, so a worker that was
asleep cannot take a lease away from the one that came after it; it finds the higher number and
stops.  Times are those of the file system: machines with different clocks agree.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.storage.atomic import create_once, writing

SECONDS = 60.0  # without a sign of life, until others may take over
BEATS = 6  # signs of life in that time


@dataclass(frozen=True)
class Owner:
    """A process, told from all others on this machine and elsewhere."""

    host: str
    machine: str  # boot and process namespace: where a process id means something
    pid: int
    started: str  # ticks since boot: process ids are used again

    @staticmethod
    def this() -> Owner:
        return Owner(socket.gethostname(), machine(), os.getpid(), started(os.getpid()) or "")

    def gone(self) -> bool:
        """True when it certainly does not run any more; False when that cannot be seen here."""
        here = self.machine != "" and self.machine == machine()
        return here and started(self.pid) != self.started


def machine() -> str:
    """Names the space that process ids of this process are of; empty where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> str | None:
    """When a process began, in ticks; None when there is none, or only its remains."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return None if fields[0] in "ZX" else fields[19]


class Leases:
    """All leases of a study."""

    def __init__(self, folder: Path, seconds: float = SECONDS) -> None:
        self.folder, self.seconds = folder, seconds
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._own = folder / f".{uuid.uuid4().hex}"

    def claim(self, key: str, note: str = "") -> Lease | None:
        """The lease on a key, or None while another worker has it.

        note: kept with it, for whoever comes after.
        Errors: NotWritable or RunFailed where no lease can be written.
        """
        with writing(self.folder):
            number = max(self.numbers(key), default=0)  # once: others come between two looks
            if number > 0 and self.alive(self.path(key, number)):
                return None
        text = json.dumps({**asdict(Owner.this()), "note": note})
        made = create_once(self.path(key, number + 1), text, synced=False)
        return Lease(self, key, number + 1, note) if made else None

    def taken(self, key: str) -> bool:
        """Whether a worker has the key now."""
        number = max(self.numbers(key), default=0)
        return number > 0 and self.alive(self.path(key, number))

    def keys(self) -> set[str]:
        """All that there has been a lease on."""
        return {name.rpartition(".")[0] for name in os.listdir(self.folder)}

    def kept(self, key: str) -> list[str]:
        """The notes of all leases on a key that were not given back, oldest first: of owners that
        died or fell silent, and of the one who has it now."""
        paths = [self.path(key, number) for number in self.numbers(key)]
        return [content(path).get("note", "") for path in paths if path.stat().st_mtime != 0.0]

    def path(self, key: str, number: int) -> Path:
        return self.folder / f"{key}.{number}"

    def numbers(self, key: str) -> Iterator[int]:
        """1, 2, ... as far as they exist."""
        number = 1
        while self.path(key, number).exists():
            yield number
            number += 1

    def alive(self, path: Path) -> bool:
        """Whether its owner has shown life lately and is not known to be gone."""
        last = path.stat().st_mtime
        if last == 0.0 or self.now() - last > self.seconds:
            return False
        owner = read(path)
        return owner is None or not owner.gone()

    def now(self) -> float:
        """The file system's clock."""
        self._own.touch()
        time = self._own.stat().st_mtime
        self._own.unlink()
        return time


def read(path: Path) -> Owner | None:
    """Who has it; None when that cannot be read."""
    tree = content(path)
    try:
        return Owner(tree["host"], tree["machine"], tree["pid"], tree["started"])
    except KeyError:
        return None


def content(path: Path) -> dict[str, Any]:
    """Of a lease; empty where it cannot be read: a loss of power may leave a file without text."""
    try:
        tree = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


class Lease:
    """A key that this process works on; as a context manager it shows life and is given back."""

    def __init__(self, leases: Leases, key: str, number: int, note: str = "") -> None:
        self.leases, self.key, self.number, self.note = leases, key, number, note
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def held(self) -> bool:
        """False when another worker has taken over."""
        return not self.leases.path(self.key, self.number + 1).exists()

    def lost(self) -> list[str]:
        """The notes of earlier leases on the key that were never given back, oldest first."""
        return self.leases.kept(self.key)[:-1]

    def forgive(self) -> None:
        """Count the earlier leases on the key as given back."""
        for number in range(1, self.number):
            os.utime(self.leases.path(self.key, number), (0.0, 0.0))

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        path = self.leases.path(self.key, self.number)
        with writing(path):
            os.utime(path, (0.0, 0.0))  # given back

    def _beat(self) -> None:
        path = self.leases.path(self.key, self.number)
        while not self._over.wait(self.leases.seconds / BEATS):
            with suppress(OSError):  # without life, others take over, which `held` tells
                os.utime(path)
