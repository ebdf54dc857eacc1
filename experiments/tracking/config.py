"""Where and how a run is tracked: group `track.` of a run's configuration."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

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


LONGEST_NAME = 128  # what W&B's server takes as a run's name or group


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
    """Default: WANDB_NAME, else the model, the fields that are not the preset's, and the seed."""
    init_timeout: float = 15.0
    """Seconds the server has to open the run; after that the run is tracked offline."""
    finish_timeout: float = 30.0
    """Seconds the upload may take after training; what is left is for `wandb sync`."""

    also: tuple[Literal["csv", "tensorboard"], ...] = ()
    """Beside W&B, in the run's folder.  csv: history.csv, a row an epoch.  tensorboard: event files
    in tensorboard/, with the extra `pip install -e .[tensorboard]`."""

    def __post_init__(self) -> None:
        for name in ("init_timeout", "finish_timeout"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0 and finite, got {getattr(self, name)}")


def of_trial(config: TrackConfig, study: str, dataset: str, variant: str, seed: int) -> TrackConfig:
    """As one trial of a study: all of a study share a group, the seeds of a variant a job type."""
    return replace(
        config,
        group=study,
        job_type=f"{dataset}/{variant}",
        name=f"{variant} {dataset} seed{seed}",
    )


def resolve_mode(configured: AskedMode, environment: str | None) -> Mode:
    """The mode to try: the configuration's, else WANDB_MODE's, else online.

    Online still falls back to offline: without an API key, without an answer, on any error.
    """
    if configured != "auto":
        return configured
    return WANDB_MODE.get(environment or "online", "online")


def shortened(text: str) -> str:
    """A text that W&B takes as a name: one line of 128 characters at most.

    The end of a longer one gives way to eight digits of its hash.
    """
    line = " ".join(text.split())
    if len(line) <= LONGEST_NAME:
        return line
    digits = hashlib.sha256(line.encode()).hexdigest()[:8]
    return f"{line[: LONGEST_NAME - len(digits) - 1]}~{digits}"
