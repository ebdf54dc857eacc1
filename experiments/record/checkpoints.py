"""Results of models that were trained elsewhere: a line of JSON a model and data set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import UsageError
from experiments.metric_names import flat
from experiments.record.hits import FloatArray, decode_hits, encode_hits
from experiments.record.line import check_value
from experiments.storage.atomic import replace
from experiments.storage.files import read_text
from experiments.storage.lock import lock_of, locked

FILE = "checkpoints.jsonl"
TEXTS = ("checkpoint", "dataset", "data_sha256", "source", "commit", "note")


@dataclass(frozen=True)
class Checkpoint:
    """One model on one data set.

    source: paper or repository, commit: of the repository; note: what was evaluated again.
    official: metrics that the source itself gives, by name, under its own rule.
    values: the whole line: test/RULE/METRIC, and hits/RULE, every user's rank up to 20.
    """

    name: str
    dataset: str
    values: Mapping[str, Any]

    @property
    def official(self) -> dict[str, float]:
        found: dict[str, float] = self.values.get("official", {})
        return found

    def number(self, rule: str, metric: str) -> float | None:
        value: float | None = self.values.get(f"test/{rule}/{metric}")
        return value

    def ranks(self, rule: str) -> FloatArray | None:
        """[users], inf beyond 20."""
        text = self.values.get(f"hits/{rule}")
        return None if text is None else decode_hits(text, self.values["users"])


def checkpoint_line(
    about: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, float]],
    ranks: Mapping[str, FloatArray],
) -> dict[str, Any]:
    """about: TEXTS, users and, where the source gives some, official."""
    hits = {f"hits/{rule}": encode_hits(of_rule) for rule, of_rule in ranks.items()}
    return {**about, **flat("test", metrics), **hits}


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """Every line; none where there is no file.  UsageError that names file and line."""
    if not path.exists():
        return []
    found = []
    *texts, last = read_text(path).split("\n")  # a text may hold what else ends a line
    for number, text in enumerate([*texts, last] if last else texts, 1):
        found.append(parse(text, f"{path.name}:{number}"))
    return found


def parse(text: str, where: str) -> Checkpoint:
    try:
        values = json.loads(text)
        name, dataset = values["checkpoint"], values["dataset"]
        users = values["users"]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: not a line of these results ({error!r})") from None
    for key, value in values.items():
        check_value(key, value, where)
    wrong = [key for key in TEXTS if not isinstance(values.get(key), str)]
    wrong += [] if type(users) is int and users >= 0 else ["users"]
    wrong += [] if is_official(values.get("official", {})) else ["official"]
    if wrong:
        raise UsageError(f"{where}: {wrong[0]!r} is missing or of another type")
    for key in (key for key in values if key.startswith("hits/")):
        try:
            decode_hits(values[key], users)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{where}: {key!r} holds no ranks of {users} users ({error})"
            ) from None
    return Checkpoint(name, dataset, values)


def is_official(given: Any) -> bool:
    """Numbers by names such as ndcg@10."""
    return isinstance(given, dict) and all(
        name.partition("@")[2].isdecimal() and isinstance(value, (int, float))
        for name, value in given.items()
    )


def add_checkpoint(path: Path, line: Mapping[str, Any]) -> str:
    """Put a line into a file, sorted by data set and name; says what was done.

    Errors: UsageError, with nothing written, where the file has another result by that name.
    """
    text = json.dumps(line, ensure_ascii=False)
    key = (line["dataset"], line["checkpoint"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock_of(path)):
        lines = {(c.dataset, c.name): c.values for c in read_checkpoints(path)}
        if key in lines:
            if lines[key] == json.loads(text):
                return f"{path}: has it already"
            raise UsageError(
                f"{path}: has another result of {key[1]!r} on {key[0]}; remove its line, or "
                "choose another --name"
            )
        lines[key] = dict(line)
        ordered = sorted(lines.items())
        replace(path, "".join(json.dumps(v, ensure_ascii=False) + "\n" for _, v in ordered))
    return f"-> {path} ({len(lines)} results)"
