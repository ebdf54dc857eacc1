"""One run at Weights & Biases.

Training neither fails nor waits because of tracking.  wandb, which takes a second to start, starts
beside training's steps (`Session.begin`); every wait is bounded (`PROBE_SECONDS`, then
`init_timeout` and `finish_timeout` of `TrackConfig`), every failure is one line on stderr, and
nothing is written to stdout or outside the run's folder.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from experiments.tracking.config import Mode, TrackConfig, resolve_mode, shortened

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

PROBE_SECONDS = 3.0


class Session:
    """One run at W&B, open from `begin` to `finish`; as a context manager, to the block's end.

    config: where and how to track; its group, job_type and name are final.  folder: wandb writes
    to `folder/wandb`.  values: the run's config at W&B.  commit: of the code, where it is known.

    An error inside wandb is one line on stderr, and what is tracked goes on untracked.
    """

    def __init__(
        self,
        config: TrackConfig,
        folder: Path,
        values: Mapping[str, object],
        commit: str | None = None,
    ) -> None:
        self._mode: Mode = "disabled"
        self._seconds = config.finish_timeout
        self._run: Any = None
        self._failed = False
        self._environment: dict[str, str | None] = {}
        self._starting: threading.Thread | None = None
        self._begun, self._started = False, threading.Event()
        self._beside = False  # a run of the caller's, which wandb's end would end
        folder, said = folder.resolve(), os.environ.get("WANDB_MODE")
        self._own = _inside(folder / "wandb")

        def start() -> None:
            try:
                if not self._attempt(
                    "start", lambda: self._start(config, folder, values, commit, said)
                ):
                    self._mode = "disabled"
            finally:
                self._started.set()

        if resolve_mode(config.mode, said) != "disabled":
            self._starting = threading.Thread(target=start, daemon=True)

    def begin(self) -> None:
        """Start wandb beside what comes next; nothing where it was begun.

        Whatever else is asked of a session begins it, and waits until it has started.
        """
        if self._starting is not None and not self._begun:
            self._begun = True
            self._beside = _is_tracking()
            self._environment = _set_environment(self._own)
            if not self._attempt("start", self._starting.start):
                self._started.set()

    @property
    def mode(self) -> Mode:
        """What came of the start, once it is over."""
        self._wait()
        return self._mode

    def log(self, record: Callable[[], dict[str, object]]) -> None:
        """Send values, which are only made where something is tracked."""
        self._wait()
        if self._run is not None and not self._failed:
            self._attempt("log", lambda: self._run.log(record()))

    def log_media(self, record: Callable[[], dict[str, object]]) -> None:
        """The same for tables and images, about which wandb asks the server: in bounded time."""
        self._wait()
        if self._run is not None and not self._failed:
            self._attempt("log", lambda: in_time(lambda: self._run.log(record()), self._seconds))

    def finish(self, exit_code: int = 0) -> str | None:
        """Close the run and wandb's service; a second call does nothing.

        Returns the run's address, or the command that uploads it later, or None if untracked.
        """
        self._wait()
        run, self._run = self._run, None
        where: str | None = None
        if run is not None:
            self._attempt("finish", lambda: run.finish(exit_code=exit_code))
            self._attempt("writing all of it", lambda: _check_room(Path(run.dir)))
            sync = f"wandb sync {shlex.quote(str(Path(run.dir).parent))}"
            where = sync if self._failed or self.mode == "offline" else run.url
        if self._environment:
            if not self._beside:
                self._attempt("shutdown", _shutdown)
            _set_environment(self._environment)
            self._environment = {}
        return where

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt) and not self._begun:
            self._starting = None  # stopped: this is no time to start
        self.finish(exit_code=0 if kind is None else 1)

    def _wait(self) -> None:
        self.begin()
        if self._starting is not None:
            self._started.wait()  # joining a thread fails after a signal in Python 3.11

    def _start(
        self,
        config: TrackConfig,
        folder: Path,
        values: Mapping[str, object],
        commit: str | None,
        said: str | None,
    ) -> None:
        """said: WANDB_MODE of the environment."""
        folder.mkdir(parents=True, exist_ok=True)
        import wandb

        options = _options(config, folder, commit)
        settings = wandb.setup(wandb.Settings(**options)).settings  # with the user's settings files
        self._mode = resolve_mode(config.mode, settings.mode if said is None else said)
        if self._mode == "online" and (obstacle := _obstacle(settings.base_url)):
            _say(f"{obstacle}; tracking offline")
            self._mode = "offline"
        if self._mode == "online":
            try:
                self._run = wandb.init(
                    config=dict(values), settings=wandb.Settings(**options, mode="online")
                )
            except Exception as error:
                _say(f"{_summary(error)}; tracking offline")
                self._mode = "offline"
        if self._mode == "offline":
            self._run = wandb.init(
                config=dict(values), settings=wandb.Settings(**options, mode="offline")
            )
        if self._run is not None:
            self._define(self._run)

    def _define(self, run: Any) -> None:
        """What W&B is to know of the values before the first comes."""

    def _attempt(self, what: str, call: Callable[[], object]) -> bool:
        try:
            call()
        except (Exception, SystemExit) as error:  # wandb's shutdown may call sys.exit
            if not self._failed:
                _say(f"{what} failed ({_summary(error)}); the run itself goes on")
            self._failed = True
            return False
        return True


def answers(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether the host of `url`, or the proxy in front of it, accepts a connection in time.

    In a thread, because looking up a name has no timeout of its own.
    """
    from urllib.request import getproxies, proxy_bypass  # a tenth of a second

    target = urlsplit(url)
    proxy = getproxies().get(target.scheme)
    if proxy and not proxy_bypass(target.hostname or ""):
        target = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = target.port or (443 if target.scheme == "https" else 80)
    connected = threading.Event()

    def connect() -> None:
        with suppress(OSError), socket.create_connection((target.hostname, port), seconds):
            connected.set()

    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(seconds)
    return connected.is_set()


