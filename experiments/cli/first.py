"""`python run.py` alone: the first minutes.  Trains what study quick/start says, and compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STUDY = Path("quick/start")
NEXT = "python run.py study quick/weight --workers 2"


def first() -> None:
    """Train each model of the study into a folder of its own; print one table and what it means."""
    from experiments.config.resolve import resolve
    from experiments.evaluation.formatting import Trained, side_by_side
    from experiments.report.run_curves import write_curves
    from experiments.storage.run_folder import default_folder, new_folder
    from experiments.study.asked import asked
    from experiments.study.plan import plan
    from experiments.training.signals import resumable, resume_command
    from experiments.training.train import train

    trials = plan(asked(STUDY), data_dir=None)
    names = ", ".join(trial.variant.label for trial in trials)
    print(f"Trains {names} on {trials[0].dataset}, as study {STUDY} says. {cost()}".rstrip())
    rows, folders = list[Trained](), list[Path]()
    for trial in trials:
        config, spec = resolve(None, trial.overrides())
        print()
        with new_folder(default_folder(config.dataset, config.model, config.seed)) as folder:
            with resumable(folder.config, resume_command(folder.path, [], 1), speaks=True):
                result = train(config, spec, folder, resume=False)
            write_curves(folder)
        rows.append(trained(trial.variant.label, result))
        folders.append(folder.path)
    print(f"\n{side_by_side(rows)}\n")
    print("\n".join(f"-> {folder}" for folder in folders))
    print(f"Next, a study of several trainings: {NEXT}")


def cost() -> str:
    """What the head of the study's file says of its time."""
    from experiments.storage.yaml_file import header
    from experiments.study.asked import study_file

    lines = header(study_file(STUDY)).splitlines()
    return next((line.removeprefix("# ") for line in lines if line.startswith("# Cost: ")), "")


def trained(name: str, result: dict[str, Any]) -> Any:
    """What result.json says of a model, for a row of the table."""
    from experiments.evaluation.formatting import Trained

    metrics, seconds = result["metrics"]["test"]["excluded"], result["seconds"]["train"]
    return Trained(name, metrics, result["best_epoch"], result["epochs"], seconds)
