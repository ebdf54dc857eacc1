"""Reads what an offline run put on disk, with wandb's own reader.

The program that `wandb leet inspect` starts, without the command line that starts it: importing
that takes longer than reading.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """All records, in order, of the one .wandb file at or below `path`.

    Raises ValueError if there is not exactly one, and CalledProcessError if wandb cannot read it.
    """
    files = [path] if path.is_file() else sorted(path.rglob("run-*.wandb"))
    if len(files) != 1:
        raise ValueError(f"expected one .wandb file below {path}, found {len(files)}")
    from wandb.util import get_core_path

    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json"]
    place = ["--run-file", str(files[0].resolve()), str(files[0].resolve().parents[1])]
    shown = subprocess.run([*command, *place], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in shown.stdout.splitlines()]


def read_offline_run(path: Path) -> tuple[Record, list[Record], Record]:
    """(config, history, summary) of the one run at or below `path`.

    Keys stay as they were logged; what wandb adds itself (_step, _runtime, ...) is left out, and
    values that are not finite, which wandb writes as words, are floats again.
    """
    config: Record = {}
    history: list[Record] = []
    summary: Record = {}
    for record in read_records(path):
        body = record.get(record["type"], {})
        if record["type"] in ("run", "config"):
            config.update(_logged(body.get("config", body).get("update", {})))
        elif record["type"] == "history":
            history.append(_logged(body["item"]))
        elif record["type"] == "summary":
            summary.update(_logged(body.get("update", {})))
    return config, history, summary


def _logged(items: Record) -> Record:
    words = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
    return {
        key: words.get(value, value) if isinstance(value, str) else value
        for key, value in items.items()
        if not key.startswith("_")
    }
