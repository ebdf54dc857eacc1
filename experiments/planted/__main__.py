"""Make the results: python -m experiments.planted --to experiments/results/planted.jsonl"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from experiments.planted.cases import CASES
from experiments.planted.compare import compare
from experiments.planted.verdict import Outcome, as_record, table
from experiments.storage.atomic import replace
from experiments.storage.files import read_text


def main() -> None:
    """Train, write a line of the results for each training when all are done, print the table.

    Lines of worlds and tasks that were not trained stay.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.planted", description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="the results: one JSON line each")
    parser.add_argument("--tasks", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    given = parser.parse_args()
    given.to.parent.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    verdicts = compare(given.tasks, given.seeds, outcomes.append)
    trained = {(outcome.world, outcome.task) for outcome in outcomes}
    before = map(json.loads, read_text(given.to).splitlines() if given.to.exists() else [])
    kept = [line for line in before if (line["world"], line["task"]) not in trained]
    lines = [*kept, *map(as_record, outcomes)]
    replace(given.to, "".join(json.dumps(line) + "\n" for line in lines))
    print(table(verdicts))


if __name__ == "__main__":
    main()
