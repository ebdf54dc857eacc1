"""A line of the results, the JSON object of one trial: its fields, and what they must be."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from experiments.aliases import current
from experiments.config.overrides import with_overrides
from experiments.data.splits.kinds import split_words
from experiments.errors import UsageError
from experiments.metric_names import SELECTION, TEST_NDCG10, VALID_NDCG10
from experiments.storage.yaml_file import as_text, plain

Values = dict[str, Any]

TEXTS = ("study", "trial", "status", "variant", "dataset")
STATUSES = ("finished", "pruned", "failed")
COPIED = (
    "dataset", "data_sha256", "features_sha256", "model", "seed", "config_sha256", "commit",
    "dirty", "device", "best_epoch", "epochs", "parameters", "targets_per_second", "peak_rss_mb",
    "users", "processes", "split",
)  # fmt: skip
"""Fields that a line has from the run's result.json, under the same names."""
MEASURED = ("valid/", "test/")
SECONDS = "seconds/train"
HITS = "hits/excluded"
OWNERS = "hits/users"
"""How many of the ranks in the line are each user's; not there where it is one of each."""
GROUPED = ("from", "to", "users", f"excluded/{SELECTION}")
HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # half of a pair: cannot be written
LARGEST = 1e39  # beyond any number of 32 bits; its square is still finite
UNLEARNT = ("popularity", "repeat-last")


@dataclass(frozen=True)
class Line:
    """One trial.  values: everything that its line says."""

    study: str
    trial: str
    status: str
    variant: str
    dataset: str
    seed: int
    baseline: str | None
    axes: dict[str, Any]
    values: dict[str, Any]

    @property
    def tested(self) -> bool:
        """Has it looked at the test split?  Trials of a search have not."""
        return self.status == "finished" and TEST_NDCG10 in self.values

    @property
    def place(self) -> str:
        """The data set, how it was split where that is not leave-one-out, and how ties were
        ordered where that is not the file's order.

        Trials of different places have other test items and are not compared: "beauty",
        "beauty (temporal, last)", "ml-100k (ties shuffled)".
        """
        told = {**self.targets_asked, **(self.values.get("config") or {})}
        ties = told.get("ties", "file")
        words = [split_words(told.get("split")), "" if ties == "file" else f"ties {ties}"]
        both = ", ".join(filter(None, words))
        return f"{self.dataset} ({both})" if both else self.dataset

    @property
    def targets_asked(self) -> dict[str, Any]:
        """The split and the order of ties, as far as the study sets them for the trial: one that
        failed has no configuration."""
        fields = {**({} if self.values.get("config") else self.fields_set), **self.axes}
        own = [(key, fields[key]) for key in fields if key.split(".")[0] in ("split", "ties")]
        return with_overrides({}, own)

    @property
    def fields_set(self) -> dict[str, Any]:
        """The dotted fields of its command line; none where that is no command line."""
        try:
            words = shlex.split(str(self.values.get("command", "")))
        except ValueError:
            return {}
        pairs = [word.removeprefix("--").partition("=") for word in words if "=" in word]
        return {key: plain(text, key) for key, _, text in pairs}

    @property
    def targets(self) -> int:
        """Test targets: one a user unless the split has several."""
        return int(self.values.get("targets/test", self.values["users"]))

    @property
    def command(self) -> str:
        """What trains the same, by the names that fields have now."""
        return shlex.join(map(current_word, shlex.split(str(self.values["command"]))))

    @property
    def loss(self) -> str | None:
        """The name of the next-item loss; None where the configuration does not say.

        A model that learns by none has one in its configuration all the same, unread; RecBole's
        models have theirs, cross-entropy unless they are told.
        """
        config = self.values.get("config") or {}
        model = str(config.get("model"))
        if model in UNLEARNT:
            return None
        if model.startswith("recbole:"):
            own = (config.get("recbole") or {}).get("loss_type", "CE")
            return "cross_entropy" if own == "CE" else f"recbole {own}"
        name = self.next_item.get("loss") or config.get("next_item")
        return name if isinstance(name, str) else None

    @property
    def next_item(self) -> dict[str, Any]:
        """The fields of the next-item loss in the configuration; none where it is a bare name."""
        part = (self.values.get("config") or {}).get("next_item")
        return part if isinstance(part, dict) else {}

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        return float(value) if isinstance(value, (int, float)) else None


