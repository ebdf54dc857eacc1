"""What a run sends to Weights & Biases.  Nothing else imports wandb, and this only when it tracks.

Training neither fails nor waits because of tracking.  Every wait is bounded (`PROBE_SECONDS`, then
`init_timeout` and `finish_timeout` of `TrackConfig`), every failure is one line on stderr, and
nothing is written to stdout or outside the run's folder.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from typing_extensions import Self

Mode = Literal["online", "offline", "disabled"]
AskedMode = Literal["auto", "online", "offline", "disabled"]
WANDB_MODE: dict[str, Mode] = {  # what the variable may say, and what it means here
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
PROBE_SECONDS = 3.0
LONGEST_NAME = 128  # what W&B's server takes as a run's name or group
Tables = Mapping[str, tuple[list[str], list[list[object]]]]


@dataclass(frozen=True)
class TrackConfig:
    """Group `track.` of a run's configuration."""

    mode: AskedMode = "auto"
    """auto: WANDB_MODE if it is set, else online if there is an API key, else offline."""
    project: str | None = None
    """Default: WANDB_PROJECT, else seqcontrast."""
    entity: str | None = None
    """Default: WANDB_ENTITY, else the account of the API key."""
    group: str | None = None
    """Default: WANDB_RUN_GROUP, else {dataset}/{model}; the trials of a study have its name."""
    job_type: str | None = None
    """Default: WANDB_JOB_TYPE, else train; in a study {dataset}/{variant}, which seeds share."""
    name: str | None = None
    """Default: WANDB_NAME, else {model}-seed{seed}."""
    init_timeout: float = 15.0
    """Seconds the server has to open the run; after that the run is tracked offline."""
    finish_timeout: float = 30.0
    """Seconds the upload may take after training; what is left is for `wandb sync`."""

    def __post_init__(self) -> None:
        for name in ("init_timeout", "finish_timeout"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0 and finite, got {getattr(self, name)}")


@dataclass(frozen=True)
class Identity:
    """What tells two runs apart, next to their settings."""

    dataset: str
    model: str
    seed: int
    commit: str
    dirty: bool
    data_sha256: str
    config_sha256: str


class Session:
    """One run at W&B, open from construction to `finish`; as a context manager, to the block's end.

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
        self.mode: Mode = "disabled"
        self._seconds = config.finish_timeout
        self._run: Any = None
        self._failed = False
        self._environment: dict[str, str | None] = {}
        if resolve_mode(config.mode, os.environ.get("WANDB_MODE")) != "disabled":
            start = self._attempt("start", lambda: self._start(config, folder, values, commit))
            self.mode = self.mode if start else "disabled"

    def log(self, record: Callable[[], dict[str, object]]) -> None:
        """Send a record, which is only made where something is tracked."""
        if self._run is not None and not self._failed:
            self._attempt("log", lambda: self._run.log(record()))

    def log_media(self, record: Callable[[], dict[str, object]]) -> None:
        """The same for tables and images, about which wandb asks the server: in bounded time."""
        if self._run is not None and not self._failed:
            self._attempt("log", lambda: in_time(lambda: self._run.log(record()), self._seconds))

    def finish(self, exit_code: int = 0) -> str | None:
        """Close the run and wandb's service; a second call does nothing.

        Returns the run's address, or the command that uploads it later, or None if untracked.
        """
        run, self._run = self._run, None
        where: str | None = None
        if run is not None:
            self._attempt("finish", lambda: run.finish(exit_code=exit_code))
            self._attempt("writing all of it", lambda: _check_room(Path(run.dir)))
            sync = f"wandb sync {shlex.quote(str(Path(run.dir).parent))}"
            where = sync if self._failed or self.mode == "offline" else run.url
        if self._environment:
            self._attempt("shutdown", _shutdown)
            _set_environment(self._environment)
            self._environment = {}
        return where

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.finish(exit_code=0 if kind is None else 1)

    def _start(
        self, config: TrackConfig, folder: Path, values: Mapping[str, object], commit: str | None
    ) -> None:
        said = os.environ.get("WANDB_MODE")
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = _set_environment(_inside(folder / "wandb"))
        import wandb

        options = _options(config, folder, commit)
        found = wandb.setup(wandb.Settings(**options)).settings  # with the user's settings files
        self.mode = resolve_mode(config.mode, found.mode if said is None else said)
        if self.mode == "online" and (obstacle := _obstacle(found.base_url)):
            _say(f"{obstacle}; tracking offline")
            self.mode = "offline"
        if self.mode == "online":
            try:
                self._run = wandb.init(
                    config=dict(values), settings=wandb.Settings(**options, mode="online")
                )
            except Exception as error:
                _say(f"{_summary(error)}; tracking offline")
                self.mode = "offline"
        if self.mode == "offline":
            self._run = wandb.init(
                config=dict(values), settings=wandb.Settings(**options, mode="offline")
            )

    def _attempt(self, what: str, call: Callable[[], object]) -> bool:
        try:
            call()
        except (Exception, SystemExit) as error:  # wandb's shutdown may call sys.exit
            if not self._failed:
                _say(f"{what} failed ({_summary(error)}); the run itself goes on")
            self._failed = True
            return False
        return True


class Tracker(Session):
    """A training run at W&B.

    config: where and how to track.  folder: the run's folder; wandb writes to `folder/wandb`.
    settings: the run's resolved configuration; groups and lists of groups become dotted keys.

    Raises RuntimeError when test metrics come twice.
    """

    def __init__(
        self, config: TrackConfig, folder: Path, settings: Mapping[str, object], identity: Identity
    ) -> None:
        self._tested = False
        values = {**dict(flattened(settings)), **asdict(identity)}
        super().__init__(placed(config, identity), folder, values, identity.commit)
        if self._run is not None:
            self._attempt("start", lambda: _define_metrics(self._run))

    def epoch(self, record: Mapping[str, float]) -> None:
        """Log a line of history.jsonl: epoch, step, seconds, train/*, valid/*, contrast/*."""
        self.log(lambda: dict(record))

    def test(self, metrics: Mapping[str, float]) -> None:
        """Log test/* of the selected epoch, once, which also puts them in the run's summary.

        Raises RuntimeError on a second call.
        """
        if self._tested:
            raise RuntimeError("test metrics come once a run, and these are the second")
        self._tested = True
        self.log(lambda: dict(metrics))

    def ranks(self, ranked: np.ndarray, excluded: np.ndarray) -> None:
        """Chart how many test users find their item at which rank, under both seen-item rules.

        ranked, excluded: [users]; 1 is best.  Logged as `test/ranks` and `test/ranks_table`.
        """
        self.log_media(lambda: {"test/ranks": _rank_chart(ranked, excluded)})


def track_report(
    config: TrackConfig, folder: Path, study: str, tables: Tables, images: Mapping[str, Path]
) -> str | None:
    """Log what a study found as one run of its group: job type `report`, named like the study.

    tables: (columns, rows) by key.  images: PNG files by key.  wandb writes to `folder/wandb`.
    Returns the run's address, or the command that uploads it later, or None if untracked.
    """
    place = replace(config, group=study, job_type="report", name=study)
    with Session(place, folder, {"study": study}) as session:
        session.log_media(lambda: {key: _table(*table) for key, table in tables.items()})
        session.log_media(lambda: {key: _image(path) for key, path in images.items()})
        return session.finish()


def of_trial(config: TrackConfig, study: str, dataset: str, variant: str, seed: int) -> TrackConfig:
    """As one trial of a study: all of a study share a group, the seeds of a variant a job type."""
    return replace(
        config,
        group=study,
        job_type=f"{dataset}/{variant}",
        name=f"seed{seed} {variant}",
    )


def shortened(text: str) -> str:
    """A text that W&B takes as a name: one line of 128 characters at most.

    The end of a longer one gives way to eight digits of its hash.
    """
    line = " ".join(text.split())
    if len(line) <= LONGEST_NAME:
        return line
    digits = hashlib.sha256(line.encode()).hexdigest()[:8]
    return f"{line[: LONGEST_NAME - len(digits) - 1]}~{digits}"


def resolve_mode(configured: AskedMode, environment: str | None) -> Mode:
    """The mode to try: the configuration's, else WANDB_MODE's, else online.

    Online still falls back to offline: without an API key, without an answer, on any error.
    """
    if configured != "auto":
        return configured
    return WANDB_MODE.get(environment or "online", "online")


def flattened(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted key, value): {"contrast": [{"ratio": 0.2}]} gives ("contrast.0.ratio", 0.2)."""
    for key, value in settings.items():
        if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            value = {str(position): group for position, group in enumerate(value)}
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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


def placed(config: TrackConfig, identity: Identity) -> TrackConfig:
    """With the group, job type and name of a training run where the configuration has none."""
    dataset, model, seed = identity.dataset, identity.model, identity.seed
    environment = os.environ.get
    return replace(
        config,
        group=config.group or environment("WANDB_RUN_GROUP", f"{dataset}/{model}"),
        job_type=config.job_type or environment("WANDB_JOB_TYPE", "train"),
        name=config.name or environment("WANDB_NAME", f"{model}-seed{seed}"),
    )


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


def _define_metrics(run: Any) -> None:
    run.define_metric("train/*", step_metric="step")
    run.define_metric("contrast/*", step_metric="step")
    run.define_metric("valid/*", step_metric="epoch")
    run.define_metric("valid/excluded/ndcg@10", step_metric="epoch", summary="max")


def _rank_chart(ranked: np.ndarray, excluded: np.ndarray) -> Any:
    import numpy as np
    import wandb

    both = {"ranked": np.asarray(ranked), "excluded": np.asarray(excluded)}
    series = {name: ranks[np.isfinite(ranks)] for name, ranks in both.items()}  # inf: no rank
    worst = max(ranks.max(initial=1) for ranks in series.values())
    edges = np.unique(np.geomspace(1, worst + 1, 33).round().astype(int))
    counts = [np.histogram(ranks, edges)[0].tolist() for ranks in series.values()]
    return wandb.plot.line_series(
        xs=np.log10(edges[:-1]).tolist(),
        ys=counts,
        keys=list(series),
        title="Test users by rank of their item",
        xname="log10 of the lowest rank in the bin",
    )


def _table(columns: list[str], rows: list[list[object]]) -> Any:
    import wandb

    return wandb.Table(columns=columns, data=rows, allow_mixed_types=True)


def _image(path: Path) -> Any:
    import wandb

    return wandb.Image(str(path))


def _shutdown() -> None:
    import wandb

    wandb.teardown()


def _summary(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _say(line: str) -> None:
    print(f"W&B: {line}", file=sys.stderr)
