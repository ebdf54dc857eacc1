"""What every contrastive task promises, on every encoder and on both kinds of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from augment import PADDING, Sequences, TrainHistories
from experiments.data.batches import make_batch
from models.encoders import ENCODERS
from models.recbole_plug import SASRec
from models.tasks import (
    TASKS,
    Batch,
    ContrastiveTask,
    EncodingRequest,
    ItemEmbeddings,
    Pooling,
    Step,
    Task,
    View,
)
from tests.histories import generator
from tests.models.tiny import (
    CPU,
    ENCODER_EXAMPLES,
    Examples,
    build_model,
    cyclic_histories,
    encoder_config,
    random_batch,
    training_rows,
    views_of,
)

TRAIN = cyclic_histories(users=30, num_items=12, longest=14)
DIAGNOSED = {"accuracy", "positive_similarity", "negative_similarity", "alignment", "uniformity"}

pytestmark = pytest.mark.filterwarnings("ignore:clusters. ")  # more than there are users here

VARIANTS: list[dict[str, Any]] = [
    {"temperature_mode": "learnable"},
    {"temperature_mode": "cosine"},
    {"similarity": "cosine", "pooling": "mean", "head": "linear"},
    {"pooling": "concat"},
    {"pooling": "concat", "head": "mlp", "head_dim": 5},
    {"objective": "binary_nce", "hard_k": 3},
    {"correction": "decoupled", "false_negatives": ("target",)},
    {"correction": "debiased", "similarity": "cosine", "hard_beta": 1.0},
    {"negatives": "queue", "queue_size": 20, "false_negatives": ("user",), "head": "mlp"},
    {"negatives": "queue", "queue_size": 3, "pooling": "concat"},
    {
        "negatives": "random",
        "random_size": 7,
        "false_negatives": ("target", "cluster"),
        "clusters": 3,
    },
    {"negatives": "other_cluster", "clusters": 3},
    {
        "negatives": "same_cluster",
        "clusters": 3,
        "false_negatives_as": "positives",
        "false_negatives": ("target",),
    },
    {"false_negatives": ("cluster",), "false_negatives_as": "positives", "hard_beta": 0.5},
    {
        "false_negatives": ("target", "user"),
        "false_negatives_as": "positives",
        "positive_weights": {"user": 0.3},
        "negatives": "queue",
        "queue_size": 30,
    },
    {"momentum": 0.9, "negatives": "queue", "queue_size": 30, "head": "linear"},
    {"momentum": 0.5, "pooling": "concat", "negatives": "random", "random_size": 7},
]
"""Fields that every contrastive task has, in combinations that reach every branch."""

every_variant = pytest.mark.parametrize(
    "fields", VARIANTS, ids=["-".join(map(str, fields.values())) for fields in VARIANTS]
)
every_task = pytest.mark.parametrize("kind", list(TASKS))
contrastive_tasks = pytest.mark.parametrize(
    "kind", [kind for kind, task in TASKS.items() if issubclass(task, ContrastiveTask)]
)
every_encoder = pytest.mark.parametrize("encoder", list(ENCODERS))
encoders_and_examples = pytest.mark.parametrize(("encoder", "examples"), ENCODER_EXAMPLES)
both_examples = pytest.mark.parametrize("examples", ["prefixes", "windows"])
one_row_or_more = pytest.mark.parametrize("size", [1, 8])


def model_with(
    kind: str, encoder: str = "self_attention", train: TrainHistories = TRAIN, **fields: Any
) -> tuple[SASRec, Task]:
    """A model in its first epoch with one task of mostly default fields, and that task."""
    model = build_model(encoder_config(encoder), [made(kind, **fields)], train)
    model.start_epoch(1, generator(0))
    return model.train(), model.contrastive_tasks()[0]


def made(kind: str, **fields: Any) -> Task:
    """The task; one that refuses these fields in a line that names one of them has no more to
    promise of them."""
    try:
        return TASKS[kind](name="it", **fields)
    except ValueError as error:
        if str(error).split(":")[0] not in fields:
            raise
        pytest.skip(f"{kind} refuses {error}")


def batch_of(size: int, examples: Examples = "prefixes") -> Batch:
    return random_batch(TRAIN, training_rows(TRAIN, examples), size, seed=0)


def tensors(batch: Batch) -> list[Tensor]:
    some = [batch.histories.items, batch.histories.lengths, batch.targets, batch.users]
    return some if batch.labels is None else [*some, batch.labels]


def histories_among(wanted: Sequence[EncodingRequest]) -> list[View]:
    """The views that are encoded, without states and embeddings that are only looked up."""
    return [one for one in wanted if isinstance(one, View)]


def contents(one: EncodingRequest) -> list[Tensor]:
    """The tensors of what a task asks for."""
    if isinstance(one, View):
        return [one.sequences.items, one.sequences.lengths]
    return [one.items] if isinstance(one, ItemEmbeddings) else []


def assert_well_formed(seqs: Sequences, rows: int) -> None:
    assert seqs.items.shape[0] == len(seqs.lengths) == rows
    assert seqs.lengths.min() >= 1
    assert seqs.lengths.max() <= min(seqs.width, encoder_config("gru").max_length)
    assert torch.equal(seqs.items != PADDING, seqs.real())
    assert seqs.items.max() <= TRAIN.num_items


@every_task
def test_a_task_keeps_its_name_and_has_a_default_for_every_other_field(kind: str) -> None:
    task = TASKS[kind](name="mine")
    assert task.name == "mine"
    assert task.weight > 0


@every_task
@both_examples
@one_row_or_more
def test_every_view_has_a_row_for_every_history_that_it_is_made_from(
    kind: str, examples: Examples, size: int
) -> None:
    wanted = views_of(model_with(kind)[1], batch_of(size, examples), generator(0))
    for view in histories_among(wanted):
        rows = size if view.made_from is None else len(view.made_from)
        assert_well_formed(view.sequences, rows)
        assert view.pooling in get_args(Pooling)
        assert view.drawn is None or view.drawn.shape == (rows,)


@every_task
@both_examples
@pytest.mark.parametrize("negatives", ["in_batch", "random"])
def test_views_of_timed_histories_are_the_same_and_have_times(
    kind: str, examples: Examples, negatives: str
) -> None:
    """A plug-in's views may be without times instead; ours keep them."""
    fields = {"negatives": negatives} if issubclass(TASKS[kind], ContrastiveTask) else {}
    timed = replace(TRAIN, times=100 + torch.arange(len(TRAIN.items)))
    wanted = []
    for train in (TRAIN, timed):
        batch = random_batch(train, training_rows(train, examples), 8, seed=0)
        wanted.append(views_of(model_with(kind, train=train, **fields)[1], batch, generator(0)))
    for plain, other in zip(*wanted, strict=True):
        for first, second in zip(contents(plain), contents(other), strict=True):
            assert torch.equal(first, second)
    for view in histories_among(wanted[0]):
        assert view.sequences.times is None
    for view in histories_among(wanted[1]):
        if view.sequences.times is None:
            assert not TASKS[kind].__module__.startswith("models.")
            continue
        assert torch.equal(view.sequences.times > 0, view.sequences.real())
        rising = view.sequences.times.diff(dim=1) >= 0
        assert rising[view.sequences.real()[:, 1:]].all()


