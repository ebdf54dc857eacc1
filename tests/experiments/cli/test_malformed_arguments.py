"""No command line does more than run what was asked, or end in one line and exit code 2."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

import experiments.bench.command
import experiments.report.command
import experiments.training.reload
import experiments.training.run
import experiments.training.train
from experiments.cli.main import main
from experiments.config.presets import presets
from experiments.config.resolve import resolve
from experiments.config.run_config import config_tree
from experiments.errors import RunFailed
from experiments.storage.files import plain_name
from tests.experiments.malformed import HOSTILE_NAMES, HOSTILE_VALUES, examined
from tests.experiments.small_data import planted, write_text

COMMANDS = [
    "train", "evaluate", "recommend", "export", "data", "bench", "inspect", "list", "study",
    "report",
]  # fmt: skip
BEGUN = {"study": ["asked.yaml", "--dry-run"]}  # what a command cannot do without
STUDY = "base: sasrec\ndatasets: [planted]\nset: {encoder.max_length: 8}\n"
OPTIONS = {
    "train": [
        "--model",
        "--dataset",
        "--data-dir",
        "--seed",
        "--epochs",
        "--examples",
        "--config",
        "--out",
    ],
    "evaluate": ["--split", "--data-dir", "--plugin"],
    "recommend": ["--history", "-k", "--data-dir"],
    "export": ["--what", "--to", "--read", "--data-dir"],
    "data": [
        "--source",
        "--data-dir",
        "--user-column",
        "--item-column",
        "--time-column",
        "--k-core",
    ],
    "bench": ["--dataset", "--data-dir", "--steps", "--rounds", "--trace", "--budget", "--to"],
    "inspect": ["--model", "--dataset", "--data-dir", "--seed", "--user"],
    "list": ["--plugin"],
    "study": ["--data-dir", "--out", "--workers", "--threads", "--launcher", "--plugin"],
    "report": ["--add", "--to", "--check"],
}
FLAGS = [
    "--resume",
    "--json",
    "--presets",
    "--scale",
    "--gpu",
    "--",
    "-",
    "-x",
    "--x",
    "",
    "train",
    "x",
]


def dotted_keys() -> list[str]:
    """Every field of every preset, and keys that are none."""
    keys = {"", ".", "..", "a.b", "contrast.", "contrast.9.weight", "contrast.-1.weight"}
    keys |= {
        "contrast.0.operators.crop.keep",
        "contrast.x",
        "recbole",
        "recbole.a.b",
        "é",
        "a" * 999,
    }
    keys |= {"slurm.time", "slurm.gpus_per_node", "slurm.setup", "slurm.x", "slurm", "track"}
    keys |= {"contrast.0.__class__", "__class__.__init__", ".".join("x" * 3000), "encoder.kind"}
    for name in presets():
        nodes: list[tuple[str, Any]] = [("", config_tree(resolve(None, [("model", name)])[0]))]
        while nodes:
            path, node = nodes.pop()
            entries = node.items() if isinstance(node, dict) else enumerate(node)
            for key, value in entries:
                keys.add(f"{path}{key}")
                nodes += [(f"{path}{key}.", value)] if isinstance(value, (dict, list)) else []
    return sorted(keys)


NAMES = st.sampled_from(
    [*HOSTILE_NAMES, "planted", "ml-100k", "beauty", "sasrec", "recbole:GRU4Rec"]
)
VALUES = st.sampled_from([*HOSTILE_VALUES, *HOSTILE_NAMES]) | st.text(max_size=6)
FIELDS = st.tuples(st.sampled_from(dotted_keys()), VALUES).map("--{0[0]}={0[1]}".format)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with up to three arguments, each with something wrong more often than not."""
    command = draw(st.sampled_from([*COMMANDS, "train", "train", "inspect", "trian"]))
    argv = [command, *BEGUN.get(command, [])]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["field", "field", "option", "option", "name", "flag"]))
        if kind == "option":
            argv.append(draw(st.sampled_from(OPTIONS.get(command, ["--model"]))))
        draws = {"field": FIELDS, "option": NAMES | VALUES, "name": NAMES}
        argv.append(draw(draws.get(kind, st.sampled_from(FLAGS))))
    return argv


