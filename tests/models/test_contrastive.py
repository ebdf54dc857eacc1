"""The contrastive task: who is whose negative, what moves from step to step, what is refused."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from augment import MASK, Mask, TrainHistories
from experiments.storage.checkpoint import load_weights, save_weights
from models.losses import info_nce, uniformity
from models.losses.negatives import in_batch
from models.recbole_plug import SASRec
from models.tasks import (
    AugmentedViews,
    Batch,
    ContrastiveTask,
    Pooling,
    RecentSubsequence,
    SameTarget,
    SameUser,
    Sizes,
    Step,
    View,
)
from tests.histories import could_be_uniform, counting, generator
from tests.models.test_contrast import in_loops
from tests.models.tiny import (
    build_model,
    cyclic_histories,
    diagnosis_of,
    encoder_config,
    loss_of,
    views_of,
)

TRAIN = cyclic_histories(users=30, num_items=12, longest=14)
SIZES = Sizes(dim=2, max_length=4, num_items=12, num_users=30)
BATCH = Batch(
    counting([1, 2, 3, 1]), targets=torch.tensor([5, 5, 6, 7]), users=torch.tensor([3, 8, 3, 9])
)
SAME = [  # what is the same, and what it is taken for
    ((), "masked"),
    *itertools.product([("target",), ("user",), ("target", "user")], ["masked", "positives"]),
]
CLUSTER_OF = torch.arange(30) // 4  # of users 3, 8, 3, 9: 0, 2, 0, 2

Vectors = list[list[float]]


def task_of(**fields: Any) -> ContrastiveTask:
    """A task on two-dimensional states that knows its users' clusters."""
    task = AugmentedViews(**{"name": "it", **fields})
    task.prepare(SIZES)
    task.fit(TRAIN)
    task.user_clusters.numbers = CLUSTER_OF
    return task


def drawn(rows: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, 2, generator=generator(seed))


# Plain loops over rows -------------------------------------------------------------------------


def reference(
    a: Vectors,
    b: Vectors,
    targets: list[int],
    users: list[int],
    keys: Vectors,
    key_labels: list[tuple[int, int]],
    task: ContrastiveTask,
) -> float:
    """InfoNCE anchor by anchor; keys are views of the (target, user) rows in key_labels."""
    batch = len(a)
    labels = [*zip(targets, users, strict=True)] * 2
    views = a + b
    losses = []
    for i, anchor in enumerate(views):
        positives, negatives = [], []
        for j, other in enumerate([*views, *keys]):
            if j == i:
                continue
            logit = sum(p * q for p, q in zip(anchor, other, strict=True)) / task.temperature
            target, user = labels[j] if j < 2 * batch else key_labels[j - 2 * batch]
            same = any(
                {
                    "target": target == labels[i][0],
                    "user": user == labels[i][1],
                    "cluster": CLUSTER_OF[user] == CLUSTER_OF[labels[i][1]],
                }[kind]
                for kind in task.false_negatives
            )
            together = CLUSTER_OF[user] == CLUSTER_OF[labels[i][1]]
            if j == (i + batch) % (2 * batch):
                positives.append(logit)
            elif j < 2 * batch and j % batch == i % batch:
                continue
            elif same:
                if task.false_negatives_as == "positives":
                    positives.append(logit)
            elif task.negatives == "random" and user == labels[i][1]:
                continue  # one's own view is no negative, and no positive that was asked for
            elif j >= 2 * batch and (target, user) == labels[i]:
                continue  # nor is one's own earlier key
            elif (
                (task.negatives == "random" and j >= 2 * batch)
                or (task.negatives == "other_cluster" and not together)
                or (task.negatives == "same_cluster" and together)
                or task.negatives in ("in_batch", "queue")
            ):
                negatives.append(logit)
        if negatives:
            total = sum(math.exp(logit) for logit in positives + negatives)
            terms = [-math.log(math.exp(logit) / total) for logit in positives]
            losses.append(sum(terms) / len(terms))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("negatives", ["in_batch", "other_cluster", "same_cluster"])
@pytest.mark.parametrize(("false_negatives", "false_negatives_as"), SAME)
def test_rows_are_compared_as_the_fields_say(
    negatives: str, false_negatives_as: str, false_negatives: tuple[str, ...]
) -> None:
    task = task_of(
        negatives=negatives,
        false_negatives_as=false_negatives_as,
        false_negatives=false_negatives,
        temperature=0.7,
    )
    a, b = drawn(4, 0), drawn(4, 1)
    loss = loss_of(task, [a, b], BATCH).value.item()
    rows = BATCH.targets.tolist(), BATCH.users.tolist()
    assert loss == pytest.approx(reference(a.tolist(), b.tolist(), *rows, [], [], task), rel=1e-5)


