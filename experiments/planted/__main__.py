"""Make the results: python -m experiments.planted --to experiments/results/planted.jsonl"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from experiments.planted.cases import CASES
from experiments.planted.compare import compare
from experiments.planted.verdict import Outcome, as_record, table


def main() -> None:
    """Train everything, a line of the results for each training, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.planted", description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="the results: one JSON line each")
    parser.add_argument("--tasks", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    given = parser.parse_args()
    given.to.parent.mkdir(parents=True, exist_ok=True)
    with given.to.open("w", encoding="utf-8") as file:

        def report(outcome: Outcome) -> None:
            file.write(json.dumps(as_record(outcome)) + "\n")
            file.flush()

        print(table(compare(given.tasks, given.seeds, report)))


if __name__ == "__main__":
    main()
