"""What a training, and a study's report, send to Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.dotted import flattened
from experiments.metric_names import MONITOR, VALID_NDCG10
from experiments.tracking.config import TrackConfig
from experiments.tracking.loggers import Loggers
from experiments.tracking.session import Session

if TYPE_CHECKING:
    import numpy as np

Tables = Mapping[str, tuple[list[str], list[list[object]]]]


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


class Tracker(Session):
    """A training run at W&B.

    config: where and how to track.  folder: the run's folder; wandb writes to `folder/wandb`.
    settings: the run's resolved configuration.  changed: the fields that are not as the preset
    and the data set have them; they are in the run's name.

    Raises RuntimeError when test metrics come twice.
    """

    def __init__(
        self,
        config: TrackConfig,
        folder: Path,
        settings: Mapping[str, object],
        identity: Identity,
        changed: Mapping[str, object] | None = None,
    ) -> None:
        self._tested = False
        self._loggers = Loggers(config.also, folder)
        values = {**columns(settings), **asdict(identity)}
        self._chosen = f"valid/{values.get('train.monitor', MONITOR)}"
        super().__init__(placed(config, identity, changed or {}), folder, values, identity.commit)

    def epoch(self, record: Mapping[str, float]) -> None:
        """Log a line of history.jsonl: epoch, step, seconds, train/*, valid/*, contrast_TASK/*."""
        self.log(lambda: {panel(name): value for name, value in record.items()})
        self._loggers.log(record)

    def test(self, metrics: Mapping[str, float]) -> None:
        """Log test/* of the selected epoch, once, which also puts them in the run's summary.

        Raises RuntimeError on a second call.
        """
        if self._tested:
            raise RuntimeError("test metrics come once a run, and these are the second")
        self._tested = True
        self.log(lambda: dict(metrics))
        self._loggers.log(metrics)

    def finish(self, exit_code: int = 0) -> str | None:
        self._loggers.close()
        return super().finish(exit_code)

    def ranks(self, ranked: np.ndarray, excluded: np.ndarray) -> None:
        """Chart how many test users find their item at which rank, under both seen-item rules.

        ranked, excluded: [users]; 1 is best.  Logged as `test/ranks` and `test/ranks_table`.
        """
        self.log_media(lambda: {"test/ranks": _rank_chart(ranked, excluded)})

    def _define(self, run: Any) -> None:
        """The metric that chooses the epoch has its best value in the run's summary."""
        run.define_metric("train/*", step_metric="step")
        run.define_metric("contrast_*", step_metric="step")
        run.define_metric("valid/*", step_metric="epoch")
        for name in dict.fromkeys([VALID_NDCG10, self._chosen]):
            run.define_metric(name, step_metric="epoch", summary="max")


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


def panel(name: str) -> str:
    """contrast/TASK/accuracy as contrast_TASK/accuracy, any other name as it is.

    W&B makes a section of panels of the names that agree up to their first `/`: so each task has
    one, with its loss, similarities, alignment and rates.
    """
    return name.replace("contrast/", "contrast_", 1) if name.startswith("contrast/") else name


def columns(settings: Mapping[str, object]) -> dict[str, object]:
    """The configuration as W&B's table of runs shows it best: a dotted key a field.

    Left out is what says nothing of a run's result: fields that are not set, where it is tracked,
    and where the data lie on this machine.
    """
    return {
        key: value
        for key, value in flattened(settings)
        if value is not None and key.partition(".")[0] not in ("track", "data_dir")
    }


def placed(config: TrackConfig, identity: Identity, changed: Mapping[str, object]) -> TrackConfig:
    """With the group, job type and name of a training run where the configuration has none."""
    dataset, model, seed = identity.dataset, identity.model, identity.seed
    environment, usual = os.environ.get, [model, *in_words(changed), f"seed{seed}"]
    return replace(
        config,
        group=config.group or environment("WANDB_RUN_GROUP", f"{dataset}/{model}"),
        job_type=config.job_type or environment("WANDB_JOB_TYPE", "train"),
        name=config.name or environment("WANDB_NAME", " ".join(usual)),
    )


def in_words(fields: Mapping[str, object]) -> list[str]:
    """`temperature=0.2` for each field: the last word of its key, or all where two end alike."""
    ends = [key.rpartition(".")[2] for key in fields]
    return [
        f"{end if ends.count(end) == 1 else key}={value}"
        for end, (key, value) in zip(ends, fields.items(), strict=True)
    ]


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