def parse(text: str | bytes, where: str) -> Line:
    """One line of the results; `where` is named when it is not one."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not a JSON object ({error})") from None
    check_line(values, where)
    if "axes" in values:
        values["axes"] = current_axes(values)
    study, trial, status, variant, dataset = (values[key] for key in TEXTS)
    seed, baseline, axes = values["seed"], values.get("baseline"), values.get("axes") or {}
    return Line(study, trial, status, variant, dataset, seed, baseline, axes, values)


def current_word(word: str) -> str:
    """--protocol=sequence as --examples=windows; any other word as it is."""
    key, equals, text = word.removeprefix("--").partition("=")
    if not (word.startswith("--") and equals):
        return word
    before = (key, plain(text, key))
    after = current(*before)
    return word if after == before else f"--{after[0]}={as_text(after[1])}"


def current_axes(values: dict[str, Any]) -> dict[str, Any]:
    """What a trial was varied in, by the names that fields have now."""
    return dict(current(key, value) for key, value in (values.get("axes") or {}).items())


def workload(dataset: Any, model: Any, examples: Any, encoder: Mapping[str, Any]) -> str:
    """Names the trainings whose time tells of each other's.  encoder: its fields."""
    return f"{dataset} {model} {examples} {encoder.get('dim')} {encoder.get('layers')}"


def is_number(value: Any) -> TypeGuard[float]:
    """A number of moderate size; JSON has NaN, infinities and integers without end."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return known and math.isfinite(value if isinstance(value, float) else 0) and within(value)


def within(value: float) -> bool:
    return -LARGEST <= value <= LARGEST


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_number, value))


def are_groups(value: Any) -> bool:
    """Buckets of users, each from a number to a number, or to None for no end."""
    return isinstance(value, list) and all(
        are_names(group)
        and (group.get("to", 0) is None or is_number(group.get("to")))
        and all(is_number(group.get(key)) for key in GROUPED if key != "to")
        for group in value
    )


def is_plain(value: Any) -> bool:
    """Texts, numbers, lists, and names with values; every number is one."""
    if isinstance(value, (list, dict)):
        parts = value if isinstance(value, list) else [*value, *value.values()]
        return all(map(is_plain, parts))
    if isinstance(value, str):
        return not HALF_CHARACTER.search(value)
    return value is None or isinstance(value, bool) or is_number(value)


def are_names(value: Any) -> bool:
    return isinstance(value, dict) and is_plain(value)


EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("question", "model", "device", "commit", "error"), (is_text, "a text")),
    **dict.fromkeys(
        ("axes", "config", "features_sha256", "split", "plugins"), (are_names, "names and values")
    ),
    "baseline": (lambda value: value is None or is_text(value), "a text or null"),
    **dict.fromkeys(("users", "epochs"), (is_number, "a finite number")),
}
FAMILIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys((*MEASURED, "seconds/", "best/"), (is_number, "a finite number")),
    "curve/": (are_numbers, "a list of finite numbers"),
    "groups/": (are_groups, "a list of groups"),
}


def check_line(values: Any, where: str) -> None:
    """UsageError that begins with `where` for anything that is not a line of the results."""
    if not isinstance(values, dict):
        raise UsageError(f"{where}: not a JSON object, but {type(values).__name__}")
    for key in TEXTS:
        if not is_text(values.get(key)):
            raise UsageError(f"{where}: {key!r} has to be a text, got {shown(values.get(key))}")
    if type(values.get("seed")) is not int or not is_number(values["seed"]):
        raise UsageError(f"{where}: 'seed' has to be an integer, got {shown(values.get('seed'))}")
    if values["status"] not in STATUSES:
        raise UsageError(f"{where}: 'status' is {values['status']!r}; known: {', '.join(STATUSES)}")
    if values["status"] == "finished" and VALID_NDCG10 not in values:
        raise UsageError(f"{where}: {VALID_NDCG10!r} is missing in a finished trial")
    for key, value in values.items():
        check_value(key, value, where)
    if len({len(value) for key, value in values.items() if key.startswith("curve/")}) > 1:
        raise UsageError(f"{where}: the lists of 'curve/' have different lengths")


def check_value(key: str, value: Any, where: str) -> None:
    family = next((wanted for start, wanted in FAMILIES.items() if key.startswith(start)), None)
    fits, what = EXPECTED.get(key) or family or (is_plain, "plain text or finite numbers")
    if not key.isprintable() or not fits(value):
        raise UsageError(f"{where}: {key!r} has to be {what}, got {shown(value)}")


def shown(value: Any) -> str:
    """The beginning of what there is instead."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
