"""A view that two tasks read is encoded once, whatever each wants of it."""

from __future__ import annotations

import pytest
import torch

from models.one_pass import to_encode
from models.tasks import (
    AugmentedViews,
    Batch,
    Intents,
    LearnedViews,
    Requests,
    SameTarget,
    SharedView,
    Step,
    Task,
    UserItem,
)
from tests.histories import counting, generator
from tests.models.tiny import build_model, cyclic_histories, encoder_config, views_of

TRAIN = cyclic_histories(users=30, num_items=12, longest=9)
BATCH = Batch(counting([3, 2, 4]), torch.tensor([5, 6, 7]), torch.arange(3))

pytestmark = pytest.mark.filterwarnings("ignore:clusters. ")


@pytest.mark.parametrize(
    ("views", "intents"),
    [
        ("last", "last"),
        ("last", "mean"),
        ("concat", "mean"),
        ("concat", "concat"),
        ("padded", "mean_padded"),
    ],
)
def test_both_tasks_get_the_view_as_they_want_it_from_one_pass(
    views: str, intents: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        AugmentedViews("views", pooling=views),  # type: ignore[arg-type]
        Intents("intents", clusters=(4,), pooling=intents, views_of="views"),  # type: ignore[arg-type]
    ]
    model = build_model(encoder_config("self_attention", dropout=0.0), tasks, TRAIN)
    model.start_epoch(1, generator(0))
    model.train()
    given = {}
    task = model.contrastive_tasks()[1]
    monkeypatch.setattr(
        task, "contrast", lambda states, *_: given.setdefault(len(given), states).sum()
    )
    steps = model.task_steps(BATCH, generator(3))
    asked = len(steps[0].named()) + len(steps[1].named())
    by_a_pass = intents in ("concat", "mean_padded")  # these read the history by a pass, too
    assert asked == 2 + by_a_pass
    model.losses(BATCH, generator(3))
    for number, view in enumerate(views_of(model.contrastive_tasks()[0], BATCH, generator(3))):
        expected = model.encode(view.sequences, intents)  # type: ignore[union-attr, arg-type]
        torch.testing.assert_close(given[number], expected)


def test_poolings_that_one_pass_does_not_give_are_refused() -> None:
    tasks = [AugmentedViews("views"), Intents("it", pooling="mean_padded", views_of="views")]
    with pytest.raises(ValueError, match=r"^contrast: a view of views is wanted as last and mean_"):
        build_model(encoder_config("self_attention"), tasks, TRAIN)


@pytest.mark.parametrize("pooling", ["last", "concat"])
def test_a_view_that_is_the_historys_own_state_is_shared_too(pooling: str) -> None:
    """Without dropout the state is the same, whether it is read or encoded anew."""
    tasks = [
        SameTarget("views", anchor="own"),
        Intents("it", clusters=(4,), pooling=pooling, views_of="views"),  # type: ignore[arg-type]
    ]
    model = build_model(encoder_config("self_attention", dropout=0.0), tasks, TRAIN).eval()
    steps = model.task_steps(BATCH, generator(3))
    requests = to_encode(BATCH.histories, BATCH.histories, False, steps, 10)
    found = model.resolve_requests(steps[1], model.one_pass(requests), BATCH)
    torch.testing.assert_close(found["a"], model.encode(BATCH.histories, pooling))  # type: ignore[arg-type]
    assert found["b"].shape == found["a"].shape


@pytest.mark.parametrize("other", [UserItem("views"), Intents("views")])
def test_a_task_without_views_of_histories_has_none_to_share(other: Task) -> None:
    tasks = [other, Intents("it", views_of="views")]
    with pytest.raises(ValueError, match=r"^contrast: it reads the views of views, which has no"):
        build_model(encoder_config("gru"), tasks, TRAIN)


def test_the_second_step_sees_the_views_of_another_task() -> None:
    class Reader(LearnedViews):
        def requests(self, step: Step) -> Requests:
            return {name: SharedView("views", name) for name in ("a", "b")}

        def reads_views_of(self) -> list[str]:
            return ["views"]

    tasks = [AugmentedViews("views"), Reader("it")]
    model = build_model(encoder_config("self_attention", dropout=0.0), tasks, TRAIN).train()
    losses = model.losses(BATCH, generator(0))
    second = model.second_step(losses, BATCH)
    assert second is not None
    torch.testing.assert_close(
        0.1 * second, losses.parts["it"] - 0.03 * losses.parts["views"] / 0.1
    )


def test_views_of_a_task_that_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^contrast: it reads the views of 'views', and no task"):
        build_model(encoder_config("gru"), [Intents("it", views_of="views")], TRAIN)


def test_views_of_other_rows_are_refused() -> None:
    tasks = [AugmentedViews("views", anchors="one_per_user"), Intents("it", views_of="views")]
    with pytest.raises(ValueError, match=r"^contrast: it reads the views of views: give both the"):
        build_model(encoder_config("gru"), tasks, TRAIN)
