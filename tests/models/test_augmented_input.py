"""Augmentation without contrast: what it changes, what it never touches, what off means."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from augment import Correlation, Crop, Insert, Mask, Operator, Reorder, Sequences, Substitute
from augment.sequences import gathered, positions
from models.augmented_input import AugmentConfig, AugmentedInput
from models.recbole_plug import SASRec
from models.tasks import AugmentedViews, Batch, View
from tests.histories import counting, generator, histories, real_items, seeds
from tests.models.tiny import (
    Examples,
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    train_steps,
    training_rows,
)

TRAIN = cyclic_histories(users=30, num_items=20, longest=14)
KEEPING = (Mask(0.5), Substitute(0.5))
ALL = (Crop(0.5), Mask(0.5), Reorder(0.5), Insert(0.5), Substitute(0.5))

both_examples = pytest.mark.parametrize("examples", ["prefixes", "windows"])


def fitted(probability: float, operators: tuple[Operator, ...], **fields: Any) -> AugmentedInput:
    augment = AugmentedInput(AugmentConfig(probability, operators, **fields), max_length=16)
    augment.fit(TRAIN)
    return augment


def batch_of(seqs: Sequences) -> Batch:
    rows = torch.arange(len(seqs))
    return Batch(seqs, rows + 1, rows, final=rows[:1])


def some_batch(examples: Examples = "prefixes") -> Batch:
    return random_batch(TRAIN, training_rows(TRAIN, examples), 8, seed=0)


def model_with(augment: AugmentConfig | None, *, contrast: bool = False) -> SASRec:
    tasks = [AugmentedViews("it")] if contrast else []
    return build_model(encoder_config("self_attention"), tasks, TRAIN, augment=augment)


# Off -----------------------------------------------------------------------------------------


def test_off_gives_the_batch_back_and_draws_nothing() -> None:
    batch, rng = some_batch(), generator(0)
    assert fitted(0.0, ALL)(batch, rng) is batch
    assert torch.equal(rng.get_state(), generator(0).get_state())


@both_examples
@pytest.mark.parametrize("contrast", [False, True])
def test_off_trains_bit_for_bit_as_if_it_were_not_there(examples: Examples, contrast: bool) -> None:
    plain = model_with(None, contrast=contrast)
    off = model_with(AugmentConfig(0.0, ALL, correlation=Correlation("hybrid")), contrast=contrast)
    assert train_steps(plain, TRAIN, examples, 5) == train_steps(off, TRAIN, examples, 5)
    assert plain.state_dict().keys() == off.state_dict().keys()
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, off.state_dict()[name]), name


# On ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", ["one", "chained"])
@given(seqs=histories(), seed=seeds, percent=st.integers(1, 100))
def test_histories_stay_well_formed_and_nothing_else_changes(
    draw: Any, seqs: Sequences, seed: int, percent: int
) -> None:
    batch = batch_of(seqs)
    items, lengths = seqs.items.clone(), seqs.lengths.clone()
    after = fitted(percent / 100, ALL, draw=draw)(batch, generator(seed))
    assert after.histories.width <= 16
    assert after.histories.lengths.min() >= 1
    assert torch.equal(after.histories.items != 0, after.histories.real())
    assert after.targets is batch.targets
    assert after.users is batch.users
    assert after.final is batch.final
    assert torch.equal(seqs.items, items)
    assert torch.equal(seqs.lengths, lengths)


@pytest.mark.parametrize("draw", ["one", "chained"])
@pytest.mark.parametrize(("probability", "share"), [(0.3, 0.3), (1.0, 1.0)])
def test_the_probability_is_the_share_of_changed_rows(
    draw: Any, probability: float, share: float
) -> None:
    augment = fitted(probability, (Mask(1.0),), draw=draw)
    rows = real_items(augment(batch_of(counting([2] * 2000)), generator(0)).histories)
    assert all(row in ([1, 2], [-1, -1]) for row in rows)
    assert sum(row == [-1, -1] for row in rows) / 2000 == pytest.approx(share, abs=0.04)


def test_one_operator_is_drawn_for_each_row_or_all_are_chained() -> None:
    operators = (Crop(0.5), Mask(1.0))
    batch = batch_of(counting([2] * 200))
    rows = real_items(fitted(1.0, operators)(batch, generator(0)).histories)
    assert {tuple(row) for row in rows} == {(1,), (2,), (-1, -1)}
    rows = real_items(fitted(1.0, operators, draw="chained")(batch, generator(0)).histories)
    assert {tuple(row) for row in rows} == {(-1,)}


@given(seed=seeds)
def test_labels_of_every_position_stay_where_they_were_unless_another_item_shows_them(
    seed: int,
) -> None:
    batch = some_batch("windows")
    after = fitted(1.0, KEEPING)(batch, generator(seed))
    assert batch.labels is not None
    assert after.labels is not None
    before, changed = batch.histories.items, after.histories.items
    for row, (old, new) in enumerate(
        zip(batch.labels.tolist(), after.labels.tolist(), strict=True)
    ):
        other = torch.where(changed != before, changed, 0)[row].tolist()
        shown = [label in other[: place + 1] for place, label in enumerate(old)]
        assert new == [0 if gone else label for label, gone in zip(old, shown, strict=True)]
    assert after.histories.items.shape == batch.histories.items.shape
    assert torch.equal(after.histories.lengths, batch.histories.lengths)
    assert not torch.equal(after.histories.items, batch.histories.items)


def labelled(seqs: Sequences) -> Batch:
    """Histories of 1, 2, 3, ... whose labels are the numbers that follow, all but the oldest."""
    labels = torch.where(seqs.real() & (seqs.items > 1), seqs.items + 1, 0)
    return replace(batch_of(seqs), labels=labels)


@pytest.mark.parametrize("draw", ["one", "chained"])
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6), seed=seeds)
def test_a_label_goes_with_its_item_and_no_later_item_stands_before_it(
    draw: Any, lengths: list[int], seed: int
) -> None:
    """Without operators that put in other items, each item's number is its place."""
    batch = labelled(counting(lengths))
    after = fitted(1.0, (Crop(0.5), Reorder(0.7)), draw=draw)(batch, generator(seed))
    assert after.labels is not None
    for row, labels in zip(after.histories.items.tolist(), after.labels.tolist(), strict=True):
        for place, (item, label) in enumerate(zip(row, labels, strict=True)):
            latest = item == max(row[: place + 1])
            assert label == (item + 1 if latest and item > 1 else 0)