@every_task
@both_examples
def test_making_views_edits_nothing(kind: str, examples: Examples) -> None:
    batch = batch_of(8, examples)
    before = [tensor.clone() for tensor in tensors(batch)]
    views_of(model_with(kind)[1], batch, generator(0))
    for tensor, old in zip(tensors(batch), before, strict=True):
        assert torch.equal(tensor, old)


@every_task
def test_the_generator_alone_decides_the_views(kind: str) -> None:
    _, task = model_with(kind)
    batch = batch_of(8)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    once = views_of(task, batch, generator(5))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = views_of(task, batch, generator(5))
    for one, other in zip(once, again, strict=True):
        assert type(one) is type(other)
        for first, second in zip(contents(one), contents(other), strict=True):
            assert torch.equal(first, second)


@every_task
@both_examples
def test_one_row_a_user_is_its_last(kind: str, examples: Examples) -> None:
    model, task = model_with(kind)
    task.anchors = "one_per_user"
    rows = training_rows(TRAIN, examples)
    taken: list[int] = []
    for first in range(0, len(rows), 7):
        index = np.arange(first, min(first + 7, len(rows)))
        batch = make_batch(TRAIN, rows, index, CPU)
        taken += task.select_rows(batch).users.tolist()
        losses = model.losses(batch, generator(0))
        assert (task.name in losses.parts) == (len(task.select_rows(batch)) > 0)
        assert losses.total.isfinite()
        for user, target in zip(
            task.select_rows(batch).users, task.select_rows(batch).targets, strict=True
        ):
            assert target == TRAIN.items[TRAIN.offsets[user + 1] - 1]
    assert taken == list(range(30))


