"""Ranks by counting equal ranks by definition, under both rules for seen items."""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.evaluator import Collector, Evaluator
from torch import Tensor

from augment import Sequences, TrainHistories
from experiments.data.splits.held_out import Split
from experiments.errors import UsageError
from experiments.evaluation import scores
from experiments.evaluation.ranking import (
    DEFAULT_OPTIONS,
    Evaluation,
    EvaluationOptions,
    evaluate,
    metrics,
)
from experiments.evaluation.scores import Layout, UserVectors
from experiments.recbole.config import recbole_config
from models.baselines import Popularity, RepeatLast
from models.shard import Shard
from tests.experiments.small_data import Users, histories_of, users_of

CPU = torch.device("cpu")
INF = float("inf")


class LastItem:
    """Scores the catalogue by the last item of a history: row i of a [n + 1, n + 1] table."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
        for row in range(0, len(histories), rows):
            last = histories.items.gather(1, histories.lengths[:, None] - 1)[row : row + rows, 0]
            yield self.table[last, 1:]


def run(
    users: Users,
    table: Tensor,
    split: Split = "test",
    max_length: int = 50,
    block: int = 1000,
    options: EvaluationOptions = DEFAULT_OPTIONS,
) -> Evaluation:
    """Ranked in blocks of as few users as `block` says."""
    histories = histories_of(users, num_items=len(table) - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "LEAST_USERS", 1)
        return evaluate(LastItem(table), histories, split, max_length, block, CPU, options=options)


def random_table(items: int, distinct: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(distinct, (items + 1, items + 1), generator=rng).float()


def rank(scores: list[float], target: int, left_out: Set[int] = frozenset()) -> float:
    """By definition: 1 + items with a higher score + half of the others with the same."""
    if target in left_out:
        return INF
    others = [i for i in range(1, len(scores)) if i != target and i not in left_out]
    greater = sum(scores[i] > scores[target] for i in others)
    equal = sum(scores[i] == scores[target] for i in others)
    return 1 + greater + equal / 2


@given(
    users=users_of(),
    distinct=st.integers(1, 4),
    seed=st.integers(0, 99),
    split=st.sampled_from(["valid", "test"]),
    max_length=st.integers(1, 12),
    block=st.integers(1, 40),
)
def test_ranks_equal_a_plain_loop_under_each_rule(users, distinct, seed, split, max_length, block):
    table = random_table(6, distinct, seed) - 1
    place = {"valid": -2, "test": -1}[split]
    ranked, excluded, score0 = [], [], []
    for items in users:
        before, target = items[:place], items[place]
        scores = table[before[-1]].tolist()
        ranked.append(rank(scores, target, set()))
        excluded.append(rank(scores, target, set(before)))
        zeroed = [0.0 if item in before else score for item, score in enumerate(scores)]
        score0.append(rank(zeroed, target))
    found = run(users, table, split, max_length, block, EvaluationOptions(score0=True))
    assert found.score0.tolist() == score0
    assert found.ranked.tolist() == ranked
    assert found.excluded.tolist() == excluded
    assert found.targets_seen == sum(map(math.isinf, excluded))


def test_seen_is_the_whole_history_and_not_only_what_the_model_reads():
    table = torch.tensor([0.0, 5, 4, 3, 2, 1]).repeat(6, 1)  # item 1 is the best, 5 the worst
    found = run([[1, 2, 3, 4, 5]], table, max_length=1)
    assert (found.ranked.item(), found.excluded.item()) == (5, 1)


def test_a_seen_target_is_a_miss_and_counted_when_seen_items_are_excluded():
    table = torch.zeros(4, 4)
    table[:, 1] = 1.0
    found = run([[1, 2, 1], [2, 3, 1]], table)
    assert found.ranked.tolist() == [1, 1]
    assert found.excluded.tolist() == [INF, 1]
    assert found.targets_seen == 1
    assert found.metrics()["excluded"]["hr@20"] == 0.5


def test_the_validation_item_counts_as_seen_for_test_only():
    table = torch.tensor([0.0, 4, 3, 2, 1]).repeat(5, 1)
    assert run([[1, 3, 4]], table, "valid").excluded.item() == 2  # behind 2; 1 is out
    assert run([[1, 3, 4]], table, "test").excluded.item() == 2  # behind 2; 1 and 3 are out


def test_a_constant_scorer_does_not_look_good():
    users = [[user + 1, user + 2, user + 3] for user in range(98)]
    found = run(users, torch.zeros(102, 102))  # 101 items
    assert found.ranked.tolist() == [(101 + 1) / 2] * 98
    assert found.excluded.tolist() == [(99 + 1) / 2] * 98
    assert set(found.metrics()["ranked"].values()) == {0.0}


def test_the_padding_column_means_nothing():
    table = random_table(6, 3)
    users = [[1, 2, 3], [4, 5, 6]]
    ranked = run(users, table).ranked.tolist()
    table[:, 0] = 1e9
    assert run(users, table).ranked.tolist() == ranked


@pytest.mark.parametrize("value", [float("nan"), INF, -INF])
def test_a_score_that_is_not_finite_is_an_error(value):
    table = random_table(6, 3)
    table[2, 5] = value
    with pytest.raises(FloatingPointError, match="not finite"):
        run([[1, 2, 3], [3, 4, 5]], table)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_block_size_does_not_matter(split):
    users = [[(user * step) % 20 + 1 for step in range(1, 4 + user % 5)] for user in range(40)]
    table = random_table(20, 5)
    whole = run(users, table, split, block=10**9)
    for block in (1, 20, 70):
        part = run(users, table, split, block=block)
        assert part.ranked.tolist() == whole.ranked.tolist()
        assert part.excluded.tolist() == whole.excluded.tolist()


def whole_numbers(rows: int, dim: int, seed: int) -> Tensor:
    """Vectors whose products are exact, with many ties."""
    return torch.randint(-2, 3, (rows, dim), generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("block", [1, 7, 130, 600])
def test_catalogues_that_are_cut_give_the_ranks_and_the_best_items_of_whole_ones(
    split, block, monkeypatch
):
    users = [[(user * step) % 40 + 1 for step in range(1, 4 + user % 9)] for user in range(90)]
    histories = histories_of(users, num_items=40)
    vectors = UserVectors(whole_numbers(90, 6, 0), whole_numbers(40, 6, 1))
    options = EvaluationOptions(score0=True)
    whole = evaluate(vectors, histories, split, 50, 10**9, CPU, options=options)
    monkeypatch.setattr(scores, "LEAST_USERS", 5)
    layout = Layout.of(block, 40)
    assert layout.columns < 40 or block > 100
    part = evaluate(vectors, histories, split, 50, block, CPU, options=options)
    for rule, ranks in whole.ranks.items():
        assert part.ranks[rule].tolist() == ranks.tolist()
    assert whole.targets_seen > 0


def test_the_best_items_of_cut_catalogues_are_those_of_whole_ones(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    users = [[(user * step) % 40 + 1 for step in range(1, 4 + user % 9)] for user in range(90)]
    vectors = UserVectors(torch.randn(90, 6, generator=rng), torch.randn(40, 6, generator=rng))
    options = EvaluationOptions((1, 5, 12), score0=True, beyond=True)
    whole = evaluate(vectors, histories_of(users, 40), "test", 50, 10**9, CPU, options=options)
    monkeypatch.setattr(scores, "LEAST_USERS", 5)
    part = evaluate(vectors, histories_of(users, 40), "test", 50, 35, CPU, options=options)
    assert part.beyond == whole.beyond
    assert whole.beyond["excluded"] != whole.beyond["ranked"]


@pytest.mark.parametrize("items", [100, 12_000, 20_000, 50_000, 50_001, 1_000_000, 10**7])
def test_many_users_are_scored_at_once_however_large_the_catalogue(items):
    layout = Layout.of(800_000, items)
    assert layout.rows >= 64
    assert layout.rows * layout.columns <= 4 * 800_000
    assert layout.columns == items or layout.rows * items > 4 * 800_000


def test_a_model_is_ranked_alike_with_whole_and_with_cut_catalogues(monkeypatch):
    from models.encoders import GRUConfig
    from tests.models.tiny import build_model, cyclic_histories

    model = build_model(
        GRUConfig(8, 1, 0.5, 5, hidden=8), [], cyclic_histories(users=5, num_items=30, longest=5)
    ).eval()
    histories = histories_of([[1 + (7 * user + s) % 30 for s in range(6)] for user in range(20)])
    whole = evaluate(model, histories, "test", 5, 1000, CPU)
    monkeypatch.setattr(scores, "LEAST_USERS", 3)
    part = evaluate(model, histories, "test", 5, 12, CPU)
    assert part.ranked.tolist() == whole.ranked.tolist()
    assert part.excluded.tolist() == whole.excluded.tolist()


def test_a_model_that_cannot_be_cut_is_asked_for_few_users_in_a_large_catalogue(monkeypatch):
    """And for as many as before in a small one; its ranks are the same."""
    users = [[(user * step) % 40 + 1 for step in range(1, 5)] for user in range(30)]
    model, asked = LastItem(random_table(40, 9)), list[int]()

    class Asked:
        def score_blocks(self, histories: Sequences, rows: int) -> Iterator[Tensor]:
            asked.append(rows)
            return model.score_blocks(histories, rows)

    whole = evaluate(Asked(), histories_of(users, 40), "test", 50, 400, CPU)
    monkeypatch.setattr(scores, "LEAST_USERS", 5)
    small = evaluate(Asked(), histories_of(users, 40), "test", 50, 400, CPU)
    few = evaluate(Asked(), histories_of(users, 40), "test", 50, 40, CPU)
    assert asked == [64, 10, 5]
    assert few.ranked.tolist() == small.ranked.tolist() == whole.ranked.tolist()


def test_a_seen_target_keeps_the_score_0_under_the_third_rule():
    table = torch.tensor([0.0, -1, 2, -3, 0]).repeat(5, 1)
    # seen 1 and 2 get 0 and tie with 4; 3 stays below: the seen target 1 shares places 1 to 3
    assert run([[1, 2, 1]], table, options=EvaluationOptions(score0=True)).score0.item() == 2
    # the target 3 is below all three; without the seen ones, only below 4
    found = run([[1, 2, 3]], table, options=EvaluationOptions(score0=True))
    assert (found.score0.item(), found.excluded.item(), found.ranked.item()) == (4, 2, 4)


def test_without_the_third_rule_there_is_none():
    found = run([[1, 2, 3]], random_table(4, 3))
    assert found.score0 is None
    assert list(found.metrics()) == ["excluded", "ranked"]


@pytest.mark.parametrize(
    ("cutoffs", "reported"),
    [((1, 50, 100), [1, 10, 50, 100]), ((10,), [10]), ((20, 5), [5, 10, 20])],
)
def test_metrics_are_cut_off_where_asked_and_always_at_10(cutoffs, reported):
    found = run([[1, 2, 3]], random_table(4, 3), options=EvaluationOptions(cutoffs))
    assert list(found.metrics()["ranked"]) == [
        f"{name}@{k}" for k in reported for name in ("hr", "ndcg", "mrr")
    ]


def test_users_and_items_of_other_dimensions_are_refused():
    with pytest.raises(UsageError, match="the same dimension"):
        UserVectors(torch.zeros(2, 3), torch.zeros(5, 4))


@pytest.mark.parametrize(
    ("rank", "hr", "ndcg", "mrr"),
    [
        (1, 1, 1, 1),
        (2, 1, 1 / math.log2(3), 1 / 2),
        (3.5, 1, 1 / math.log2(4.5), 1 / 3.5),
        (10, 1, 1 / math.log2(11), 1 / 10),
        (10.5, 0, 0, 0),
        (11, 0, 0, 0),
        (INF, 0, 0, 0),
    ],
)
def test_metrics_of_one_rank_have_a_closed_form(rank, hr, ndcg, mrr):
    found = metrics(np.array([float(rank)]))
    expected = {"hr@10": hr, "ndcg@10": ndcg, "mrr@10": mrr}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-15)


def test_four_users_ranked_by_hand_have_these_metrics():
    """Twelve items; a row of scores for the last item of each history, and 0 for what is left."""
    scores = {  # last item: {item: score}          target: better, tied -> rank; without the seen
        2: {1: 5, 2: 4, 3: 3, 4: 3},  # 3: {1, 2}, {4} -> 3.5; {}, {4} -> 1.5
        1: {3: 3, 5: 4, 2: 2, 4: 1},  # 2: {3, 5}, {} -> 3; it was seen: a miss
        5: {1: 9, 4: 8, 5: 7},  # 1: {}, {} -> 1; the same
        7: {1: 9, 2: 8, 3: 7, 4: 6, 6: 5, 7: 4, 8: 3},  # 8: {1, 2, 3, 4, 6, 7} -> 7; 1 to 4 -> 5
    }
    table = torch.zeros(13, 13)
    for last, row in scores.items():
        table[last, list(row)] = torch.tensor(list(row.values()), dtype=torch.float)
    found = run([[1, 2, 3], [2, 3, 1, 2], [4, 5, 1], [6, 7, 8]], table)
    assert found.ranked.tolist() == [3.5, 3, 1, 7]
    assert found.excluded.tolist() == [1.5, INF, 1, 5]
    log = math.log2
    ndcg, mrr = (1 / log(4.5) + 1 / log(4) + 1) / 4, (1 / 3.5 + 1 / 3 + 1) / 4
    assert found.metrics()["ranked"] == pytest.approx(
        {"hr@5": 3 / 4, "ndcg@5": ndcg, "mrr@5": mrr}
        | {"hr@10": 1, "ndcg@10": ndcg + 1 / log(8) / 4, "mrr@10": mrr + 1 / 7 / 4}
        | {"hr@20": 1, "ndcg@20": ndcg + 1 / log(8) / 4, "mrr@20": mrr + 1 / 7 / 4}
    )
    ndcg, mrr = (1 / log(2.5) + 1 + 1 / log(6)) / 4, (1 / 1.5 + 1 + 1 / 5) / 4
    assert found.metrics()["excluded"] == pytest.approx(
        {f"{name}@{k}": value for k in (5, 10, 20)
         for name, value in (("hr", 3 / 4), ("ndcg", ndcg), ("mrr", mrr))}
    )  # fmt: skip
    assert ndcg == pytest.approx(0.5358, abs=5e-5)  # (0.7565 + 1 + 0.3869) / 4


def test_metrics_are_means_over_users_at_three_cutoffs():
    found = metrics(np.array([1.0, 6.0, 11.0, 21.0]))
    assert [found[f"hr@{k}"] for k in (5, 10, 20)] == [0.25, 0.5, 0.75]
    assert list(found) == [f"{m}@{k}" for k in (5, 10, 20) for m in ("hr", "ndcg", "mrr")]


def test_without_ties_metrics_equal_those_of_recboles_evaluator(tmp_path: Path):
    items, users = 60, 80
    rng = torch.Generator().manual_seed(0)
    table = torch.rand(items + 1, items + 1, generator=rng)
    histories = [torch.randint(1, items + 1, (4,), generator=rng).tolist() for _ in range(users)]

    config = recbole_config("SASRec", tmp_path, "given", 50, {})
    collector = Collector(config)
    scores = table[[items[-2] for items in histories]]
    scores[:, 0] = -INF  # as RecBole's Trainer does
    targets = torch.tensor([items[-1] for items in histories])
    collector.eval_batch_collect(scores, None, torch.arange(users), targets)
    theirs = Evaluator(config).evaluate(collector.get_data_struct())

    ours = run(histories, table).metrics()["ranked"]
    assert 0 < ours["hr@5"] < ours["hr@20"] < 1
    assert {name.replace("hr", "hit"): ours[name] for name in ours} == pytest.approx(
        dict(theirs), abs=1e-6
    )


def test_processes_rank_every_user_once(monkeypatch):
    """Three users at a time, by one process, or in turn by two."""
    monkeypatch.setattr("experiments.evaluation.ranking.USERS", 3)
    users = [[1 + (7 * user + step) % 9 for step in range(3 + user % 5)] for user in range(20)]
    table = random_table(9, 4)
    histories, parts = histories_of(users, num_items=9), []

    class Part(Shard):
        def sum(self, value: Tensor) -> Tensor:
            parts.append(value)
            return value

    for rank in (0, 1):
        evaluate(LastItem(table), histories, "test", 50, 1000, CPU, Part(rank, 2))
    ranked = torch.stack([part[0] for part in parts])
    assert ((ranked > 0).sum(dim=0) == 1).all()
    assert (ranked > 0).any(dim=1).all()
    monkeypatch.undo()
    whole = run(users, table)
    assert torch.equal(sum(parts), torch.from_numpy(np.stack([whole.excluded, whole.ranked])))


def test_popularity_ranks_by_the_count_in_training():
    train = TrainHistories(torch.tensor([3, 3, 3, 1, 1, 2]), torch.tensor([0, 6]), num_items=4)
    scores = Popularity(train).scores(Sequences(torch.tensor([[1], [2]]), torch.tensor([1, 1])))
    assert scores[:, 1:].tolist() == [[2, 1, 3, 0]] * 2


def test_repeat_last_puts_the_latest_first_and_ties_what_was_never_seen():
    train = TrainHistories(torch.tensor([1]), torch.tensor([0, 1]), num_items=5)
    histories = Sequences(torch.tensor([[4, 2, 4], [5, 0, 0]]), torch.tensor([3, 1]))
    scores = RepeatLast(train).scores(histories)
    assert scores[:, 1:].tolist() == [[0, 2, 0, 3, 0], [0, 0, 0, 0, 1]]


def test_evaluation_leaves_the_scorer_as_it_was():
    users = [[1, 2, 3], [3, 2, 1]]
    model = Popularity(TrainHistories(torch.tensor([1, 3]), torch.tensor([0, 1, 2]), 3))
    first = evaluate(model, histories_of(users), "test", 50, 1000, CPU)
    again = evaluate(model, histories_of(users), "test", 50, 1000, CPU)
    assert again.ranked.tolist() == first.ranked.tolist()
    assert model.counts.tolist() == [0, 1, 0, 1]