def last(items: list[int], item: int) -> int:
    """Where it stands last."""
    return len(items) - 1 - items[::-1].index(item)


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6), seed=seeds)
def test_an_item_that_is_put_in_has_no_label_and_all_others_keep_theirs(
    lengths: list[int], seed: int
) -> None:
    batch = labelled(counting(lengths))
    after = fitted(1.0, (Insert(0.4),))(batch, generator(seed))
    assert batch.labels is not None
    assert after.labels is not None
    assert after.labels.shape == after.histories.items.shape
    parts = (batch.labels, after.labels, after.histories.items)
    for old, new, items in zip(*(part.tolist() for part in parts), strict=True):
        kept = [label for label in new if label]
        gone = {label for label in old if label} - {*kept}
        assert kept == [label for label in old if label in kept]
        assert all(label in items[: last(items, label - 1)] for label in gone)  # it was shown
    standing = after.labels > 0
    assert torch.equal(after.histories.items[standing] + 1, after.labels[standing])
    assert after.label_counts().tolist() == standing.sum(dim=1).tolist()


@dataclass(frozen=True)
class PutBefore:
    """Puts one item in front of all others, in place of the newest."""

    item: int

    tells_places: ClassVar[bool] = True

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        source = (positions(seqs) - 1).clamp(min=0)
        moved = gathered(seqs, source, seqs.lengths)
        items, places = moved.items.clone(), moved.places
        assert places is not None
        items[:, 0] = self.item
        places = places.clone()
        places[:, 0] = 0
        return replace(moved, items=items, places=places)


def test_no_position_is_shown_its_label_by_an_item_that_is_put_in_before_it() -> None:
    batch = labelled(counting([5]))  # labels 0, 3, 4, 5, 6
    after = fitted(1.0, (PutBefore(4),))(batch, generator(0))
    assert after.histories.items.tolist() == [[4, 1, 2, 3, 4]]
    assert after.labels is not None
    assert after.labels.tolist() == [[0, 0, 3, 0, 5]]


@dataclass(frozen=True)
class Swap:
    """Another item in the place of the oldest."""

    item: int

    tells_places: ClassVar[bool] = True

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        items = seqs.items.clone()
        items[:, 0] = self.item
        return replace(seqs, items=items)


def test_no_position_is_shown_its_label_by_an_item_in_the_place_of_another() -> None:
    batch = replace(labelled(counting([4])), labels=torch.tensor([[2, 3, 4, 5]]))
    after = fitted(1.0, (Swap(4),))(batch, generator(0))
    assert after.histories.items.tolist() == [[4, 2, 3, 4]]
    assert after.labels is not None
    assert after.labels.tolist() == [[2, 3, 0, 5]]