@every_task
def test_one_row_a_user_needs_to_know_it(kind: str) -> None:
    _, task = model_with(kind)
    task.anchors = "one_per_user"
    with pytest.raises(ValueError, match=r"^anchors: one_per_user needs"):
        task.select_rows(replace(batch_of(4), final=None))


@every_task
@encoders_and_examples
@one_row_or_more
def test_loss_and_gradients_are_finite(
    kind: str, encoder: str, examples: Examples, size: int
) -> None:
    model, task = model_with(kind, encoder)
    losses = model.train().losses(batch_of(size, examples), generator(0))
    assert losses.parts.keys() == {"next_item", task.name}
    assert losses.total.shape == ()
    assert losses.total.isfinite()
    losses.total.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


@every_task
@both_examples
def test_a_task_trains_the_encoder(kind: str, examples: Examples) -> None:
    """Or the item embeddings, where it looks at no history."""
    model, task = model_with(kind)
    batch = batch_of(8, examples)
    part = model.losses(batch, generator(0)).parts[task.name]
    reads = any(not isinstance(one, ItemEmbeddings) for one in views_of(task, batch, generator(0)))
    trained = list((model.encoder if reads else model.item_embedding).parameters())
    grads = torch.autograd.grad(part, trained, allow_unused=True)
    assert any(grad is not None and grad.abs().max() > 0 for grad in grads)


@every_task
@both_examples
@one_row_or_more
def test_what_is_recorded_is_scalars_without_gradient(
    kind: str, examples: Examples, size: int
) -> None:
    model, _ = model_with(kind)
    losses = model.losses(batch_of(size, examples), generator(0), diagnose=True)
    assert {"train/loss", "train/next_item", "contrast/it/loss", "contrast/it/weight"} <= set(
        losses.metrics
    )
    for name, value in losses.metrics.items():
        assert value.shape == (), name
        assert not value.requires_grad, name
        assert value.isfinite() or name.startswith("contrast/it/identity_rate/"), name


@contrastive_tasks
@every_encoder
@one_row_or_more
def test_a_contrast_is_diagnosed_by_five_finite_scalars(kind: str, encoder: str, size: int) -> None:
    _, task = model_with(kind, encoder)
    step = Step(batch_of(size), generator(0))
    encoded = {name: torch.randn(size, 8, generator=step.rng) for name in task.requests(step)}
    found = task.diagnose(encoded, step)
    assert found.keys() >= DIAGNOSED
    assert all(value.shape == () and value.isfinite() for value in found.values())
    assert 0 <= found["accuracy"] <= 1