@pytest.mark.parametrize("negatives", ["in_batch", "other_cluster"])
@pytest.mark.parametrize("false_negatives_as", ["masked", "positives"])
def test_users_of_one_cluster_may_be_the_same(negatives: str, false_negatives_as: str) -> None:
    task = task_of(
        negatives=negatives, false_negatives_as=false_negatives_as, false_negatives=("cluster",)
    )
    a, b = drawn(4, 0), drawn(4, 1)
    rows = BATCH.targets.tolist(), BATCH.users.tolist()
    expected = reference(a.tolist(), b.tolist(), *rows, [], [], task)
    assert loss_of(task, [a, b], BATCH).value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("false_negatives", "false_negatives_as"),
    [*SAME, (("cluster", "target"), "masked"), (("cluster", "target"), "positives")],
)
def test_drawn_users_are_the_only_negatives_and_never_one_self(
    false_negatives_as: str, false_negatives: tuple[str, ...]
) -> None:
    task = task_of(
        negatives="random",
        random_size=5,
        false_negatives_as=false_negatives_as,
        false_negatives=false_negatives,
    )
    users = torch.tensor([3, 4, 8, 20, 3])
    a, b, theirs = drawn(4, 0), drawn(4, 1), drawn(5, 2)
    loss = loss_of(task, [a, b, theirs], BATCH, {"users": users}).value.item()
    labels = [(0, user) for user in users.tolist()]
    rows = BATCH.targets.tolist(), BATCH.users.tolist()
    expected = reference(a.tolist(), b.tolist(), *rows, theirs.tolist(), labels, task)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [3, 8, 10, 100])
@pytest.mark.parametrize(("false_negatives", "false_negatives_as"), SAME)
def test_the_queue_holds_the_latest_views(
    size: int, false_negatives_as: str, false_negatives: tuple[str, ...]
) -> None:
    task = task_of(
        negatives="queue",
        queue_size=size,
        false_negatives_as=false_negatives_as,
        false_negatives=false_negatives,
    )
    rows = BATCH.targets.tolist(), BATCH.users.tolist()
    labels = [*zip(*rows, strict=True)] * 2
    keys: Vectors = []
    key_labels: list[tuple[int, int]] = []
    for step in range(4):
        a, b = drawn(4, 2 * step), drawn(4, 2 * step + 1)
        loss = loss_of(task, [a, b], BATCH).value.item()
        expected = reference(a.tolist(), b.tolist(), *rows, keys, key_labels, task)
        assert loss == pytest.approx(expected, rel=1e-5)
        keys = (keys + a.tolist() + b.tolist())[-size:]
        key_labels = (key_labels + labels)[-size:]


def test_a_row_is_never_compared_with_its_own_earlier_key() -> None:
    """Whatever it looks like; other rows of its user, and of its target, are negatives."""
    task = task_of(negatives="queue", queue_size=6)
    batch = Batch(
        counting([2, 3, 2]),
        targets=torch.tensor([5, 5, 6]),
        users=torch.tensor([3, 3, 8]),
        target_at=torch.tensor([20, 24, 40]),
    )
    a, b, earlier = drawn(3, 0), drawn(3, 1), drawn(3, 2)
    loss_of(task, [earlier, earlier], batch)
    keys = earlier.repeat(2, 1)
    own = torch.arange(3).repeat(2)
    logits = torch.cat([a, b]) @ torch.cat([a, b, keys]).T
    logits.fill_diagonal_(float("-inf"))
    logits[:, 6:][own[:, None] == own] = float("-inf")
    expected = F.cross_entropy(logits, torch.arange(6).roll(3))
    torch.testing.assert_close(loss_of(task, [a, b], batch).value, expected)


# What goes on from step to step ------------------------------------------------------------------


def test_a_queue_is_not_changed_by_evaluation_and_has_no_gradient() -> None:
    task = task_of(negatives="queue", queue_size=8)
    a = drawn(4).requires_grad_()
    loss_of(task, [a, a], BATCH)
    assert task.queue is not None
    before = task.queue.keys.clone()
    assert before.abs().sum() > 0
    assert not task.queue.keys.requires_grad
    loss_of(task.eval(), [a, a], BATCH)
    assert torch.equal(task.queue.keys, before)


