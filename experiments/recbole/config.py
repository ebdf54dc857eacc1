"""RecBole's Config without its surprises, for RecBole's models, loaders and Trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.config import Config as StockConfig

from experiments.data.histories import Histories, IntArray
from experiments.data.splits.held_out import train_split
from experiments.errors import UsageError


class RecBoleConfig(StockConfig):  # type: ignore[misc]  # RecBole is not typed
    """Takes its values from its arguments only.

    RecBole's own reads sys.argv, evaluates strings as Python, fails on names that NumPy 2 took
    away, and picks the device by an environment variable; everything else is inherited.
    """

    def compatibility_settings(self) -> None:
        """RecBole's metrics still say np.float: put back what is gone, leave what is there."""
        for kind in (bool, int, float, complex):
            if not hasattr(np, kind.__name__):
                setattr(np, kind.__name__, kind)

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}

    def _convert_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
        return config_dict

    def _init_device(self) -> None:
        values = self.final_config_dict
        values["device"] = torch.device(values.get("device", "cpu"))
        values |= {"single_spec": True, "local_rank": 0}


def recbole_config(
    model: Any, data_path: Path, dataset: str, max_length: int, values: dict[str, Any]
) -> RecBoleConfig:
    """A sequential model's Config under our protocol: leave-one-out, full ranking, CE.

    model:  the name of one of RecBole's models, or a class of ours.
    values: RecBole fields; they win over everything set here.
    RecBole writes nothing: its checkpoints, logs and caches are off, or go to data_path.
    Errors: UsageError where there are caches to read.
    """
    fields: dict[str, Any] = {
        "data_path": str(data_path),
        "checkpoint_dir": str(data_path),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": max_length,
        "train_neg_sample_args": None,
        "eval_args": {
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "group_by": "user",
            "mode": "full",
        },
        "repeatable": True,
        "metrics": ["Hit", "NDCG", "MRR"],
        "topk": [5, 10, 20],
        "valid_metric": "NDCG@10",
        "metric_decimal_place": 10,
        "show_progress": False,
        **values,
    }
    config = RecBoleConfig(model=model, dataset=dataset, config_dict=fields)
    torch.autograd.set_detect_anomaly(False)  # one of the models it imports switches this on
    refuse_caches(config)
    return config


def refuse_caches(config: RecBoleConfig) -> None:
    """UsageError where RecBole would unpickle a data set or loaders, which runs what they say."""
    named = [config[key] for key in ("dataset_save_path", "dataloaders_save_path")]
    for cache in [*filter(None, named), *Path(config["checkpoint_dir"]).glob("*.pth")]:
        raise UsageError(f"{cache}: RecBole would unpickle this cache; take it away")


@contextmanager
def quiet() -> Iterator[None]:
    """RecBole's preparation without its log lines and the warnings of its pandas code."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(before)


def write_atomic_file(histories: Histories, folder: Path, name: str) -> None:
    """folder/name/name.inter for RecBole's Dataset: our numbers as tokens, positions as times.

    RecBole splits it leave-one-out.  Where our split is another one, the file has the training
    part alone and two interactions behind it that stand for the held-out ones.
    """
    target = folder / name
    target.mkdir(parents=True)
    items = histories.items
    users = np.repeat(np.arange(histories.num_users), histories.lengths)
    if histories.parts is not None:
        users, items = with_places_to_hold_out(histories)
    table = pd.DataFrame(
        {
            "user_id:token": users,
            "item_id:token": items,
            "timestamp:float": range(len(items)),
        }
    )
    table.to_csv(target / f"{name}.inter", sep="\t", index=False)


def with_places_to_hold_out(histories: Histories) -> tuple[IntArray, IntArray]:
    """[N] users and items: each user's training items, and the last of them twice more.

    An item that nobody is trained on is all that a further user has, three times: RecBole gives
    it a number, and has no training row of that user.
    """
    train = train_split(histories)
    items, ends = train.items.numpy(), train.offsets.numpy()[1:]
    users = np.repeat(np.arange(len(ends)), np.diff(train.offsets.numpy()))
    unknown = np.setdiff1d(np.arange(1, histories.num_items + 1), items)
    more = np.concatenate([np.arange(len(ends)), len(ends) + np.arange(len(unknown))])
    held_out = np.concatenate([items[ends - 1], unknown])
    users = np.concatenate([users, np.repeat(more, 2), more[len(ends) :]])
    items = np.concatenate([items, np.repeat(held_out, 2), unknown])
    order = np.argsort(users, kind="stable")
    return users[order], items[order]