@contrastive_tasks
@every_variant
@pytest.mark.parametrize(
    ("examples", "size"),
    [
        ("prefixes", 1),
        ("prefixes", 8),
        ("windows", 8),
        pytest.param("windows", 1, marks=pytest.mark.slow),
    ],
)
def test_every_variant_trains_on_finite_gradients(
    kind: str, fields: dict[str, Any], examples: Examples, size: int
) -> None:
    model, task = model_with(kind, **fields)
    for seed in range(2):
        losses = model.losses(batch_of(size, examples), generator(seed), diagnose=True)
        part = losses.parts[task.name]
        assert part.isfinite()
        model.zero_grad()
        losses.total.backward()
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                assert weight.grad is not None, name
                assert weight.grad.isfinite().all(), name
    assert ("contrast/it/temperature" in losses.metrics) == ("temperature_mode" in fields)


@contrastive_tasks
@every_variant
def test_no_variant_changes_the_weights_training_starts_from(
    kind: str, fields: dict[str, Any]
) -> None:
    plain = build_model(encoder_config("gru"), [], TRAIN).state_dict()
    varied = model_with(kind, "gru", **fields)[0].state_dict()
    for name, weight in plain.items():
        assert torch.equal(weight, varied[name]), name


@contrastive_tasks
@every_variant
def test_a_resumed_model_goes_on_as_it_was(kind: str, fields: dict[str, Any]) -> None:
    """The state holds all that is not made again as an epoch starts."""
    model, task = model_with(kind, **fields)
    model.losses(batch_of(8), generator(0))
    resumed, again = model_with(kind, **fields)
    resumed.load_state_dict(model.state_dict())
    results = []
    for one, it in ((model, task), (resumed, again)):
        one.start_epoch(2, generator(1))
        results.append(one.losses(batch_of(8), generator(2)).parts[it.name].item())
    assert results[0] == results[1]


@contrastive_tasks
def test_a_queue_is_fed_where_it_is_not_refused(kind: str) -> None:
    model, task = model_with(kind, negatives="queue", queue_size=20)
    model.losses(batch_of(8), generator(0))
    assert isinstance(task, ContrastiveTask)
    assert task.queue is not None
    assert task.queue.filled().any()


@contrastive_tasks
def test_a_head_is_trained_where_it_is_not_refused(kind: str) -> None:
    """A fused loss of several contrasts may leave it out of some, but not of all."""
    model, task = model_with(kind, head="linear")
    model.losses(batch_of(8), generator(0)).parts["it"].backward()
    weights = list(task.projection.parameters()) if isinstance(task, ContrastiveTask) else []
    assert any(weight.grad is not None and weight.grad.abs().max() > 0 for weight in weights)


@contrastive_tasks
@pytest.mark.parametrize("false_negatives", [("target",), ("user",), ("target", "user")])
def test_false_negatives_are_rows_of_the_same_target_or_user(
    kind: str, false_negatives: tuple[str, ...]
) -> None:
    _, task = model_with(kind)
    assert isinstance(task, ContrastiveTask)
    task.false_negatives = ()
    assert task.same(batch_of(4)) is None
    task.false_negatives = false_negatives  # type: ignore[assignment]
    batch = replace(
        batch_of(4), targets=torch.tensor([1, 1, 2, 3]), users=torch.tensor([0, 5, 5, 6])
    )
    same = task.same(batch)
    assert same is not None
    pairs = {(i, j) for i in range(4) for j in range(i) if same[i, j]}
    expected = {"target": {(1, 0)}, "user": {(2, 1)}}
    assert pairs == set().union(*(expected[label] for label in false_negatives))


@every_task
@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_a_weight_below_0_is_named(kind: str, weight: float) -> None:
    with pytest.raises(ValueError, match=r"^weight must be at least 0"):
        TASKS[kind](weight=weight)


@contrastive_tasks
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_named(kind: str, temperature: float) -> None:
    with pytest.raises(ValueError, match=r"^temperature must be positive"):
        TASKS[kind](temperature=temperature)  # type: ignore[call-arg]
