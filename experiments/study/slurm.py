"""Workers as jobs of a Slurm cluster whose machines share the study's folder."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from experiments.errors import RunFailed, UsageError
from experiments.study.folder import StudyFolder
from experiments.study.launch import keep_running, pinned_program
from models.ranges import check_count

if TYPE_CHECKING:
    import submitit

DAY = 60 * 24  # minutes


@dataclass(frozen=True)
class SlurmConfig:
    """What each job asks for; what is not set is left to the cluster.

    time: as sbatch reads it, such as 90 (minutes) or 12:00:00.  setup: commands of the shell
    before a worker starts.  cluster: `local` runs the same jobs on this machine, to try them.
    """

    cluster: Literal["slurm", "local"] = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: str = "1-00:00:00"
    gpus_per_node: int = 0
    mem_gb: float | None = None
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_count("gpus_per_node", self.gpus_per_node, least=0)


class SlurmProcess:
    """A worker as a job: waiting, running, or over."""

    def __init__(self, job: submitit.Job[int]) -> None:
        self._job, self.output = job, str(job.paths.stderr)

    def code(self) -> int | None:
        if not self._job.done():
            return None
        error = self._job.exception()  # of a job that was killed, or ran out of time
        return 1 if error is not None else self._job.result()

    def end(self) -> None:
        self._job.cancel(check=False)

    def wait(self) -> None:
        """The cluster sees to it."""


def check(config: SlurmConfig) -> None:
    """UsageError where jobs cannot be submitted."""
    if config.cluster == "slurm" and shutil.which("sbatch") is None:
        raise UsageError(
            "--launcher slurm: there is no sbatch here; run it where jobs are submitted"
        )
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise UsageError('--launcher slurm: needs `pip install "submitit==1.5.4"`') from None


def launch(
    config: SlurmConfig, command: list[str], workers: int, threads: int, folder: StudyFolder
) -> None:
    """A job a worker, until all have ended; what jobs print is in the study's folder, in slurm.

    A job that was killed or ran out of time is submitted again; its trial goes on where it was.
    """
    executor = executor_of(config, threads, folder)

    def start(number: int) -> SlurmProcess:
        try:
            job = executor.submit(subprocess.call, pinned_program(command, threads))
        except RuntimeError as error:  # what sbatch says
            raise RunFailed(f"no job could be submitted: {' '.join(str(error).split())}") from None
        print(f"worker {number}: job {job.job_id}, prints to {job.paths.stdout}", flush=True)
        return SlurmProcess(job)

    keep_running(start, workers, folder)


def executor_of(config: SlurmConfig, threads: int, folder: StudyFolder) -> submitit.AutoExecutor:
    """What submits jobs."""
    import submitit

    executor = submitit.AutoExecutor(folder=folder.path / "slurm", cluster=config.cluster)
    requested: dict[str, Any] = asdict(config)
    own = {name: requested[name] for name in ("partition", "account", "qos", "constraint", "time")}
    executor.update_parameters(
        name=f"study-{folder.path.name}",
        timeout_min=DAY,  # of a local job
        cpus_per_task=threads,
        gpus_per_node=config.gpus_per_node or None,
        mem_gb=config.mem_gb,
        slurm_setup=list(config.setup) or None,
        **{f"slurm_{name}": value for name, value in own.items()},
    )
    return executor