def in_time(call: Callable[[], object], seconds: float) -> None:
    """Wait for a call at most this long; then TimeoutError, and the call is left alone."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer in {seconds:g} s")
    if raised:
        raise raised[0]


def _check_room(folder: Path) -> None:
    """OSError when the disk is full: wandb's service does not say what it could not write."""
    probe = folder / ".room"
    try:
        with probe.open("wb") as file:
            file.write(bytes(65536))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


def _obstacle(base_url: str) -> str | None:
    import wandb

    try:
        wandb.setup(wandb.Settings(mode="online"))  # else a settings file may forbid the login
        if not wandb.login(prompt=False, verify=False):
            return "no API key: run `wandb login` or set WANDB_API_KEY"
    except wandb.Error as error:  # a malformed key
        return _summary(error)
    return None if answers(base_url) else f"no answer from {base_url} in {PROBE_SECONDS:g} s"


def _inside(folder: Path) -> dict[str, str | None]:
    """The environment that keeps wandb, its service and its staging area inside `folder`."""
    return {
        "WANDB_MODE": None,  # resolved here
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_ARTIFACT_DIR": str(folder / "artifacts"),
    }


def _set_environment(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set the variables, None to remove one; returns what they were."""
    before = {key: os.environ.get(key) for key in values}
    for key, value in values.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
    return before


def _options(config: TrackConfig, folder: Path, commit: str | None) -> dict[str, object]:
    options: dict[str, object] = {
        "root_dir": str(folder),
        "project": config.project or os.environ.get("WANDB_PROJECT", "seqcontrast"),
        "run_group": shortened(config.group or ""),
        "run_job_type": shortened(config.job_type or ""),
        "run_name": shortened(config.name or ""),
        "init_timeout": config.init_timeout,
        "finish_timeout": config.finish_timeout,
        "finish_timeout_raises": True,
        "reinit": "create_new",  # leave a run of the caller's alone
        "silent": True,
        "console": "off",
        "disable_code": True,
        "disable_git": True,  # no remote, no diff: the commit is enough
        "git_commit": commit,
        "disable_job_creation": True,
        "x_disable_stats": True,
        "x_save_requirements": False,  # result.json has the versions
        "x_transaction_log_flush_interval": 1.0,  # what a killed process may lose, in seconds
    }
    return options | ({"entity": config.entity} if config.entity else {})


def _is_tracking() -> bool:
    """Whether this process has a run at W&B already."""
    wandb = sys.modules.get("wandb")
    return wandb is not None and wandb.run is not None


def _shutdown() -> None:
    import wandb

    wandb.teardown()


def _summary(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _say(line: str) -> None:
    tqdm.write(f"W&B: {line}", file=sys.stderr)  # above a bar that is drawn at the time
