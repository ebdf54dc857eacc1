"""A trained model as a folder to publish: weights, configuration, ids of items, and a model card.

The layout is the one that the Hugging Face hub shows: README.md with the card's metadata,
model.safetensors, config.json.  Nothing of users is in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from experiments.config.run_config import config_tree
from experiments.data.histories import Histories
from experiments.metric_names import RULE_WORDS
from experiments.storage.new_files import copy_of, text_of, write_new
from experiments.storage.run_folder import RunFolder, as_yaml
from experiments.storage.yaml_file import as_text
from experiments.training.integrity import existing_result
from experiments.training.run import Run, trained
from models.recbole_plug import SASRec


def write_card(folder: RunFolder, run: Run, to: Path) -> str:
    """Write README.md, model.safetensors, config.json, config.yaml and items.txt; says where.

    items.txt: the data's id of item 1, 2, ..., a line each.
    Errors: UsageError for a run without a result, and where other files are there already.
    """
    result = existing_result(folder)
    tree = {**config_tree(run.config), "data_dir": None}
    writers = {
        "README.md": text_of(card(result, run)),
        "model.safetensors": copy_of(folder.weights),
        "config.json": text_of(json.dumps(tree, indent=2) + "\n"),
        "config.yaml": text_of(as_yaml(tree)),
        "items.txt": text_of("".join(f"{item}\n" for item in run.histories.item_ids[1:].tolist())),
    }
    write_new(to, writers, "choose another --to")
    return f"-> {to}: {', '.join(writers)}"


def card(result: dict[str, Any], run: Run) -> str:
    """The model card: metadata, then data, protocol, metrics, training and use."""
    head = yaml.safe_dump(metadata(result, run), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{head}---\n\n# {result['model']} on {result['dataset']}",
        about(result, run),
        "## Data\n\n" + data(result, run.histories),
        "## Metrics\n\n" + metrics(result, run),
        "## Training\n\n" + training(result, run),
        "## Use\n\n" + use(run),
        f"## Limits\n\n{limits(run)} The licence of the data decides what the weights may be used "
        "for; add `license:` to the metadata above.",
    ]
    return "\n\n".join(parts) + "\n"


def metadata(result: dict[str, Any], run: Run) -> dict[str, Any]:
    """What the hub reads: https://huggingface.co/docs/hub/model-cards."""
    measured = [
        {"type": name, "name": f"{name.upper()} ({split}, {RULE_WORDS[rule]})", "value": value}
        for split, rules in result["metrics"].items()
        for rule, values in rules.items()
        for name, value in values.items()
    ]
    contrastive = ["contrastive-learning"] if run.config.contrast else []
    return {
        "library_name": "seqcontrast",
        "tags": ["sequential-recommendation", "recommendation", *contrastive],
        "model-index": [
            {
                "name": f"{result['model']}-{result['dataset']}-seed{result['seed']}",
                "results": [
                    {
                        "task": {"type": "sequential-recommendation"},
                        "dataset": {"type": result["dataset"], "name": result["dataset"]},
                        "metrics": measured,
                    }
                ],
            }
        ],
    }


def about(result: dict[str, Any], run: Run) -> str:
    if not trained(run.model):
        return "Predicts the next item. A baseline: it has no parameters and is not trained."
    config, of_us = run.config, ""
    if isinstance(run.model, SASRec):
        tasks = ", ".join(task.name for task in config.contrast) or "none"
        kind = as_text(config_tree(config)["encoder"]["kind"])
        of_us = f"Encoder: {kind}, {config.encoder.dim} dimensions. Contrastive tasks: {tasks}. "
    return (
        f"Predicts the next item of a history of at most {config.encoder.max_length} items. "
        f"{of_us}{result['parameters']:,} parameters."
    )


def data(result: dict[str, Any], histories: Histories) -> str:
    return (
        f"{result['dataset']}: {histories.num_users:,} users, {histories.num_items:,} items, "
        f"{len(histories.items):,} interactions; sha256 `{result['data_sha256']}`."
    )


def metrics(result: dict[str, Any], run: Run) -> str:
    """A table of the test split, or of validation where test was not looked at."""
    split = "test" if "test" in result["metrics"] else "valid"
    rules = result["metrics"][split]
    names = list(next(iter(rules.values())))
    lines = [
        f"|{split}|{'|'.join(name.upper() for name in names)}|",
        "|---" * (len(names) + 1) + "|",
    ]
    lines += [
        f"|{RULE_WORDS[rule]}|{'|'.join(f'{values[name]:.4f}' for name in names)}|"
        for rule, values in rules.items()
    ]
    rule, name = run.config.train.monitor.split("/")
    chosen = (
        f" weights are those of the best epoch by validation {name.upper()} ({RULE_WORDS[rule]});"
    )
    return (
        f"The whole catalogue is ranked for every user;{chosen if trained(run.model) else ''} "
        f"test was {'looked at once' if split == 'test' else 'not looked at'}.\n\n"
        + "\n".join(lines)
    )


def training(result: dict[str, Any], run: Run) -> str:
    epochs = "Not trained"
    if trained(run.model):
        epochs = f"Seed {result['seed']}, best epoch {result['best_epoch']} of {result['epochs']}"
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{epochs}, {result['seconds']['total']:.0f} s on {result['device']}; {versions}; commit "
        f"`{result['commit']}`.\n\n`config.yaml` holds all fields. This repeats the run "
        "(`--data-dir DIR` says where the data are):\n\n"
        "```\npython run.py train --config config.yaml\n```"
    )


def limits(run: Run) -> str:
    if not trained(run.model):
        return "Evaluated on one data set."
    return "Trained and evaluated on one data set, with one seed."


def use(run: Run) -> str:
    table = (
        "; item i of the embedding table is line i of `items.txt` (row 0 is padding, the last row "
        "[mask])"
    )
    return (
        f"`model.safetensors` holds the model's tensors{table * isinstance(run.model, SASRec)}."
        "\n\n```python\n"
        "from safetensors.torch import load_file\n\n"
        'weights = load_file("model.safetensors")\n```'
    )
