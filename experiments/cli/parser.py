"""The arguments of each command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from experiments.cli import commands as run
from experiments.cli.arguments import (
    Parser,
    add_data_dir,
    add_json,
    add_moved,
    add_plugin,
    add_read,
    path,
)
from experiments.cli.data import data, data_options
from experiments.cli.evaluate import evaluate, evaluate_options
from experiments.cli.recommend import recommend, recommend_options
from experiments.cli.study import study, study_options
from experiments.cli.train import train

FIELDS_HELP = """
any field of the configuration is set by --dotted.key=value or --dotted.key value, such as
  --train.learning_rate=0.002  --encoder.dim=128  --contrast.0.temperature=0.2
"""


class Version(argparse.Action):
    """Prints versions and ends; read only when asked for."""

    def __call__(self, *given: Any) -> NoReturn:
        print(run.version())
        sys.exit(0)


def parser() -> Parser:
    top = Parser(
        prog="run.py",
        description="Self-supervised sequential recommendation. Without arguments: train SASRec "
        "and CL4SRec on the embedded ml-100k, and compare them.",
        allow_abbrev=False,
    )
    top.add_argument(
        "--version", action=Version, nargs=0, help="of this code and what it stands on"
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    add_train(commands)
    add_evaluate(commands)
    add_recommend(commands)
    add_export(commands)
    add_data(commands)
    add_study(commands)
    add_report(commands)
    add_bench(commands)
    add_inspect(commands)
    add_explain(commands)
    add_list(commands)
    add_compare(commands)
    top.commands = commands.choices
    return top


def add(commands: Any, name: str, run: Callable[[argparse.Namespace], None], about: str) -> Parser:
    made: Parser = commands.add_parser(
        name,
        help=about,
        description=about,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=run, name_of_command=name, fields=False)
    return made


def add_train(commands: Any) -> None:
    made = add(commands, "train", train, "train and evaluate one model")
    made.set_defaults(fields=True)
    made.epilog = FIELDS_HELP
    made.add_argument("--model", help="a preset, popularity, repeat-last or recbole:NAME [cl4srec]")
    made.add_argument("--dataset", help="a known data set or a file's stem in DIR [ml-100k]")
    add_data_dir(made)
    made.add_argument("--seed", help="weights, order, dropout and views [0]")
    made.add_argument("--epochs", help="passes over the data, at most [200, or the data set's]")
    made.add_argument("--examples", help="prefixes or windows [the data set's]")
    made.add_argument("--protocol", help=argparse.SUPPRESS)  # what --examples was called before
    made.add_argument("--config", type=path, metavar="FILE", help="a run's config.yaml to repeat")
    made.add_argument("--out", type=path, metavar="DIR", help="the run's folder [runs/...]")
    made.add_argument(
        "--name", metavar="NAME", help="its folder is runs/NAME; also its name at W&B"
    )
    made.add_argument("--resume", action="store_true", help="continue the run in --out DIR")
    add_plugin(made)
    add_json(made)


def add_evaluate(commands: Any) -> None:
    about = "rank again with a finished run's model, or rank what another model says"
    made = add(commands, "evaluate", evaluate, about)
    made.set_defaults(fields=("evaluate", "split"))
    evaluate_options(made)
    add_moved(made)
    add_json(made)


def add_recommend(commands: Any) -> None:
    about = "the next items for a history, for users, or for all of them"
    made = add(commands, "recommend", recommend, about)
    recommend_options(made)
    add_moved(made)
    add_json(made)


def add_export(commands: Any) -> None:
    about = "embeddings as .npy, the model as .onnx, or a folder to publish, with a model card"
    made = add(commands, "export", run.export, about)
    made.add_argument("run", type=path, metavar="RUN_DIR")
    made.add_argument("--what", choices=["items", "users", "onnx", "card"], required=True)
    made.add_argument("--to", type=path, required=True, metavar="FILE.npy|FILE.onnx|DIR")
    add_read(made)
    add_moved(made)


def add_data(commands: Any) -> None:
    made = add(commands, "data", data, "convert a raw file to a data set, checked and filtered")
    data_options(made)


def add_study(commands: Any) -> None:
    made = add(commands, "study", study, "train all that answers a question; resumes")
    made.set_defaults(fields=("track", "slurm"))
    study_options(made)
    add_plugin(made)


def add_report(commands: Any) -> None:
    about = "tables, tests of significance and plots, from the results alone"
    made = add(commands, "report", run.report_studies, about)
    made.add_argument("studies", nargs="*", metavar="STUDY", help="names of studies [all]")
    made.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where a page, table or plot is behind the results",
    )
    made.add_argument(
        "--add", type=path, metavar="DIR", help="first merge DIR/record.jsonl into the results"
    )
    made.add_argument(
        "--to", type=path, metavar="DIR", default=Path("runs/report"),
        help="where tables, plots and report.html go [runs/report]",
    )  # fmt: skip


def add_bench(commands: Any) -> None:
    made = add(commands, "bench", run.bench, "side by side with RecBole's own code, in one run")
    made.add_argument("--dataset", help="[ml-100k; with --gpu made-up data]")
    add_data_dir(made)
    made.add_argument("--steps", type=int, default=100, help="timed steps of each subject [100]")
    made.add_argument("--rounds", type=int, help="times that each is measured [3]")
    made.add_argument("--trace", type=path, metavar="FILE", help="write a torch.profiler trace")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--presets", action="store_true", help="an epoch of every preset instead")
    which.add_argument("--scale", action="store_true", help="growing made-up data instead")
    which.add_argument("--gpu", action="store_true", help="steps, trainings, memory of one GPU")
    made.add_argument(
        "--budget", type=float, metavar="SECONDS", help="that --gpu may take in all [540]"
    )
    made.add_argument(
        "--to", type=path, metavar="DIR",
        help="where its figures go, and the plot of --scale [runs/bench]",
    )  # fmt: skip
    add_json(made)


def add_inspect(commands: Any) -> None:
    about = "a history and its views side by side; how often an operator changes nothing"
    made = add(commands, "inspect", run.inspect, about)
    made.set_defaults(fields=True)
    made.epilog = FIELDS_HELP
    made.add_argument("--model", help="a preset [cl4srec]")
    made.add_argument("--dataset", help="a known data set or a file's stem in DIR [ml-100k]")
    add_data_dir(made)
    made.add_argument("--seed", help="decides the views [0]")
    made.add_argument("--user", metavar="ID", help="the data file's user id [the first of them]")
    add_plugin(made)


def add_explain(commands: Any) -> None:
    about = "what a field, kind, preset or data set is"
    made = add(commands, "explain", run.explain, about)
    made.add_argument(
        "field", metavar="NAME",
        help="train.clip_norm, contrast.0.temperature, temperature; bsarec, cl4srec, beauty",
    )  # fmt: skip
    add_plugin(made)


def add_list(commands: Any) -> None:
    about = "operators, tasks, losses, encoders, presets, data sets, studies"
    made = add(commands, "list", run.show_list, about)
    made.add_argument("--fields", action="store_true", dest="all_fields", help="all fields instead")
    add_plugin(made)


def add_compare(commands: Any) -> None:
    about = "trained runs beside each other: fields, metrics, paired bootstrap over users"
    made = add(commands, "compare", run.compare, about)
    made.add_argument("runs", type=path, nargs="+", metavar="RUN_DIR", help="the first: the base")
    made.add_argument("--to", type=path, metavar="FILE.svg", help="also draw them (svg, png, pdf)")
    add_json(made)
