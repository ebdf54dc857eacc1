"""`run.py evaluate`: a finished run ranked again, or another model's result by our protocol."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.cli.arguments import path
from experiments.cli.commands import reload
from experiments.errors import UsageError

if TYPE_CHECKING:
    from experiments.config.run_config import Config
    from experiments.data.histories import Histories
    from experiments.evaluation.ranking import EvaluationOptions, FloatArray

OTHERS = Path("runs/checkpoints.jsonl")
OF_OTHERS = (
    "dataset", "name", "items", "users", "ranks", "doubled", "source", "commit", "note",
    "official", "to", "publish",
)  # fmt: skip


EVALUATE_HELP = """
how it is evaluated is set by --evaluate.key=value, such as --evaluate.cutoffs=[1,10,50,100]
"""


def evaluate_options(made: argparse.ArgumentParser) -> None:
    made.epilog = EVALUATE_HELP
    made.add_argument("run", type=path, metavar="RUN_DIR", nargs="?")
    made.add_argument("--split", choices=["valid", "test"], default="test")
    made.add_argument("--beyond", action="store_true", help="coverage, popularity, novelty too")
    made.add_argument("--score0", action="store_true", help="with seen items at score 0, too")
    other = made.add_argument_group("another model's result, instead of RUN_DIR")
    other.add_argument("--ranks", type=path, metavar="FILE.npz", help="each user's rank, by rule")
    other.add_argument("--doubled", action="store_true", help="the file holds twice the rank")
    other.add_argument("--users", type=path, metavar="FILE.npy", help="a vector for each user")
    other.add_argument("--items", type=path, metavar="FILE.npy", help="a vector for each item")
    other.add_argument("--dataset", help="whose users and items they are")
    other.add_argument("--name", help="of the model, in the results")
    other.add_argument("--source", metavar="OWNER/REPOSITORY", help="where it was published")
    other.add_argument("--commit", help="of that repository")
    other.add_argument("--note", metavar="TEXT", help="what was evaluated")
    other.add_argument(
        "--official", metavar="hr@10=X,ndcg@10=Y", help="what the source gives, by its own rule"
    )
    other.add_argument("--to", type=path, metavar="FILE.jsonl", help="[runs/checkpoints.jsonl]")
    other.add_argument("--publish", action="store_true", help="write to the committed results")


def evaluate(arguments: argparse.Namespace) -> None:
    """Rank again with a finished run's model, or rank what another model says."""
    from experiments.evaluation.formatting import table

    for flag in ("score0", "beyond"):
        if getattr(arguments, flag):
            arguments.overrides.append((f"evaluate.{flag}", True))
    if arguments.run is not None:
        given = [name for name in OF_OTHERS if getattr(arguments, name) not in (None, False)]
        if given:
            raise UsageError(f"--{given[0]}: is for another model's result, without RUN_DIR")
        for key, _ in arguments.overrides:
            if key.startswith("split."):
                raise UsageError(
                    f"--{key}: a run is ranked under the split that it was trained on; another "
                    "one may have trained on its targets"
                )
        metrics = reload(arguments).evaluate(arguments.split).metrics()
        print(table(metrics))
    else:
        metrics, where = of_another_model(arguments)
        print(f"{table(metrics)}\n{where}")
    if arguments.json:
        print(json.dumps({arguments.split: metrics}))


