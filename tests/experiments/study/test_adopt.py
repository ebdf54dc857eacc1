"""What was recorded before a field existed is recognised by today's code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.study.adopt import adopt
from experiments.study.plan import plan
from experiments.study.record import Record
from experiments.study.spec import Study
from tests.experiments.small_data import planted, write_text
from tests.experiments.study.test_worker import TWO, a_worker, begun


def recorded(path: Path, lines: Iterable[dict[str, Any]]) -> Record:
    path.unlink()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Record(path)


def test_a_line_without_a_field_of_today_is_that_fields_default(tmp_path):
    _, place = begun(tmp_path, TWO)
    a_worker(place).work()
    now = place.record.lines()
    before = {}
    for line in now.values():
        old = json.loads(json.dumps(line)) | {"trial": f"old {line['trial']}", "config_sha256": "0"}
        del old["config"]["train"]["precision"]
        before[old["trial"]] = old
    record = recorded(place.record.path, before.values())
    assert len(a_worker(place).open_trials()) == 2
    assert adopt(record, place.trials()) == 2
    assert record.lines() == now
    assert a_worker(place).open_trials() == []
    assert adopt(record, place.trials()) == 0


def test_lines_of_other_trials_and_of_fields_that_are_gone_stay_as_they_are(tmp_path):
    _, place = begun(tmp_path, TWO)
    a_worker(place).work()
    lines = [dict(line) for line in place.record.lines().values()]
    lines[0] |= {"trial": "gone", "config": {**lines[0]["config"], "no_longer": 1}}
    record = recorded(place.record.path, lines)
    text = record.path.read_text()
    write_text(tmp_path, "other", planted(seed=3))
    asked = Study("s", "?", ("sasrec",), ("other",))
    assert adopt(record, plan(asked, tmp_path)) == 0
    assert adopt(record, place.trials()) == 0
    assert record.path.read_text() == text
