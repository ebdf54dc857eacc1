"""The host: what it adds up, what it scores, what weight 0 means, and that it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from augment import MASK, Crop, Mask, Reorder
from models.augmented_input import AugmentConfig
from models.encoders import ENCODERS, EncoderConfig, GRUConfig, SelfAttentionConfig
from models.encoders.passes import Request, encode_together
from models.host import Host
from models.losses.next_item import CrossEntropy, NoNextItem
from models.losses.pairwise import BinaryCrossEntropy
from models.one_pass import Encoded
from models.recbole_plug import SASRec
from models.shard import Shard
from models.tasks import (
    TASKS,
    AugmentedViews,
    Batch,
    DropoutViews,
    HistoryState,
    Requests,
    Step,
    Task,
    TaskLoss,
)
from tests.histories import counting, generator, padded
from tests.models.tiny import (
    CPU,
    ENCODER_EXAMPLES,
    Examples,
    build_model,
    cycles_understood,
    cyclic_histories,
    encoder_config,
    loss_of,
    random_batch,
    train_steps,
    training_rows,
    views_of,
)

TRAIN = cyclic_histories(users=30, num_items=12, longest=14)

every_encoder = pytest.mark.parametrize("kind", list(ENCODERS))
causal_encoders = pytest.mark.parametrize(
    "kind", [kind for kind, examples in ENCODER_EXAMPLES if examples == "windows"]
)
encoders_and_examples = pytest.mark.parametrize(("kind", "examples"), ENCODER_EXAMPLES)
both_examples = pytest.mark.parametrize("examples", ["prefixes", "windows"])


def augmented(weight: float = 0.1, name: str = "augmented") -> AugmentedViews:
    return AugmentedViews(name=name, weight=weight, operators=(Crop(), Mask(), Reorder()))


def small_model(kind: str, *contrast: Task, seed: int = 0) -> SASRec:
    return build_model(encoder_config(kind), contrast, TRAIN, seed)


def some_batch(examples: Examples = "prefixes", size: int = 8) -> Batch:
    return random_batch(TRAIN, training_rows(TRAIN, examples), size, seed=0)


# Weight 0 ------------------------------------------------------------------------------------


@encoders_and_examples
def test_a_contrast_of_weight_0_trains_bit_for_bit_as_none(kind: str, examples: Examples) -> None:
    plain = small_model(kind)
    zero = small_model(kind, *(task(name=name, weight=0.0) for name, task in TASKS.items()))
    assert train_steps(plain, TRAIN, examples, 8) == train_steps(zero, TRAIN, examples, 8)
    assert plain.state_dict().keys() == zero.state_dict().keys()
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, zero.state_dict()[name]), name


@every_encoder
def test_a_contrast_does_not_change_the_weights_training_starts_from(kind: str) -> None:
    plain = small_model(kind).state_dict()
    with_tasks = small_model(kind, *(task(name=name) for name, task in TASKS.items()))
    for name, weight in plain.items():
        assert torch.equal(weight, with_tasks.state_dict()[name]), name


@every_encoder
def test_the_seed_decides_the_whole_training(kind: str) -> None:
    losses = [train_steps(small_model(kind, augmented()), TRAIN, "prefixes", 4) for _ in range(2)]
    assert losses[0] == losses[1]
    assert losses[0] != train_steps(small_model(kind, augmented(), seed=1), TRAIN, "prefixes", 4)


@pytest.mark.parametrize("name", ["augmented_views", "two words", "train", "items"])
def test_a_task_may_have_any_name(name: str) -> None:
    losses = small_model("gru", augmented(name=name)).losses(some_batch(), generator(0))
    assert losses.parts.keys() == {"next_item", name}


def test_two_tasks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^contrast: two tasks are named 'it'"):
        small_model("gru", augmented(name="it"), DropoutViews(name="it"))


def test_the_host_alone_is_the_model_that_recbole_runs() -> None:
    """Parameters have the same names, order and values; RecBole adds none."""
    plugged, encoder = small_model("gru", augmented()), encoder_config("gru")
    torch.manual_seed(0)
    host = Host(encoder, CrossEntropy(), [augmented()], AugmentConfig(), TRAIN, CPU)
    assert list(host.state_dict()) == list(plugged.state_dict())
    for name, weight in host.state_dict().items():
        assert torch.equal(weight, plugged.state_dict()[name]), name
    batch = some_batch()
    losses = [model.eval().losses(batch, generator(0)).total for model in (host, plugged)]
    assert torch.equal(*losses)


def test_a_view_that_is_asked_for_twice_is_encoded_twice() -> None:
    """Both under a dropout mask of their own: else the contrast would compare a state to itself."""
    model = small_model("self_attention", DropoutViews(name="it", pooling="mean")).train()
    metrics = model.losses(some_batch(), generator(0), diagnose=True).metrics
    assert metrics["contrast/it/positive_similarity"].item() < 0.999


def test_models_do_not_share_a_task() -> None:
    task = augmented()
    first, second = small_model("gru", task), small_model("gru", task)
    assert first.contrastive_tasks()[0] is not second.contrastive_tasks()[0]
    assert first.contrastive_tasks()[0] is not task


# Padding and [mask] --------------------------------------------------------------------------


def test_the_mask_is_the_last_row_of_the_table_and_padding_the_first() -> None:
    model = small_model("gru")
    table = model.item_embedding.weight
    assert table.shape == (12 + 2, 8)
    vectors = model.embed(torch.tensor([[MASK, 0], [1, 12]]))
    assert torch.equal(vectors[0, 0], table[13])
    assert torch.equal(vectors[0, 1], torch.zeros(8))
    assert torch.equal(vectors[1], table[[1, 12]])


@every_encoder
def test_the_mask_is_never_scored(kind: str) -> None:
    model, histories = small_model(kind).eval(), padded([[1, 2, 3], [7]])
    before = model.scores(histories)
    with torch.no_grad():
        model.item_embedding.weight[-1] = 100.0
    assert before.shape == (2, 12 + 1)
    assert torch.equal(model.scores(histories), before)
    assert len(model.items().all()) == 12


@both_examples
def test_the_mask_is_trained_by_views_alone(examples: Examples) -> None:
    model, rng = small_model("self_attention", augmented()), generator(0)
    parts = model.losses(some_batch(examples), rng).parts
    table = model.item_embedding.weight
    (grad,) = torch.autograd.grad(parts["next_item"], table, retain_graph=True)
    assert grad[-1].abs().max() == 0
    (grad,) = torch.autograd.grad(parts["augmented"], table)
    assert grad[-1].abs().max() > 0


@encoders_and_examples
def test_padding_stays_zero(kind: str, examples: Examples) -> None:
    model = small_model(kind, augmented())
    assert model.item_embedding.weight[0].abs().max() == 0
    train_steps(model, TRAIN, examples, 5, learning_rate=0.1)
    assert model.item_embedding.weight[0].abs().max() == 0
    assert model.item_embedding.weight[1:].abs().amax(dim=1).min() > 0


# The loss ------------------------------------------------------------------------------------


@encoders_and_examples
def test_the_loss_is_next_item_plus_weighted_tasks(kind: str, examples: Examples) -> None:
    """Each part equals what it is when it is computed alone."""
    model = small_model(kind, augmented(0.3, "a"), augmented(2.0, "b")).eval()
    batch = some_batch(examples)
    losses = model.losses(batch, generator(4))
    rng, expected = generator(4), []
    for task in model.contrastive_tasks():
        views = [Request(v.sequences, v.pooling) for v in views_of(task, batch, rng)]
        encoded = list(encode_together(model.encoder, model.embed, dict(enumerate(views))).values())
        expected.append(task.weight * loss_of(task, encoded, batch).value.item())
    assert [losses.parts[name].item() for name in "ab"] == pytest.approx(expected, rel=1e-4)
    total = losses.parts["next_item"].item() + sum(expected)
    assert losses.total.item() == pytest.approx(total, rel=1e-5)
    assert losses.metrics["train/loss"].item() == losses.total.item()
    assert losses.metrics["contrast/b/loss"].item() == pytest.approx(expected[1] / 2, rel=1e-4)


@every_encoder
def test_the_next_item_loss_is_cross_entropy_of_the_scores(kind: str) -> None:
    model, batch = small_model(kind).eval(), some_batch()
    expected = F.cross_entropy(model.scores(batch.histories)[:, 1:], batch.targets - 1)
    assert model.losses(batch, generator(0)).total.item() == pytest.approx(expected.item())


@both_examples
def test_without_next_item_loss_the_tasks_are_all_there_is(examples: Examples) -> None:
    encoder = encoder_config("self_attention")
    model = build_model(encoder, [augmented(0.3)], TRAIN, next_item=NoNextItem())
    losses = model.losses(some_batch(examples), generator(0))
    assert losses.parts.keys() == {"augmented"}
    assert "train/next_item" not in losses.metrics
    losses.total.backward()  # type: ignore[no-untyped-call]
    assert model.item_embedding.weight.grad.abs().max() > 0


@causal_encoders
def test_every_position_of_a_window_is_a_prefix(kind: str) -> None:
    """The loss on all positions is the mean over the prefixes; label 0 is not scored."""
    model = small_model(kind).eval()
    history = [3, 1, 4, 1, 5]
    whole = Batch(
        padded([history], width=7),
        torch.tensor([9]),
        torch.tensor([0]),
        torch.tensor([[0, 4, 1, 5, 9, 0, 0]]),
    )
    prefixes = Batch(
        padded([history[:n] for n in (2, 3, 4, 5)]), torch.tensor([4, 1, 5, 9]), torch.arange(4)
    )
    losses = [model.losses(batch, generator(0)).total.item() for batch in (whole, prefixes)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_generator_draws_views_and_nothing_else() -> None:
    model = small_model("self_attention")  # no task, no view
    rng = generator(0)
    model.train().losses(some_batch(), rng)
    assert torch.equal(rng.get_state(), generator(0).get_state())


def test_identity_rates_are_recorded_by_operator() -> None:
    task = AugmentedViews("it", operators=(Mask(0.3), Crop(0.5)), draw="two_distinct")
    model = build_model(encoder_config("gru"), [task], TRAIN)
    batch = Batch(counting([2, 3, 2, 3]), torch.tensor([4, 5, 6, 7]), torch.arange(4))
    metrics = model.losses(batch, generator(0), diagnose=True).metrics
    assert metrics["contrast/it/identity_rate"].item() == 0.5
    assert metrics["contrast/it/identity_rate/mask"].item() == 1.0
    assert metrics["contrast/it/identity_rate/crop"].item() == 0.0


@dataclass(eq=False, repr=False)
class Given(Task):
    """Keeps what it was given of its own states."""

    pooling: Literal["last", "mean"] = "last"

    def requests(self, step: Step) -> Requests:
        return {"own": HistoryState(self.pooling)}

    def loss(self, encoded: Mapping[str, Tensor], step: Step) -> TaskLoss:
        self.states = encoded["own"].detach()
        return TaskLoss(encoded["own"].square().mean())


@encoders_and_examples
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("anchors", ["all", "one_per_user"])
def test_own_states_are_those_of_the_rows_that_take_part(
    kind: str,
    examples: Examples,
    pooling: Literal["last", "mean"],
    anchors: Literal["all", "one_per_user"],
) -> None:
    model = build_model(
        encoder_config(kind, dropout=0.0), [Given("it", anchors=anchors, pooling=pooling)], TRAIN
    )
    (task,) = model.contrastive_tasks()
    assert isinstance(task, Given)
    batch = some_batch(examples, 20)
    assert batch.final is not None
    assert 0 < len(batch.final) < 20 or examples == "windows"
    model.losses(batch, generator(0))
    whole = model.encode(batch.histories, pooling)
    torch.testing.assert_close(task.states, whole if anchors == "all" else whole[batch.final])


class EveryOther(Given):
    """Of every second row."""

    def select_rows(self, batch: Batch) -> Batch:
        return batch.of(torch.arange(0, len(batch), 2)).of(torch.tensor([2, 0]))


def test_own_states_are_those_of_rows_that_a_task_selects_itself() -> None:
    model = build_model(encoder_config("self_attention", dropout=0.0), [EveryOther("it")], TRAIN)
    (task,) = model.contrastive_tasks()
    assert isinstance(task, Given)
    batch = some_batch("prefixes", 8)
    model.losses(batch, generator(0))
    whole = model.encode(batch.histories, "last")
    torch.testing.assert_close(task.states, whole[[4, 0]])


def test_processes_that_share_a_batch_draw_negatives_apart_and_views_together() -> None:
    batch, states = some_batch(size=5), []
    for rank in (0, 1):
        model = build_model(
            encoder_config("gru", dropout=0.0), [], TRAIN, next_item=BinaryCrossEntropy()
        )
        model.shard = Shard(rank, 2)
        model.start_epoch(1, generator(0))
        rng = generator(3)
        states_of_part = model.represent(batch.histories)[model.shard.part(5)]
        encoded = Encoded({"input": states_of_part}, {"input": Request(batch.histories, "last")})
        model.next_item_loss(encoded, batch, None, rng)
        assert torch.equal(rng.get_state(), generator(3).get_state())
        states.append(model.process_rng.get_state())
    assert not torch.equal(*states)


def test_items_are_drawn_as_the_encoder_s_weights_are() -> None:
    train = cyclic_histories(users=30, num_items=500, longest=14)
    weight = build_model(encoder_config("gru", init_std=0.1), [], train).item_embedding.weight
    assert weight.shape == (502, 8)  # padding, the items, the mask
    assert (weight[0] == 0.0).all()
    assert weight[1:].std().item() == pytest.approx(0.1, rel=0.05)


# It learns -----------------------------------------------------------------------------------

LEARNERS: dict[str, EncoderConfig] = {
    "self_attention": SelfAttentionConfig(16, 1, 0.1, 10, inner=32, attention_dropout=0.1),
    "gru": GRUConfig(16, 1, 0.1, 10, hidden=32),
}


@pytest.mark.parametrize("kind", LEARNERS)
@pytest.mark.parametrize("contrast", [[], [augmented(0.1)]], ids=["plain", "cl4srec"])
def test_planted_structure_is_found(kind: str, contrast: list[Task]) -> None:
    """Item i + 1 follows item i: the item after each training history is ranked first."""
    train = cyclic_histories(users=100, num_items=15, longest=8)
    model = build_model(LEARNERS[kind], contrast, train)
    train_steps(model, train, "prefixes", steps=100, size=64, learning_rate=0.02)
    assert cycles_understood(model, train, longest=10) > 0.95


def test_a_task_hears_the_history_itself_where_the_input_is_augmented() -> None:
    """A twin without dropout is the very same state, whatever the next-item loss reads."""
    model = build_model(
        encoder_config("self_attention", dropout=0.0),
        [DropoutViews(name="it")],
        TRAIN,
        augment=AugmentConfig(probability=1.0, operators=(Mask(ratio=1.0),)),
    )
    losses = model.train().losses(some_batch(), generator(0), diagnose=True)
    assert losses.metrics["contrast/it/positive_similarity"].item() == pytest.approx(1.0)
    assert losses.metrics["train/augment/identity_rate"].item() < 0.5
