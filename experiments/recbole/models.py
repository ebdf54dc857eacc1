"""RecBole's own sequential models under our protocol, evaluation, tracking and results."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from recbole.data import create_dataset
from recbole.data.interaction import Interaction
from recbole.data.transform import construct_transform
from recbole.trainer import Trainer
from recbole.utils import InputType, get_trainer
from torch import Generator, Tensor, nn

from augment import Sequences
from experiments.config.presets import RECBOLE
from experiments.config.run_config import Config
from experiments.data.histories import Histories
from experiments.errors import UsageError, unknown
from experiments.recbole.config import RecBoleConfig, quiet, recbole_config, write_atomic_file
from models.baselines import score_blocks
from models.host import Losses
from models.tasks import Batch

FOLDER = Path(str(importlib.util.find_spec("recbole").origin)).parent  # type: ignore[union-attr]
DATASET = "histories"


class RecBoleModel(nn.Module):
    """Hosts one of RecBole's models: our batches in its numbering, its scores in ours."""

    item_number: Tensor

    def __init__(self, model: Any, config: RecBoleConfig, dataset: Any, num_items: int) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.dataset = dataset
        self.transform = construct_transform(config)
        tokens = [str(item) for item in range(1, num_items + 1)]
        numbers = [0, *dataset.token2id("item_id", tokens).tolist()]
        self.register_buffer("item_number", torch.tensor(numbers), persistent=False)

    @staticmethod
    def build(config: Config, histories: Histories, device: torch.device) -> RecBoleModel:
        """The model that `recbole:NAME` names; UsageError where it does not fit what is ours."""
        name = config.model.removeprefix(RECBOLE)
        check_name(name)
        check_fields(name, config.recbole)
        if config.examples != "prefixes":
            raise UsageError(f"examples: {config.model} trains on prefixes only")
        with tempfile.TemporaryDirectory() as folder, quiet():
            write_atomic_file(histories, Path(folder), DATASET)
            values = {**config.recbole, "device": device, "seed": config.seed}
            fields = recbole_config(name, Path(folder), DATASET, config.encoder.max_length, values)
            check_training(name, fields)
            try:
                train, _, _ = create_dataset(fields).build()
                construct_transform(fields)  # some models read fields that only this sets
                torch.manual_seed(config.seed)
                model = fields.model_class(fields, train).to(device)
            except Exception as error:  # of RecBole's code: features or graphs it looks for
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                raise UsageError(
                    f"model: recbole:{name} cannot be built from histories alone ({reason})"
                ) from error
        hosted = RecBoleModel(model, fields, train, histories.num_items).to(device)
        check_scores(name, hosted, device)
        return hosted

    def objectives(self) -> int:
        """The loss has one part."""
        return 1

    def start_epoch(self, epoch: int, rng: Generator) -> None:
        """Nothing is mined."""

    def losses(self, batch: Batch, rng: Generator, diagnose: bool = False) -> Losses:
        """RecBole's loss; the entries of a tuple are added, as its Trainer does."""
        interaction = self.interaction(batch.histories)
        interaction.update(Interaction({"item_id": self.item_number[batch.targets]}))
        loss = self.model.calculate_loss(self.transform(self.dataset, interaction))
        total: Tensor = torch.stack(loss).sum() if isinstance(loss, tuple) else loss
        return Losses(total, {"next_item": total}, {"train/loss": total.detach()})

    def scores(self, histories: Sequences) -> Tensor:
        """[B, num_items + 1] in our numbering; column 0 is padding."""
        scores = self.model.full_sort_predict(self.interaction(histories))
        ours: Tensor = scores.view(len(histories), -1)[:, self.item_number]
        return ours

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        """[<= rows, num_items] at a time, each scored by RecBole's model on its own."""
        return score_blocks(self.scores, histories, rows)

    def interaction(self, histories: Sequences) -> Any:
        """RecBole's batch: lists padded to the full length, in RecBole's numbering."""
        width = self.config["MAX_ITEM_LIST_LENGTH"]
        items = F.pad(self.item_number[histories.items], (0, width - histories.width))
        return Interaction({"item_id_list": items, "item_length": histories.lengths})


def sequential_models() -> dict[str, str]:
    """Class name -> module file of RecBole's sequential models, read without importing them."""
    names = {}
    for path in sorted((FOLDER / "model" / "sequential_recommender").glob("*.py")):
        for name in re.findall(
            r"^class (\w+)\(SequentialRecommender\)", path.read_text(encoding="utf-8"), re.M
        ):
            names[name] = path.stem
    return names


def check_name(name: str) -> None:
    """Only the names of RecBole's sequential models."""
    models = sequential_models()
    if name not in models:
        raise UsageError(f"model: recbole:{name}: {unknown(name, models)}")


def check_fields(name: str, fields: dict[str, Any]) -> None:
    """Only fields that RecBole's YAML for this model declares."""
    path = FOLDER / "properties" / "model" / f"{name}.yaml"
    known = yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}
    for field in fields:
        if field not in known:
            raise UsageError(f"recbole.{field}: {unknown(field, known)}")


def check_training(name: str, fields: RecBoleConfig) -> None:
    """Refuse what needs a trainer of its own or sampled negatives."""
    if get_trainer(fields["MODEL_TYPE"], name) is not Trainer:
        raise UsageError(f"model: recbole:{name} needs a trainer of its own, which is not hosted")
    if fields["MODEL_INPUT_TYPE"] == InputType.PAIRWISE:
        raise UsageError(f"model: recbole:{name} is trained on sampled negatives, not hosted")


def check_scores(name: str, model: RecBoleModel, device: torch.device) -> None:
    """Refuse a model that cannot score a history alone."""
    item = torch.ones(1, 1, dtype=torch.int64, device=device)
    model.eval()
    try:
        with torch.no_grad():
            model.scores(Sequences(item, item[0]))
    except (KeyError, NotImplementedError, TypeError, ValueError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(
            f"model: recbole:{name} cannot score a history alone with these fields ({reason})"
        ) from None
