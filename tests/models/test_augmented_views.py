"""The CL4SRec task: which views it asks for, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator

from augment import (
    OPERATORS,
    Correlation,
    Crop,
    Insert,
    Mask,
    Reorder,
    Sequences,
    Substitute,
    draw_two_views,
)
from augment.views import Draw
from models.diagnostics import identity_rates
from models.losses import info_nce
from models.tasks import AugmentedViews, Batch, Pooling, View
from tests.histories import counting, generator, real_items
from tests.models.tiny import (
    Examples,
    build_model,
    cyclic_histories,
    diagnosis_of,
    encoder_config,
    loss_of,
    random_batch,
    train_steps,
    training_rows,
    views_of,
)

THREE = (Crop(), Mask(), Reorder())
FIVE = (Crop(0.2), Mask(0.7), Reorder(0.2), Insert(), Substitute())
TRAIN = cyclic_histories(users=30, num_items=12, longest=14)


@dataclass(frozen=True)
class Same:
    """Changes nothing."""

    def __call__(self, seqs: Sequences, rng: Generator) -> Sequences:
        return seqs


def batch_of(lengths: list[int]) -> Batch:
    rows = torch.arange(len(lengths))
    return Batch(counting(lengths), rows + 1, rows)


@pytest.mark.parametrize("draw", ["two_distinct", "with_replacement", "chained"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_its_views_are_two_drawn_views(draw: Draw, pooling: Pooling) -> None:
    batch = batch_of([5, 1, 9])
    views = views_of(
        AugmentedViews(operators=THREE, draw=draw, pooling=pooling), batch, generator(3)
    )
    drawn = draw_two_views(batch.histories, THREE, draw, generator(3))
    assert len(views) == 2
    for view, expected in zip(views, drawn, strict=True):
        assert torch.equal(view.sequences.items, expected.sequences.items)
        assert torch.equal(view.sequences.lengths, expected.sequences.lengths)
        assert view.pooling == pooling
        assert view.operators == ("crop", "mask", "reorder")


@pytest.mark.parametrize("false_negatives", [(), ("target",), ("user",)])
def test_its_loss_is_info_nce_with_its_fields(false_negatives: tuple[Any, ...]) -> None:
    rows = torch.tensor([1, 1, 2])
    batch = Batch(counting([1, 2, 3]), targets=rows, users=rows.flip(0))
    task = AugmentedViews(temperature=0.2, similarity="cosine", false_negatives=false_negatives)
    a, b = torch.randn(2, 3, 4, generator=generator(0))
    labels = {(): None, ("target",): batch.targets, ("user",): batch.users}[false_negatives]
    same = None if labels is None else labels[:, None] == labels
    expected = info_nce(a, b, 0.2, "cosine", same)
    torch.testing.assert_close(loss_of(task, [a, b], batch).value, expected)


def test_perfect_views_are_recognised_without_error() -> None:
    eye = torch.eye(4)
    found = diagnosis_of(AugmentedViews(), [eye, eye], batch_of([1, 2, 3, 4]))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {
            "accuracy": 1.0,
            "positive_similarity": 1.0,
            "negative_similarity": 0.0,
            "alignment": 0.0,
            "uniformity": -4.0,
        },
        abs=1e-5,
    )


def test_mistaken_views_are_never_recognised() -> None:
    eye = torch.eye(4)
    found = diagnosis_of(AugmentedViews(), [eye, eye.roll(1, 0)], batch_of([1, 2, 3, 4]))
    assert found["accuracy"] == 0.0
    assert found["positive_similarity"] == 0.0
    assert found["negative_similarity"].item() == pytest.approx(1 / 6)  # 1 of 6 negatives


def test_false_negatives_are_no_mistakes_and_no_negatives() -> None:
    """Rows 0 and 1 have the same target and the same direction."""
    views = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    batch = Batch(counting([1, 2, 3]), targets=torch.tensor([7, 7, 8]), users=torch.arange(3))
    counted = diagnosis_of(AugmentedViews(), [views, views], batch)
    false_negatives = diagnosis_of(
        AugmentedViews(false_negatives=("target",)), [views, views], batch
    )
    assert counted["accuracy"].item() == pytest.approx(4 / 6)  # row 0 takes row 1 for itself
    assert false_negatives["accuracy"].item() == 1.0
    assert counted["negative_similarity"].item() == pytest.approx(8 / 24)
    assert false_negatives["negative_similarity"].item() == 0.0


def test_operators_are_recorded_by_their_names_in_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPERATORS, "no_change", Same)
    for view in views_of(AugmentedViews(operators=(Mask(), Same())), batch_of([4]), generator(0)):
        assert view.operators == ("mask", "no_change")


def test_an_operator_need_not_be_in_the_catalogue() -> None:
    views = views_of(AugmentedViews(operators=(Mask(), Same())), batch_of([4]), generator(0))
    assert all(len(view.operators) == 2 for view in views)


def test_two_operators_of_one_kind_are_both_in_the_identity_rates() -> None:
    """One view of each history went through either: half of the views are unchanged."""
    task = AugmentedViews(operators=(Mask(0.0), Mask(1.0)))
    batch = batch_of([3] * 8)
    rates = identity_rates(batch.histories, views_of(task, batch, generator(0)))
    each = [rate.item() for name, rate in rates.items() if name.startswith("identity_rate/")]
    assert rates["identity_rate"] == 0.5
    assert sum(each) / len(each) == 0.5


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"operators": ()}, "operators must name at least one operator"),
        ({"operators": (Mask(),)}, "draw: two_distinct needs two operators or more"),
        ({"short_max_length": -1}, "short_max_length must be at least 0, got -1"),
        ({"short_max_length": 4}, "short_operators: substitute, insert not among the operators"),
        (
            {"short_max_length": 4, "short_operators": ("mask",)},
            "short_operators must name at least 2 of the operators for this draw",
        ),
        (
            {"short_max_length": 4, "draw": "with_replacement", "short_operators": ()},
            "short_operators must name at least 1 of the operators for this draw",
        ),
        (
            {"short_max_length": 4, "draw": "chained"},
            "short_max_length: draw chained applies every operator",
        ),
        ({"short_operators": ("msak",)}, "short_operators: unknown 'msak'; known: crop, mask"),
    ],
)
def test_a_field_out_of_range_is_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        AugmentedViews(**fields)


@pytest.mark.parametrize("draw", ["with_replacement", "chained"])
def test_one_operator_is_enough_for_the_other_draws(draw: Draw) -> None:
    assert len(
        views_of(AugmentedViews(operators=(Mask(),), draw=draw), batch_of([4]), generator(0))
    )


# Correlated operators ------------------------------------------------------------------------


def coserec(**fields: Any) -> AugmentedViews:
    return AugmentedViews("coserec", operators=FIVE, draw="with_replacement", **fields)


@pytest.mark.parametrize("examples", ["prefixes", "windows"])
def test_its_views_never_get_longer_than_the_encoder_reads(examples: Examples) -> None:
    task = build_model(encoder_config("gru"), [coserec()], TRAIN).contrastive_tasks()[0]
    batch = random_batch(TRAIN, training_rows(TRAIN, examples), 20, seed=0)
    for view in views_of(task, batch, generator(0)):
        assert isinstance(view, View)
        assert view.sequences.width <= encoder_config("gru").max_length
        assert view.operators == ("crop", "mask", "reorder", "insert", "substitute")


@pytest.mark.parametrize("similar", ["cosine", "embedding", "hybrid"])
@pytest.mark.parametrize("examples", ["prefixes", "windows"])
def test_it_trains_with_five_operators(similar: Any, examples: Examples) -> None:
    task = coserec(short_max_length=4, correlation=Correlation(similar, warm_up=0))
    model = build_model(encoder_config("self_attention"), [task], TRAIN)
    model.start_epoch(1, generator(0))
    losses = train_steps(model, TRAIN, examples, 3)
    assert torch.tensor(losses).isfinite().all()


def test_a_model_s_embeddings_are_its_neighbours_after_the_warm_up() -> None:
    """Items 1 and 7 are made to point the same way; in the histories they are far apart."""
    task = AugmentedViews(
        "it",
        operators=(Substitute(1.0),),
        draw="with_replacement",
        correlation=Correlation("embedding", warm_up=1),
    )
    model = build_model(encoder_config("gru"), [task], TRAIN)
    with torch.no_grad():
        model.item_embedding.weight[7] = 2 * model.item_embedding.weight[1]
    batch = batch_of([1, 1])
    found = []
    for epoch in (1, 2):
        model.start_epoch(epoch, generator(0))
        view = views_of(model.contrastive_tasks()[0], batch, generator(0))[0]
        assert isinstance(view, View)
        found.append(real_items(view.sequences))
    assert found[0] != [[7], [7]]
    assert found[1] == [[7], [7]]


def test_short_histories_are_neither_cropped_nor_reordered() -> None:
    model = build_model(encoder_config("gru"), [coserec(short_max_length=4)], TRAIN)
    batch = batch_of([1, 2, 3, 4, 5] * 40)
    short = batch.histories.lengths <= 4
    for view in views_of(model.contrastive_tasks()[0], batch, generator(0)):
        assert isinstance(view, View)
        assert view.drawn is not None
        assert set(view.drawn[short].tolist()) == {1, 3, 4}
        assert set(view.drawn[~short].tolist()) == {0, 1, 2, 3, 4}


def test_correlated_operators_of_a_task_that_was_not_fitted_say_what_they_need() -> None:
    with pytest.raises(ValueError, match="needs the neighbours of items"):
        views_of(coserec(), batch_of([4]), generator(0))