def of_another_model(arguments: argparse.Namespace) -> tuple[dict[str, dict[str, float]], str]:
    """Its metrics, and where its line is now."""
    check(arguments)
    from experiments.config.resolve import resolve
    from experiments.config.run_config import config_tree
    from experiments.data.catalogue import load
    from experiments.data.splits.kinds import LeaveOneOut
    from experiments.evaluation.other_models import rank_metrics, read_ranks
    from experiments.evaluation.ranking import EvaluationOptions
    from experiments.record.checkpoints import FILE, add_checkpoint, checkpoint_line
    from experiments.record.results_file import RESULTS

    fields = [("model", "popularity"), ("dataset", arguments.dataset)]  # of no model: for the data
    if arguments.data_dir is not None:
        fields.append(("data_dir", str(arguments.data_dir.absolute())))
    config, spec = resolve(None, [*fields, *arguments.overrides])
    tree = config_tree(config)
    leave_one_out = isinstance(config.split, LeaveOneOut)
    if arguments.publish and not (leave_one_out and config.ties == "file"):
        raise UsageError(
            "--publish: the table of committed checkpoints is of leave-one-out and ties: file, "
            f"not of split.kind: {tree['split']['kind']} and ties: {config.ties}"
        )
    histories = load(spec, config.ties, config.split)
    options = EvaluationOptions(
        config.evaluate.cutoffs, config.evaluate.score0, config.evaluate.beyond
    )
    official = official_metrics(arguments.official)
    if arguments.ranks is not None:
        ranks = read_ranks(arguments.ranks, histories, arguments.doubled)
        metrics = rank_metrics(ranks, options)
    else:
        ranks, metrics = from_vectors(arguments, config, histories, options)
    about: dict[str, Any] = {
        "checkpoint": arguments.name,
        "dataset": arguments.dataset,
        "data_sha256": histories.sha256,
        "users": len(next(iter(ranks.values()))),
        "source": arguments.source or "",
        "commit": arguments.commit or "",
        "note": arguments.note or "",
        "official": official,
    }
    if not leave_one_out:
        about["split"] = tree["split"]
    if config.ties != "file":
        about["ties"] = config.ties
    if arguments.split == "valid":
        return metrics, "of validation: not kept, since results are of test"
    to = RESULTS / FILE if arguments.publish else arguments.to or OTHERS
    return metrics, add_checkpoint(to, checkpoint_line(about, metrics, ranks))


def from_vectors(
    arguments: argparse.Namespace, config: Config, histories: Histories, options: EvaluationOptions
) -> tuple[dict[str, FloatArray], dict[str, dict[str, float]]]:
    """Ranks and metrics by rule, where a score is the product of two vectors."""
    import torch

    from experiments.evaluation.other_models import read_vectors
    from experiments.evaluation.ranking import evaluate as rank
    from experiments.training.environment import keep_memory

    keep_memory()
    vectors = read_vectors(arguments.users, arguments.items, histories, arguments.split)
    length, block = config.encoder.max_length, config.evaluate.block
    cpu = torch.device("cpu")
    try:
        evaluation = rank(vectors, histories, arguments.split, length, block, cpu, options=options)
    except FloatingPointError:
        raise UsageError(
            f"{arguments.users} and {arguments.items}: the product of a user's and an item's "
            "vector is not finite in float32; scale the vectors down"
        ) from None
    return evaluation.ranks, evaluation.metrics()


def check(arguments: argparse.Namespace) -> None:
    """UsageError where it is not clear what is to be evaluated."""
    vectors = [arguments.items, arguments.users]
    if (arguments.ranks is None) == (vectors == [None, None]):
        raise UsageError(
            "evaluate: give RUN_DIR, or another model's --ranks FILE.npz, or its --items FILE.npy "
            "and --users FILE.npy"
        )
    if arguments.ranks is None and None in vectors:
        raise UsageError("evaluate: --items and --users go together")
    for name in ("dataset", "name"):
        if not getattr(arguments, name):
            raise UsageError(f"evaluate: another model's result needs --{name}")
    if arguments.doubled and arguments.ranks is None:
        raise UsageError("--doubled: is about the numbers in --ranks")
    if arguments.ranks is not None and (arguments.beyond or arguments.split == "valid"):
        flag = "--beyond" if arguments.beyond else "--split valid"
        raise UsageError(f"{flag}: ranks of test targets do not say; give --items and --users")
    if arguments.publish and arguments.to is not None:
        raise UsageError("--publish: names the file, so it does not go with --to")
    if arguments.publish and not arguments.source:
        raise UsageError("--publish: a committed result needs its --source")
    for name in ("name", "source", "commit", "note"):
        if not (getattr(arguments, name) or "").isprintable():
            raise UsageError(f"--{name}: has to be one line of printable text")


def official_metrics(text: str | None) -> dict[str, float]:
    """`hr@10=.0959,ndcg@10=.0578` as numbers."""
    found = {}
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        name, _, value = part.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = -1.0
        if not re.fullmatch(r"(hr|ndcg|mrr)@[1-9]\d*", name) or not 0.0 <= found[name] <= 1.0:
            raise UsageError(
                f"--official: {part!r}: give metrics such as hr@10=.0959,ndcg@10=.0578"
            )
    return found
