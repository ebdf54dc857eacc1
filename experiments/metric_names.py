"""What metrics are called in a run's history, in its result and in the lines of the results."""

from __future__ import annotations

from collections.abc import Mapping

RULES = ("excluded", "ranked")
"""What happens to items that a user has seen: they leave the ranking, or compete in it."""
SCORE0 = "score0"
"""A third rule, where it is asked for: seen items stay in the ranking with the score 0."""
RULE_WORDS = {
    "excluded": "seen items excluded",
    "ranked": "seen items ranked",
    SCORE0: "seen items at score 0",
}
"""How a rule is told to a reader."""
CUTOFFS = (5, 10, 20)
"""Where nothing else is asked for."""
METRICS = tuple(f"{name}@{k}" for name in ("hr", "ndcg", "mrr") for k in CUTOFFS)
SELECTION_CUTOFF = 10
SELECTION = f"ndcg@{SELECTION_CUTOFF}"
MONITOR = f"{RULES[0]}/{SELECTION}"
"""Of validation: chooses a search's trial, and the epoch where nothing else is asked for."""


def metric_key(split: str, rule: str, name: str) -> str:
    """`valid/excluded/ndcg@10`."""
    return f"{split}/{rule}/{name}"


def flat(split: str, metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """{"excluded": {"ndcg@10": ...}} as {"test/excluded/ndcg@10": ...}."""
    return {
        metric_key(split, rule, name): value
        for rule, values in metrics.items()
        for name, value in values.items()
    }


VALID_NDCG10 = metric_key("valid", "excluded", SELECTION)
TEST_NDCG10 = metric_key("test", "excluded", SELECTION)
TEST_METRICS = tuple(metric_key("test", rule, name) for rule in RULES for name in METRICS)