def test_a_queue_s_memory_may_be_overwritten_before_the_backward_pass() -> None:
    task = task_of(negatives="queue", queue_size=8)
    for seed in range(3):
        a, b = (drawn(4, seed + k).requires_grad_() for k in (0, 1))
        loss_of(task, [a, b], BATCH).value.backward()  # type: ignore[no-untyped-call]
        assert a.grad is not None
        assert a.grad.isfinite().all()


@pytest.mark.parametrize("false_negatives", [(), ("user",)])
def test_a_queue_is_saved_with_the_model(false_negatives: tuple[str, ...], tmp_path: Any) -> None:
    def model() -> SASRec:
        task = AugmentedViews(
            "it", negatives="queue", queue_size=20, false_negatives=false_negatives
        )  # type: ignore[arg-type]
        return build_model(encoder_config("gru"), [task], TRAIN)

    first, second = model(), model()
    first.losses(BATCH, generator(0))
    save_weights(tmp_path / "weights", first)
    load_weights(tmp_path / "weights", second)
    assert second.state_dict()["tasks.0.queue.pushed"] == 8
    for one in (first, second):
        torch.manual_seed(3)
        one.losses(BATCH, generator(1))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_weights_of_before_the_queue_knew_rows_are_loaded() -> None:
    task, other = (task_of(negatives="queue", queue_size=8) for _ in range(2))
    loss_of(task, [drawn(4), drawn(4)], BATCH)
    state = {name: value for name, value in task.state_dict().items() if name != "queue.rows"}
    other.load_state_dict(state)
    assert task.queue is not None
    assert other.queue is not None
    assert torch.equal(other.queue.keys, task.queue.keys)


def test_users_are_drawn_uniformly_with_their_latest_items() -> None:
    items = torch.arange(1, 16)
    train = TrainHistories(items, torch.tensor([0, 1, 3, 6, 15]), num_items=15)
    task = AugmentedViews(
        negatives="random", random_size=2000, operators=(Mask(0.0),), draw="chained"
    )
    task.prepare(SIZES)
    task.fit(train)
    step = Step(BATCH, generator(0))
    view, users = task.requests(step)["negatives"], step.drawn["users"]
    assert isinstance(view, View)
    assert could_be_uniform(torch.bincount(users, minlength=4))
    latest = torch.tensor([[1, 0, 0, 0], [2, 3, 0, 0], [4, 5, 6, 0], [12, 13, 14, 15]])
    assert torch.equal(view.sequences.items, latest[users])
    assert torch.equal(view.sequences.lengths, torch.tensor([1, 2, 3, 4])[users])


def test_a_task_that_does_not_ask_for_drawn_users_is_told() -> None:
    task = task_of(negatives="random")
    with pytest.raises(ValueError, match=r"^negatives: random needs a task"):
        loss_of(task, [drawn(4), drawn(4, 1)], BATCH)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("info_nce", {"similarity": "cosine"}),
        ("info_nce", {"hard_k": 2}),
        ("info_nce", {"hard_beta": 0.7}),
        ("info_nce", {"hard_k": 3, "hard_beta": 0.7}),
        ("binary", {"objective": "binary_nce"}),
        ("binary", {"objective": "binary_nce", "hard_k": 2}),
        ("decoupled", {"correction": "decoupled"}),
        ("debiased", {"correction": "debiased", "tau_plus": 0.3, "similarity": "cosine"}),
    ],
)
def test_every_field_of_the_objective_reaches_the_loss(kind: str, fields: dict[str, Any]) -> None:
    task, a, b = task_of(temperature=0.7, **fields), drawn(4, 0), drawn(4, 1)
    views = torch.cat([a, b])
    unit = F.normalize(views, dim=1) if task.similarity == "cosine" else views
    plus, minus = in_batch(4, None, None, False, torch.device("cpu"))
    expected = in_loops(
        kind,
        (unit @ unit.T / 0.7).tolist(),
        plus.tolist(),
        minus.tolist(),
        task.hard_k,
        task.hard_beta,
        task.tau_plus,
        0.7,
    )
    assert loss_of(task, [a, b], BATCH).value.item() == pytest.approx(expected, rel=1e-5)


def test_the_identity_rate_of_a_drawn_user_s_view_is_its_own() -> None:
    task = AugmentedViews(
        "it", negatives="random", random_size=7, operators=(Mask(0.0),), draw="chained"
    )
    model = build_model(encoder_config("gru"), [task], TRAIN)
    metrics = model.losses(BATCH, generator(0), diagnose=True).metrics
    assert metrics["contrast/it/identity_rate"].item() == 1.0


