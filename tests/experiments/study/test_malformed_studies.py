"""No study, record or README does more than be read or be refused in one printable line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from experiments.errors import UsageError
from experiments.record.merge import add
from experiments.record.results_file import ResultsFile
from experiments.report.blocks import blocks, rewritten
from experiments.report.formats import as_csv, latex, markdown, plain
from experiments.report.plots import plots
from experiments.report.sheet import brief
from experiments.report.studies import Report
from experiments.study.adopt import adopt
from experiments.study.estimate import timings
from experiments.study.folder import study_folder
from experiments.study.plan import plan
from experiments.study.search import plan_searches
from experiments.study.spec import MOST_TRIALS, read_study
from tests.experiments.config.test_malformed_yaml import FRAGMENTS, VALUES, paths
from tests.experiments.malformed import HOSTILE_NAMES, HOSTILE_VALUES, examined, mutated, outcome
from tests.experiments.report.made_record import made_study
from tests.experiments.small_data import planted, write_text
from tests.experiments.study.test_worker import TWO, begun

HEAD = b"# Does it help?\nbase: cl4srec\ndatasets: [planted]\n"
STUDIES = [
    HEAD + b"seeds: [0, 1]\nbaseline: sasrec\ngrid: {contrast.0.temperature: [0.1, 0.5]}\n",
    HEAD + b"variants:\n  few: {epochs: 1}\n  many: {epochs: 2}\nexclude: [{seed: 0, epochs: 1}]\n",
    HEAD + b"random: {draws: 2, seed: 1, ranges: {train.learning_rate: {low: 0.001, high: 0.1}}}\n",
    HEAD + b"search: {trials: 2, ranges: {encoder.dim: {low: 8, high: 16, step: 8}}}\n",
    HEAD + b"set: {train.batch_size: 64, encoder.dim: 8}\nsearch: {trials: 1, ranges: {seed: 1}}\n",
]
WORDS = [
    b"seeds: [0]\n", b"grid: ", b"set: ", b"base: ", b"[]", b"{}", b"low: ", b"log: true",
    b"step: ", b"choices: [1]", b"draws: 1000000000", b"trials: 1000000000", b"exclude: [{}]\n",
    b"- ", b"0, ", b"[0, 0]", b"model", b"epochs", b"track.mode", b"contrast.9.weight", b"../x",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_text(folder, "planted", planted(8))
    return folder


@pytest.mark.filterwarnings("ignore")  # of fields' values, which are the trials'
@pytest.mark.parametrize(
    ("examples", "least"), [(40, 25), pytest.param(200, 150, marks=pytest.mark.slow)]
)
def test_any_study_file_is_planned_or_refused(data: Path, examples: int, least: int) -> None:
    def check(content: bytes) -> str | None:
        file = data / "asked.yaml"
        file.write_bytes(content)

        def planned() -> list[Any]:
            study = read_study(file)
            assert study.question.isprintable()
            assert study.size <= MOST_TRIALS
            trials = plan(study, data) if study.size < 100 else []
            return [*trials, *plan_searches(study, data)]

        found = outcome(planned)
        return found if isinstance(found, str) else None

    assert examined(mutated(STUDIES, [*FRAGMENTS, *WORDS]), examples, check) >= least


@pytest.mark.parametrize("name", ["..yaml", "...yaml", ".yaml", "-x.yaml", "a:b.yaml", "a\nb.yaml"])
def test_a_study_is_not_called_by_what_is_no_folders_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(STUDIES[0])
    with pytest.raises(UsageError, match="a study is called by its file"):
        read_study(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("random: {draws: 1000000000000, ranges: {a: {low: 1, high: 9}}}", "1,000,000,000,000"),
        ("search: {trials: 200000, ranges: {epochs: {low: 1, high: 9}}}", "200,000"),
        ("grid: {" + ", ".join(f"a{i}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]" for i in range(6)) + "}",
         "1,000,000"),
    ],
)  # fmt: skip
def test_a_study_of_endless_trials_is_refused_at_once(
    text: str, count: str, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(f"base: sasrec\ndatasets: [beauty]\n{text}\n")
    with pytest.raises(UsageError, match=f"at most 100,000 trials, this has {count}"):
        read_study(tmp_path / "x.yaml")


def test_a_variant_that_cannot_be_printed_is_refused(data: Path) -> None:
    (data / "x.yaml").write_bytes(HEAD + b'variants: {"a\\e[2Jb": {epochs: 1}}\n')
    with pytest.raises(UsageError, match="cannot be printed as a name") as error:
        plan(read_study(data / "x.yaml"), data)
    assert str(error.value).isprintable()


# records ----------------------------------------------------------------------------------------

LINES = made_study(("beauty",), seeds=2, users=5)
RECORD = "".join(json.dumps(line) + "\n" for line in LINES).encode()
ENDLESS = [10**400, -(10**30), 1e308, float("nan"), float("inf"), -0.0, 1.5, True, "\x1b[2J", "..."]
JSON_FRAGMENTS = [
    b"\0", b"\xff", b"\xfe\xff", b"\n", b"\n\n", b"{", b"}", b"[", b"]", b'"', b",", b":", b"null",
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 100_000, b'{"a":' * 5000, b"\\ud800",
    b'"seed": "0", ', b'"status": "lost", ', b'"trial": 3, ', b"\x1b", b"x" * 300,
]  # fmt: skip


@st.composite
def grafted(draw: st.DrawFn) -> bytes:
    """The record with another value, or another key, somewhere; or without one."""
    lines: list[Any] = json.loads(json.dumps(LINES))
    *parents, last = draw(st.sampled_from(paths(lines)))
    node: Any = lines
    for step in parents:
        node = node[step]
    what = draw(st.integers(0, 3))
    if what == 0:
        del node[last]
    else:
        if what == 1 and isinstance(node, dict):
            last = draw(st.sampled_from(HOSTILE_NAMES) | st.text(max_size=4))
        node[last] = draw(VALUES | st.sampled_from([*ENDLESS, *HOSTILE_VALUES]))
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def reported(results: Path, drawn: bool) -> None:
    """All that is ever made of a record."""
    report = Report({"temperature": results / "temperature.jsonl"})
    for sheet in report.sheets("temperature"):
        for text in (markdown(sheet), latex(sheet), plain(sheet), plain(brief(sheet))):
            assert text.replace("\n", "").isprintable()
    as_csv(report.tables("temperature"), report.others)
    for table in report.tables("temperature") if drawn else []:
        plots(table)


@pytest.mark.filterwarnings("ignore")  # of statistics of numbers that are no metrics
@pytest.mark.parametrize(
    ("examples", "least", "drawn"),
    [
        (15, 4, False),
        pytest.param(80, 35, False, marks=pytest.mark.slow),
        pytest.param(4, 1, True, marks=pytest.mark.slow),
    ],
)
def test_any_record_is_read_alike_by_all_or_refused(
    data: Path, tmp_path: Path, examples: int, least: int, drawn: bool
) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "results").mkdir()
    (data / "asked.yaml").write_bytes(STUDIES[0])
    trials = plan(read_study(data / "asked.yaml"), data)

    def check(content: bytes) -> str | None:
        paths = [tmp_path / "given" / "record.jsonl", tmp_path / "results" / "temperature.jsonl"]
        for path in paths:
            path.write_bytes(content)
        record = ResultsFile(paths[0])
        found = outcome(record.lines)
        if isinstance(found, str):
            assert found.startswith(f"{paths[0]}, line ")
            told = outcome(lambda: reported(tmp_path / "results", drawn))
            assert isinstance(told, str)
            assert told.startswith("temperature.jsonl:")
            return found
        assert not isinstance(outcome(lambda: timings(tmp_path / "results", found)), str)
        assert not isinstance(outcome(lambda: adopt(record, trials)), str)
        outcome(lambda: study_folder("x", tmp_path / "given").open(read_study(asked), trials))
        outcome(lambda: reported(tmp_path / "results", drawn))
        paths[1].unlink()
        outcome(lambda: add(tmp_path / "given", tmp_path / "results"))
        assert {path.name for path in tmp_path.iterdir()} == {"given", "results"}
        return None

    asked = data / "asked.yaml"
    assert examined(mutated([RECORD], JSON_FRAGMENTS) | grafted(), examples, check) >= least


# manifests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("examples", "least"), [(40, 30), pytest.param(100, 75, marks=pytest.mark.slow)]
)
def test_any_manifest_is_read_or_refused(tmp_path: Path, examples: int, least: int) -> None:
    _, place = begun(tmp_path, TWO)
    original = place.manifest.read_bytes()

    def check(content: bytes) -> str | None:
        place.manifest.write_bytes(content)
        found = outcome(place.trials)
        if isinstance(found, str):
            assert found.startswith(str(place.manifest))
            return found
        return None

    assert examined(mutated([original], JSON_FRAGMENTS), examples, check) >= least


# README -----------------------------------------------------------------------------------------

README = b"# A\n\n<!-- report: temperature -->\n\nold\n\n<!-- end report -->\n\n## B\n\n"
MARKERS = [
    b"<!-- report: temperature -->", b"<!-- report: temperature brief -->", b"<!-- report: x -->",
    b"<!-- end report -->", b"<!-- report: ", b" -->", b"\n", b"\r\n", b"brief", b"../x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("examples", "least"), [(100, 8), pytest.param(250, 30, marks=pytest.mark.slow)]
)
def test_any_readme_is_mended_outside_of_nothing_but_its_blocks(examples: int, least: int) -> None:
    def check(content: bytes) -> str | None:
        text = content.decode(errors="replace")
        found = outcome(lambda: blocks(text, "README.md", ["temperature"], ["brief"]))
        if isinstance(found, str):
            return found
        after, _ = rewritten(text, found, {"temperature": lambda _: "new"})
        again = blocks(after, "README.md", ["temperature"], ["brief"])
        assert [after[one.start : one.end] for one in again] == ["\n\nnew\n\n"] * len(found)
        assert outside(after, again) == outside(text, found)
        return None

    assert examined(mutated([README, README * 2], [*MARKERS, *FRAGMENTS]), examples, check) >= least


def outside(text: str, found: list[Any]) -> list[str]:
    """What stands between the blocks."""
    ends = [0, *(one.end for one in found)]
    starts = [*(one.start for one in found), len(text)]
    return [text[end:start] for end, start in zip(ends, starts, strict=True)]