class Trained(RunFailed):
    """Everything was accepted: what would run next is not run."""


@pytest.fixture
def jail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a data set in it; nothing is trained or timed."""

    def stop(*_: Any) -> None:
        raise Trained("accepted")

    monkeypatch.setattr(experiments.training.train, "train", stop)
    monkeypatch.setattr(experiments.training.run, "prepare", stop)
    monkeypatch.setattr(experiments.training.reload, "prepare", stop)  # has a name of its own
    for name in ("bench", "bench_gpu", "bench_presets", "bench_scale"):
        monkeypatch.setattr(experiments.bench.command, name, stop)
    monkeypatch.setattr(experiments.report.command, "mend", stop)
    folder = tmp_path / "outer" / "jail"
    write_text(folder, "planted", planted(9))
    (folder / "asked.yaml").write_text(STUDY)
    monkeypatch.chdir(folder)
    return folder


def ended(argv: list[str]) -> tuple[int, str]:
    """Exit code and what was printed on stderr; a warning is an error."""
    told = io.StringIO()
    with (
        contextlib.redirect_stderr(told),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        try:
            code = main(argv)
        except SystemExit as end:  # --help
            code = int(end.code or 0)
    return code, told.getvalue()


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("examples", "least"), [(80, 60), pytest.param(300, 260, marks=pytest.mark.slow)]
)
def test_any_command_line_ends_in_what_was_asked_or_one_line(
    jail: Path, examples: int, least: int
) -> None:
    before = files(jail.parent)

    def check(argv: list[str]) -> str | None:
        code, told = ended(argv)
        if code == 2:
            assert told.startswith("error: ")
            assert told.endswith("\n")
            assert told[:-1].isprintable()
            return told
        assert (code, told) in [(0, ""), (1, "failed: accepted\n")]
        return None

    assert examined(command_lines(), examples, check) >= least
    assert files(jail.parent) == before


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_no_name_leaves_its_folder(name: str, jail: Path) -> None:
    """Of data sets, presets, models, plug-ins and files, in every place that takes one.

    A plain one may be converted to, or looked up among RecBole's models when one is built.
    """
    before = files(jail.parent)
    here = ["--data-dir", "."]
    for argv in [
        ["train", f"--dataset={name}", *here],
        ["train", f"--model={name}"],
        ["train", f"--model=recbole:{name}"],
        ["train", f"--config={name}"],
        ["train", f"--plugin={name}"],
        ["train", "--dataset=planted", f"--data-dir={name}/none"],
        ["inspect", f"--dataset={name}", *here],
        ["list", f"--plugin={name}"],
        ["data", "--source=planted.txt", *here, "--", name],
        ["data", "new", f"--source={name}", *here],
        ["evaluate", "--", f"{name}"],
        ["train", "--resume", f"--out={name}"],
        ["train", "--dataset=planted", *here, f"--contrast=[{{task: {name!r}}}]"],
        ["train", "--dataset=planted", *here, "--out=planted.txt", f"--contrast={name}"],
    ]:
        code, told = ended(argv)
        looked_up = "recbole:" in argv[-1] and (plain_name(name) or not name)
        fine = looked_up or (argv[0] == "data" and plain_name(name))
        assert code == 2 or fine, (argv, told)
        assert told.count("\n") == (code != 0)
    made = files(jail.parent) - before
    assert all(plain_name(name) and path.startswith(f"jail/{name}") for path in made)


def test_a_run_whose_config_was_spoilt_is_not_resumed(jail: Path) -> None:
    (jail / "run").mkdir()
    (jail / "run" / "config.yaml").write_text("model: sasrec\nepochs: many\n")
    code, told = ended(["train", "--resume", "--out", "run", "--epochs", "5"])
    assert code == 2
    assert told.startswith("error: epochs: ")
    assert "'many'" in told


def test_a_data_declaration_cannot_send_the_reader_elsewhere(jail: Path) -> None:
    (jail / "mine").mkdir()
    declaration = "file: ../planted.txt\nexamples: prefixes\nmax_length: 50\n"
    (jail / "mine" / "mine.yaml").write_text(declaration)
    code, told = ended(["train", "--dataset", "mine", "--data-dir", "."])
    assert (code, "mine.yaml: file must be a plain file name" in told) == (2, True)