def test_a_drawn_user_s_view_is_made_as_the_rows_views_are() -> None:
    task = task_of(negatives="random", random_size=9, operators=(Mask(1.0),), draw="chained")
    view = views_of(task, BATCH, generator(0))[-1]
    assert isinstance(view, View)
    assert view.made_from is not None
    assert (view.sequences.items[view.made_from.real()] == MASK).all()
    assert view.drawn is not None


@pytest.mark.parametrize("kind", [SameTarget, SameUser, RecentSubsequence])
def test_drawn_users_as_they_are_are_no_views_that_were_left_unchanged(
    kind: type[ContrastiveTask],
) -> None:
    def rate(**fields: Any) -> float:
        model = build_model(encoder_config("gru"), [kind("it", **fields)], TRAIN)
        metrics = model.losses(BATCH, generator(0), diagnose=True).metrics
        return metrics["contrast/it/identity_rate"].item()

    assert rate(negatives="random", random_size=9) == rate() < 1.0


def test_clusters_are_found_as_an_epoch_starts_from_the_seed_alone() -> None:
    def numbers(seed: int, *epochs: int) -> Tensor:
        task = AugmentedViews("it", negatives="same_cluster", clusters=3)
        model = build_model(encoder_config("gru", init_std=1.0), [task], TRAIN)
        for epoch in epochs:
            model.start_epoch(epoch, generator(seed + epoch))
        (found,) = model.contrastive_tasks()
        assert isinstance(found, ContrastiveTask)
        assert found.user_clusters.numbers is not None
        return found.user_clusters.numbers

    assert torch.equal(numbers(0, 1, 2), numbers(0, 2))
    assert set(numbers(0, 1).tolist()) == {0, 1, 2}
    assert len(numbers(0, 1)) == 30


def test_without_an_epoch_there_are_no_clusters() -> None:
    model = build_model(
        encoder_config("gru"), [AugmentedViews(false_negatives=("cluster",))], TRAIN
    )
    with pytest.raises(RuntimeError, match="call start_epoch first"):
        model.losses(BATCH, generator(0))


# Temperature -------------------------------------------------------------------------------------


def scheduled(epoch: int, **fields: Any) -> float:
    task = AugmentedViews(temperature_mode="cosine", **fields)
    task.temperature_now.start_epoch(epoch)
    return float(task.temperature_now())


def test_the_cosine_schedule_goes_half_a_wave_and_stays() -> None:
    fields = {"temperature": 1.0, "temperature_to": 0.2, "temperature_epochs": 4}
    found = [scheduled(epoch, **fields) for epoch in (1, 2, 3, 4, 5, 6, 100)]
    wave = [0.2 + 0.4 * (1 + math.cos(math.pi * k / 4)) for k in range(5)]
    assert found == pytest.approx([*wave, 0.2, 0.2])
    assert wave[0] == 1.0


def test_a_learned_temperature_moves_against_its_gradient_and_starts_as_given() -> None:
    task = AugmentedViews(temperature=0.5, temperature_mode="learnable")
    a, b = drawn(4, 0), drawn(4, 1)
    loss = loss_of(task, [a, b], BATCH).value
    torch.testing.assert_close(loss, info_nce(a, b, 0.5))
    loss.backward()  # type: ignore[no-untyped-call]
    grad = task.temperature_now.log.grad
    assert grad is not None
    step = 1e-3  # d loss / d log t, by a central difference
    above, below = (info_nce(a.double(), b.double(), 0.5 * math.exp(s)) for s in (step, -step))
    assert grad.item() == pytest.approx(((above - below) / (2 * step)).item(), rel=1e-3)


@pytest.mark.parametrize(("log", "bound"), [(-50.0, 0.01), (50.0, 100.0)])
def test_a_learned_temperature_is_clamped_and_can_come_back(log: float, bound: float) -> None:
    task = AugmentedViews(temperature=0.5, temperature_mode="learnable")
    with torch.no_grad():
        task.temperature_now.log.fill_(log)
    now = task.temperature_now()
    assert isinstance(now, Tensor)
    assert now.item() == pytest.approx(bound)
    (grad,) = torch.autograd.grad(now, task.temperature_now.log)
    assert grad.item() == pytest.approx(bound)


def test_a_fixed_temperature_is_no_weight_and_not_recorded() -> None:
    task = AugmentedViews(temperature=0.5)
    assert not list(task.parameters())
    assert "temperature" not in diagnosis_of(task, [drawn(4), drawn(4, 1)], BATCH)