def test_a_batch_whose_every_label_is_gone_has_a_loss_of_0() -> None:
    model = model_with(None)
    batch = some_batch("windows")
    assert batch.labels is not None
    batch = replace(batch, labels=torch.zeros_like(batch.labels), scored=None)
    loss = model.losses(batch, generator(0)).total
    assert loss.item() == 0.0
    loss.backward()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Flip:
    """Newest item first, without a word of it."""

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        source = (seqs.lengths[:, None] - 1 - positions(seqs)).clamp(min=0)
        return gathered(seqs, source, seqs.lengths)


def test_labels_of_every_position_forbid_operators_that_do_not_tell_places() -> None:
    told = re.escape("augment.operators: Flip does not tell where its items stood")
    with pytest.raises(ValueError, match=f"^{told}"):
        fitted(0.5, (Mask(), Flip()))(some_batch("windows"), generator(0))
    AugmentConfig(0.0, (Flip(),)).check_every_position()  # off: nothing moves


@pytest.mark.parametrize("similar", ["cosine_iuf", "embedding", "hybrid"])
@both_examples
def test_a_model_trains_on_augmented_inputs(examples: Examples, similar: Any) -> None:
    correlation = Correlation(similar, warm_up=0)
    model = model_with(AugmentConfig(0.7, ALL, correlation=correlation), contrast=True)
    model.start_epoch(1, generator(0))
    losses = train_steps(model, TRAIN, examples, 3)
    assert torch.tensor(losses).isfinite().all()
    assert losses != train_steps(model_with(None, contrast=True), TRAIN, examples, 3)


@both_examples
def test_the_next_item_loss_reads_the_changed_history_in_training_alone(
    examples: Examples,
) -> None:
    """With every item hidden, all histories of a length are alike to the model."""
    model, batch = model_with(AugmentConfig(1.0, (Mask(1.0),))), some_batch(examples)
    plain = model_with(None)
    off = encoder_config("self_attention", dropout=0.0)
    hidden = build_model(off, [], TRAIN, augment=AugmentConfig(1.0, (Mask(1.0),))).train()
    items = torch.where(batch.histories.real(), -1, 0)
    masked = Batch(
        Sequences(items, batch.histories.lengths), batch.targets, batch.users, batch.labels
    )
    expected = build_model(off, [], TRAIN).train().losses(masked, generator(0)).total
    assert torch.equal(hidden.losses(batch, generator(0)).total, expected)
    evaluated = model.eval().losses(batch, generator(0)).total
    assert torch.equal(evaluated, plain.eval().losses(batch, generator(0)).total)
    assert torch.equal(model.scores(batch.histories), plain.scores(batch.histories))


@dataclass(eq=False, repr=False)
class Remembering(AugmentedViews):
    """Keeps the views it asked for."""

    def make_views(self, batch: Batch, rng: Generator) -> list[View]:
        self.asked = super().make_views(batch, rng)
        return self.asked


def test_views_are_made_from_the_history_itself_and_are_the_same_as_without() -> None:
    """Masked inputs would leave no real item in any view."""
    seen = []
    for augment in (None, AugmentConfig(1.0, (Mask(1.0),))):
        tasks = [Remembering("it")]
        model = build_model(encoder_config("gru"), tasks, TRAIN, augment=augment).train()
        model.losses(some_batch(), generator(0))
        task = model.contrastive_tasks()[0]
        assert isinstance(task, Remembering)
        seen.append([real_items(view.sequences) for view in task.asked])
    assert seen[0] == seen[1]


def test_how_many_inputs_stayed_the_same_is_recorded() -> None:
    model = model_with(AugmentConfig(1.0, (Mask(0.0),))).train()
    metrics = model.losses(some_batch(), generator(0), diagnose=True).metrics
    assert metrics["train/augment/identity_rate"] == 1.0
    assert "train/augment/identity_rate" not in model.losses(some_batch(), generator(0)).metrics


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"probability": 1.5}, "probability must lie in [0, 1], got 1.5"),
        ({"probability": float("nan")}, "probability must lie in [0, 1], got nan"),
        ({"operators": ()}, "operators must name at least one operator"),
    ],
)
def test_a_field_out_of_range_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        AugmentConfig(**fields)


def test_the_model_s_embeddings_are_the_neighbours_after_the_warm_up() -> None:
    """Items 1 and 7 are made to point the same way; in the histories they are far apart."""
    model = model_with(
        AugmentConfig(1.0, (Substitute(1.0),), correlation=Correlation("embedding", warm_up=1))
    )
    with torch.no_grad():
        model.item_embedding.weight[7] = 2 * model.item_embedding.weight[1]
    found = []
    for epoch in (1, 2):
        model.start_epoch(epoch, generator(0))
        batch = model.augment(batch_of(counting([1, 1])), generator(0))
        found.append(real_items(batch.histories))
    assert found[0] != [[7], [7]]
    assert found[1] == [[7], [7]]
