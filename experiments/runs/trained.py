"""A trained run in Python: what it recorded, and what its model says of histories.

Items and users are the data file's own ids, as texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from augment import Sequences
from experiments.config.plugin import load_plugins
from experiments.config.run_config import Config
from experiments.data.histories import IntArray
from experiments.data.splits.held_out import Read
from experiments.errors import UsageError, unknown
from experiments.evaluation.export import item_vectors, user_vectors
from experiments.evaluation.recommend import (
    as_table,
    best_items,
    check_at_least_one,
    check_times,
    known_items,
    lists_of,
)
from experiments.storage.run_folder import RunFolder, existing_run
from experiments.training.integrity import existing_ranks, existing_result
from experiments.training.reload import reload
from models.recbole_plug import SASRec

if TYPE_CHECKING:
    from experiments.training.run import Run

AnyPath = str | os.PathLike[str]
Floats = NDArray[np.float32]
AT_ONCE = 512  # histories that are scored together


class TrainedRun:
    """The folder of a run and its best weights.

    Nothing in the folder is executed: tensors are read as safetensors, the rest as YAML and JSON.

    folder: the run's files.  config: its whole configuration.  model: a torch module in
    evaluation mode.  device: where it computes.
    """

    def __init__(self, folder: RunFolder, run: Run) -> None:
        self.folder = folder
        self._run = run
        self.config: Config = run.config
        self.model = run.model
        self.device = run.device

    def __repr__(self) -> str:
        return f"<run of {self.config.model} on {self.config.dataset} in {self.folder.path}>"

    # What was recorded -----------------------------------------------------------------------

    @cached_property
    def result(self) -> dict[str, Any]:
        """result.json.  Errors: UsageError for a run that is not finished or was changed."""
        return existing_result(self.folder)

    @property
    def metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """metrics["test"]["excluded"]["ndcg@10"]: by split, rule for seen items, and name."""
        metrics: dict[str, dict[str, dict[str, float]]] = self.result["metrics"]
        return metrics

    @property
    def history(self) -> pd.DataFrame:
        """A row an epoch: losses, rates, validation metrics, diagnostics; NaN where not taken.

        Empty for a baseline, which has no epochs.
        """
        records = pd.DataFrame(self.folder.read_history())
        return records.set_index("epoch") if len(records) else records

    @property
    def ranks(self) -> pd.DataFrame:
        """ranks.npz: each test target's rank, a column a rule; inf where it was seen before and
        seen items are excluded."""
        return pd.DataFrame(existing_ranks(self.folder)).set_index("user_ids")

    # Ids -------------------------------------------------------------------------------------

    @property
    def item_ids(self) -> NDArray[np.str_]:
        """[num_items] in the order of the columns of `scores` and rows of `item_embeddings`."""
        return self._run.histories.item_ids[1:]

    @property
    def user_ids(self) -> NDArray[np.str_]:
        """[num_users] in the order of the rows of `user_embeddings`."""
        return self._run.histories.user_ids

    @property
    def titles(self) -> dict[str, str]:
        """Title of an item by its id, where the data has titles."""
        return self._run.histories.titles

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The model's number of each item id; 0 is padding."""
        return known_items(self._run.histories)

    # What the model says ---------------------------------------------------------------------

    def recommend(
        self, histories: Iterable[Sequence[str]], k: int = 10, seen: str = "drop"
    ) -> pd.DataFrame:
        """The k best items after each history, best first.

        histories: lists of item ids, oldest first.  seen: "drop" leaves out the items of the
        history itself, "keep" lets them compete.
        Returns columns history (its place in `histories`), rank, item, score, title.
        Errors: UsageError for an empty history, an unknown id, or k below 1.
        """
        numbered = self._numbered(histories)
        lists = lists_of(numbered, len(self.item_ids))
        length, block = self.config.encoder.max_length, self.config.evaluate.block
        best = best_items(self.model, lists, k, length, self.device, seen, block)
        table = as_table(best, [str(place) for place in range(len(numbered))], self._run.histories)
        table = table.rename(columns={"user": "history"}).astype({"history": int})
        return table.reindex(columns=["history", "rank", "item", "score", "title"])

    def scores(self, histories: Iterable[Sequence[str]]) -> Floats:
        """[histories, num_items] float32: a score for every item, seen ones too."""
        parts = [scores.cpu().numpy() for scores in self._scored(self._numbered(histories))]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.item_ids)), np.float32)

    @torch.inference_mode()
    def encode(self, histories: Iterable[Sequence[str]]) -> Floats:
        """[histories, d] float32: the state after each history.

        Its dot products with `item_embeddings` are the scores.
        Errors: UsageError also for a model that has no such states.
        """
        model = self._own("encode")
        parts = [
            model.represent(self._sequences(items)).float().cpu().numpy()
            for items in chunks(self._numbered(histories))
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.config.encoder.dim), "f4")

    def item_embeddings(self) -> Floats:
        """[num_items, d] float32, in the order of `item_ids`."""
        return item_vectors(self._own("item_embeddings"))

    def user_embeddings(self, split: Read = "all") -> Floats:
        """[num_users, d] float32, in the order of `user_ids`: the state after a user's history.

        split: how much of it is read: "all", or what the evaluation of "test" or "valid" reads;
        NaN for a user of whom that is nothing, who may be under a temporal split.
        """
        if split not in ("all", "test", "valid"):
            raise UsageError(f"split: {unknown(split, ['all', 'test', 'valid'])}")
        length = self.config.encoder.max_length
        model, histories = self._own("user_embeddings"), self._run.histories
        vectors, users = user_vectors(model, histories, split, length)
        embeddings = np.full((histories.num_users, vectors.shape[1]), np.nan, np.float32)
        embeddings[users] = vectors
        return embeddings

    def similar_items(self, item: str, k: int = 10) -> pd.DataFrame:
        """The k items whose embeddings have the highest cosine with this one's.

        Errors: UsageError for an unknown id, k below 1, or a model without embeddings.
        """
        check_at_least_one(k)
        vectors = self.item_embeddings()
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosine = vectors @ vectors[self._number(item, "item") - 1]
        best: IntArray = np.argsort(-cosine, kind="stable")
        best = best[best != self.numbers[item] - 1][:k]
        ids = self.item_ids[best].tolist()
        titles = [self.titles.get(name) for name in ids]
        return pd.DataFrame({"item": ids, "cosine": cosine[best], "title": titles})

    # Inside ----------------------------------------------------------------------------------

    def _own(self, what: str) -> SASRec:
        if not isinstance(self.model, SASRec):
            raise UsageError(f"{what}: {self.config.model} has no embeddings of its own here")
        return self.model

    def _number(self, item: str, where: str) -> int:
        if item not in self.numbers:
            known = list(self.numbers)[:5]
            raise UsageError(f"{where}: {unknown(item, known)}, ...; ids are texts, as in the data")
        return self.numbers[item]

    def _numbered(self, histories: Iterable[Sequence[str]]) -> list[list[int]]:
        """Item numbers of each history."""
        numbered = []
        for place, history in enumerate(histories):
            if isinstance(history, (str, bytes)):
                raise UsageError(
                    f"histories: entry {place} is a text, {history!r}: give a list of histories, "
                    'each a list of item ids, such as [["1", "2"]]'
                )
            items = [self._number(item, f"history {place}") for item in history]
            if not items:
                raise UsageError(f"history {place} is empty: give at least one item id")
            numbered.append(items)
        return numbered

    @torch.no_grad()
    def _scored(self, numbered: list[list[int]]) -> Iterator[Tensor]:
        """[n, num_items] scores of some histories at a time."""
        for items in chunks(numbered):
            blocks = self.model.score_blocks(self._sequences(items), len(items))
            yield torch.cat([block.float() for block in blocks]).clone()

    def _sequences(self, numbered: list[list[int]]) -> Sequences:
        """The latest max_length items of each, right-padded."""
        check_times(self.model, lists_of(numbered, len(self.item_ids)))
        recent = [items[-self.config.encoder.max_length :] for items in numbered]
        lengths = torch.tensor([len(items) for items in recent])
        padded = torch.zeros(len(recent), int(lengths.max()), dtype=torch.long)
        for row, items in zip(padded, recent, strict=True):
            row[: len(items)] = torch.tensor(items)
        return Sequences(padded.to(self.device), lengths.to(self.device))


def chunks(numbered: list[list[int]]) -> Iterator[list[list[int]]]:
    for first in range(0, len(numbered), AT_ONCE):
        yield numbered[first : first + AT_ONCE]


def names_of(plugins: AnyPath | Sequence[AnyPath]) -> list[str]:
    """One plug-in or several, files or modules, by their names."""
    several = [plugins] if isinstance(plugins, (str, os.PathLike)) else plugins
    return [os.fspath(plugin) for plugin in several]


def load_run(
    path: AnyPath,
    data_dir: AnyPath | None = None,
    plugins: AnyPath | Sequence[AnyPath] = (),
    device: str | None = None,
) -> TrainedRun:
    """A trained run from its folder, with its best weights.

    data_dir: where the data is now, if it was moved.  plugins: FILE.py or module names that the
    run was trained with.  device: cpu, cuda or cuda:N, if not what train.device says.
    Errors: UsageError for a folder without a model, and where configuration, data or weights are
    not those that the run was trained with.
    """
    load_plugins(names_of(plugins))
    folder = existing_run(Path(path))
    run = reload(folder.path, None if data_dir is None else Path(data_dir), device)
    return TrainedRun(folder, run)