# Heads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pooling", "width"), [("last", 2), ("mean", 2), ("concat", 8)])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_head_projects_before_the_contrast(pooling: Pooling, width: int, head: str) -> None:
    task = task_of(head=head, head_dim=5, pooling=pooling)
    a, b = torch.randn(2, 4, width, generator=generator(0))
    assert task.projection(a).shape == (4, 5)
    torch.testing.assert_close(
        loss_of(task, [a, b], BATCH).value, info_nce(task.projection(a), task.projection(b), 1.0)
    )


def test_side_by_side_states_of_the_longest_view_are_all_there() -> None:
    """Columns that are zero in every view are left out, and no others."""
    task = SameTarget("it", pooling="concat")
    model = build_model(encoder_config("gru", dropout=0.0, init_std=1.0), [task], TRAIN)
    (mine,) = model.contrastive_tasks()
    assert isinstance(mine, ContrastiveTask)
    views = [one for one in views_of(mine, BATCH, generator(0)) if isinstance(one, View)]
    assert len({view.sequences.width for view in views}) == 2
    whole = [model.encode(view.sequences, "concat") for view in views]
    found = model.losses(BATCH, generator(0)).parts["it"]
    torch.testing.assert_close(found, mine.weight * loss_of(mine, whole, BATCH).value)


@pytest.mark.parametrize("mode", ["learnable", "cosine"])
def test_a_temperature_that_moves_is_recorded_as_it_is(mode: str) -> None:
    task = task_of(temperature_mode=mode, temperature_to=0.1, temperature_epochs=4)
    task.temperature_now.start_epoch(3)
    if mode == "learnable":
        task.temperature_now.log.data.fill_(math.log(0.3))
    found = diagnosis_of(task, [drawn(4, 0), drawn(4, 1)], BATCH)["temperature"].item()
    assert found == pytest.approx(float(task.temperature_now()))
    assert found < 0.9


def test_what_is_diagnosed_is_what_is_contrasted() -> None:
    """After the head; uniformity is the mean of both views'."""
    task, a, b = task_of(head="linear", head_dim=1), drawn(4, 0), drawn(4, 1)
    with torch.no_grad():
        for name, weight in task.projection.named_parameters():
            weight.copy_(torch.tensor([[1.0, 0.0]]) if name.endswith("weight") else 0.0 * weight)
    one, other = a[:, :1], b[:, :1]
    found = diagnosis_of(task, [a, b], BATCH)
    signs = (one.sign() == other.sign()).float().mean() * 2 - 1
    torch.testing.assert_close(found["positive_similarity"], signs)
    torch.testing.assert_close(found["uniformity"], (uniformity(one) + uniformity(other)) / 2)


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"temperature_to": 0.0}, "^temperature_to must be positive"),
        ({"temperature_to": float("nan")}, "^temperature_to must be positive"),
        ({"temperature_epochs": 0}, "^temperature_epochs must be at least 1"),
        ({"temperature": 0.001, "temperature_mode": "learnable"}, "^temperature must lie in"),
        (
            {"false_negatives_as": "positives"},
            "^false_negatives_as: positives needs false_negatives",
        ),
        ({"head_dim": 0}, "^head_dim must be at least 1"),
        ({"queue_size": 0}, "^queue_size must be at least 1"),
        ({"random_size": 0}, "^random_size must be at least 1"),
        ({"hard_k": -1}, "^hard_k must be at least 0"),
        ({"hard_beta": -0.1}, "^hard_beta must be at least 0"),
        ({"hard_beta": float("inf")}, "^hard_beta must be at least 0"),
        ({"clusters": 1}, "^clusters must be at least 2"),
        ({"tau_plus": 1.0}, r"^tau_plus must lie in \[0, 1\)"),
        ({"tau_plus": -0.1}, r"^tau_plus must lie in \[0, 1\)"),
        ({"correction": "debiased"}, "^correction: debiased needs similarity: cosine"),
        (
            {
                "correction": "debiased",
                "similarity": "cosine",
                "false_negatives_as": "positives",
                "false_negatives": ("target",),
            },
            "^correction: debiased guesses",
        ),
        ({"correction": "decoupled", "objective": "binary_nce"}, "^correction: decoupled changes"),
        (
            {"correction": "debiased", "similarity": "cosine", "objective": "binary_nce"},
            "^correction: debiased changes",
        ),
        ({"negatives": "queue", "false_negatives": ("cluster",)}, "^negatives: queue holds"),
        (
            {"negatives": "same_cluster", "false_negatives": ("cluster",)},
            "^negatives: same_cluster and",
        ),
    ],
)
def test_fields_out_of_range_or_in_contradiction_are_named(
    fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        AugmentedViews(**fields)
