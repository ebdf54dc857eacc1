"""Our model is a RecBole model: RecBole's own loaders, Trainer and evaluation run it unchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer

from experiments.data.histories import Histories
from experiments.data.splits.held_out import train_split
from experiments.evaluation.ranking import evaluate
from experiments.recbole.config import recbole_config, write_atomic_file
from models.encoders import EncoderConfig, GRUConfig, SelfAttentionConfig
from models.losses.next_item import CrossEntropy
from models.recbole_plug import SASRec, train_histories
from models.tasks import AugmentedViews, SameUser, Task
from tests.experiments.small_data import histories_of, planted

pytestmark = [  # RecBole's own, from its pandas and torch code
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LENGTH = 6
ATTENTION = SelfAttentionConfig(dim=16, inner=16, dropout=0.1, max_length=LENGTH)
GRU = GRUConfig(dim=16, hidden=16, dropout=0.1, max_length=LENGTH)
CL4SREC = (AugmentedViews(name="views"),)


@dataclass
class Pipeline:
    """What RecBole makes of a data set and our model class, by its own functions."""

    histories: Histories
    config: Any
    dataset: Any
    loaders: tuple[Any, Any, Any]
    model: SASRec
    trainer: Trainer

    def losses(self) -> list[float]:
        """RecBole's training loss of each epoch so far, averaged over its batches."""
        return [loss / len(self.loaders[0]) for loss in self.trainer.train_loss_dict.values()]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RecBole's Trainer writes log_tensorboard into the current folder."""
    monkeypatch.chdir(tmp_path)


def pipeline(
    folder: Path,
    contrast: tuple[Task, ...] = (),
    encoder: EncoderConfig = ATTENTION,
    single: int = 0,
) -> Pipeline:
    """On planted histories, after some of a single item."""
    histories = histories_of([[5]] * single + planted(shortest=5, longest=8))
    write_atomic_file(histories, folder, "given")
    fields = {
        "encoder": encoder,
        "next_item": CrossEntropy(),
        "contrast": contrast,
        "seed": 0,
        "epochs": 12,
        "learning_rate": 0.02,
        "train_batch_size": 64,
        "eval_batch_size": 1000,
        "stopping_step": 12,
    }
    config = recbole_config(SASRec, folder, "given", LENGTH, fields)
    torch.manual_seed(0)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    model = SASRec(config, train.dataset)
    return Pipeline(histories, config, dataset, (train, valid, test), model, Trainer(config, model))


def renumbered(run: Pipeline) -> Histories:
    """The same histories in RecBole's item numbers."""
    numbers = run.dataset.token2id("item_id", run.histories.items.astype(str).tolist())
    return replace(run.histories, items=np.asarray(numbers, dtype=np.int64))


@pytest.mark.parametrize(
    ("contrast", "encoder"),
    [((), ATTENTION), (CL4SREC, ATTENTION), (CL4SREC, GRU)],
    ids=["sasrec", "cl4srec", "cl4srec-gru"],
)
def test_recboles_trainer_fits_our_model_and_its_metrics_equal_ours(tmp_path, contrast, encoder):
    run = pipeline(tmp_path, contrast, encoder)
    train, valid, test = run.loaders
    run.trainer.fit(train, valid, saved=False, show_progress=False)
    theirs = run.trainer.evaluate(test, load_best_model=False)

    assert run.losses()[-1] < run.losses()[0] - 1.0
    assert run.model.epoch == 12
    assert theirs["hit@10"] > 0.9
    run.model.eval()
    ours = evaluate(run.model, renumbered(run), "test", LENGTH, 1000, torch.device("cpu"))
    named = {name.replace("hr", "hit"): v for name, v in ours.metrics()["ranked"].items()}
    assert named == pytest.approx(dict(theirs), abs=1e-6)


def test_the_histories_read_back_from_recboles_rows_are_the_training_split(tmp_path):
    run = pipeline(tmp_path)
    found = train_histories(run.loaders[0].dataset)
    expected = train_split(renumbered(run))
    assert found.items.tolist() == expected.items.tolist()
    assert found.offsets.tolist() == expected.offsets.tolist()
    assert found.num_items == expected.num_items == 30


def test_a_batchs_users_are_those_of_the_mined_histories(tmp_path):
    """Also where some users have one item, and so no row to train on."""
    run = pipeline(tmp_path, (SameUser(name="it"),), single=3)
    train, seen = run.model.train_split, []
    assert len(train.offsets) - 1 == run.histories.num_users - 3
    for interaction in run.loaders[0]:
        users = run.model.user_rows[interaction["user_id"]]
        for user, target in zip(users, interaction["item_id"], strict=True):
            history = train.items[train.offsets[user] : train.offsets[user + 1]]
            assert target in history[1:]
            seen.append(user.item())
    assert set(seen) == set(range(len(train.offsets) - 1))
    assert run.model.calculate_loss(interaction).isfinite()


def test_recboles_numbering_is_not_ours_so_that_these_tests_mean_something(tmp_path):
    run = pipeline(tmp_path)
    assert renumbered(run).items.tolist() != run.histories.items.tolist()


def test_predict_is_a_column_of_full_sort_predict(tmp_path):
    run = pipeline(tmp_path)
    batch = next(iter(run.loaders[0]))
    run.model.eval()
    with torch.no_grad():
        scores = run.model.full_sort_predict(batch)
        chosen = run.model.predict(batch)
    targets = batch["item_id"]
    torch.testing.assert_close(chosen, scores.gather(1, targets[:, None])[:, 0])
