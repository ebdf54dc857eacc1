"""The command line: a mistake is one line and exit code 2, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import experiments.storage.run_folder as run_folder
from augment import OPERATORS
from experiments.cli.fields import overrides
from experiments.cli.main import main, parsed
from experiments.config.presets import presets
from experiments.data.known import known
from models.baselines import BASELINES
from models.encoders import ENCODERS
from models.losses.next_item import NEXT_ITEM_LOSSES
from models.tasks import TASKS
from tests.experiments.small_data import SMALL, planted, read_json, train, write_text

ROOT = Path(__file__).parents[3]
QUICK = ("--model", "popularity", "--track.mode=disabled")
BAD_FILES = {
    "word": (b"1 2 3 4\n2 5 six 7\n", "word.txt line 2: 'six' is not a positive integer id"),
    "negative": (b"1 2 3 4\n2 5 -6 7\n", "negative.txt line 2: '-6' is not a positive integer id"),
    "empty": (b"", "empty.txt is empty"),
    "blank": (b"\n \n", "blank.txt is empty"),
    "bytes": (b"1 2 3 4\n2 5 \xff\xfe 7\n", "bytes.txt line 2: '\\xff\\xfe' is not"),
    "single": (b"1 5\n2 6\n", "single.txt: no user has 3 interactions or more"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one good file and every bad one."""
    folder = tmp_path / "data"
    write_text(folder, "planted", planted())
    for name, (content, _) in BAD_FILES.items():
        (folder / f"{name}.txt").write_bytes(content)
    return folder


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that ends with exit code 2."""
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert printed.err.endswith("\n")
    return printed.err


def run_py(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def modules_after(*arguments: str) -> tuple[str, set[str]]:
    """What `run.py` prints, and the packages it has imported when it ends."""
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['run.py', *{list(arguments)!r}]\n"
        "try:\n    runpy.run_path('run.py', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('MODULES', *sys.modules)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    printed, _, modules = done.stdout.rpartition("MODULES ")
    return printed, set(modules.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--model", "cl4srek"], "unknown 'cl4srek' (did you mean 'cl4srec'?)"),
        (["--model", ""], "unknown ''"),
        (["--dataset", "plantd"], "(did you mean 'planted'?)"),
        (["--dataset", "../planted"], "cannot name a data set"),
        (["--dataset", "beauty"], "needs the file Beauty.txt"),
        (["--dataset", "beauty"], "experiments/docs/data.md"),
        (["--train.batch_sise=3"], "(did you mean train.batch_size?)"),
        (["--modle", "sasrec"], "modle: unknown field (did you mean model?)"),
        (["--modle=sasrec"], "(did you mean model?)"),
        (["--encoder.dim"], "--encoder.dim needs a value: write --encoder.dim=VALUE"),
        (["--lr", "0.001"], "lr: unknown field (did you mean train.learning_rate?)"),
        (["--batch_size=64"], "(did you mean train.batch_size?)"),
        (["--temperature=0.2"], "(did you mean contrast.0.temperature or next_item.temperature?)"),
        (["--contrast.0.tau=0.2"], "(did you mean contrast.0.temperature?)"),
        (["--left_out=target"], "(did you mean contrast.0.false_negatives?)"),
        (["--encoder.hidden_size", "8"], "(did you mean encoder.dim?)"),
        (["--next_item.loss=ce"], "(did you mean 'cross_entropy'?)"),
        (["--contrast.0.false_negatives=target"], "expected a list, got 'target': write [target]"),
        (["--model=sasrec", "--queue_size=9"], "or add one: --contrast='[augmented_views]'"),
        (["--model=sasrec", "--contrast.0.weight=1"], "this model has no contrast"),
        (["sasrec"], "unknown argument 'sasrec'"),
        (["-x"], "unknown argument '-x'"),
        (["--model"], "argument --model: expected one argument"),
        (["--seed", "one"], "seed: expected an integer, got 'one'"),
        (["--seed", "-1"], "seed must lie in"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--examples", "prefixs"], "(did you mean 'prefixes'?)"),
        (["--train.learning_rate=fast"], "expected a number, got 'fast'"),
        (["--train.learning_rate="], "train.learning_rate: expected a number"),
        (["--train.device=tpu"], "'tpu' is not auto, cpu, cuda or cuda:N"),
        (["--train.device=mps"], "Apple GPUs have no float64"),
        (["--train.device=mps:0"], "set train.device: cpu"),
        (["--train.device=cuda:99"], "'cuda:99' is not there"),
        (["--contrast.0.temperature=0"], "contrast.0.temperature must be positive, got 0"),
        (["--contrast.0.temperature=-1"], "contrast.0.temperature must be positive, got -1"),
        (["--contrast.0.operators.mask.ratio=1.5"], "ratio must lie in [0, 1], got 1.5"),
        (["--contrast.2.weight=1"], "the model has 1 entry; the first is 0"),
        (["--encoder.kind=[gru]"], "encoder.kind: unknown"),
        (["--encoder.dim=1000000000000"], "model: one of these sizes fits in no memory"),
        (["--encoder.dim=100000000000000000"], "model: one of these sizes fits in no memory"),
        (["--train.batch_size={a: 1, a: 2}"], "--train.batch_size line 1: the key 'a' is there tw"),
        (["--config="], "argument --config: an empty text names no file or folder"),
        (["--config=--"], "argument '--config=--': -- is no value"),
        (["--config", "x" * 300], "argument --config: no file has so long a name"),
        (["--model", "recbole:../x"], "'recbole:../x' cannot name a model"),
        (["--model", "a\0"], "holds a NUL character"),
        (["--model", "\udcff"], "is not UTF-8 text"),
        (["--config", "none.yaml"], "none.yaml: there is no such file"),
        (["--plugin", "none.py"], "none.py: there is no such file"),
        (["--plugin", "no.such.module"], "no.such.module: is neither a FILE.py nor a module"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_leaves_nothing(arguments, told, data, tmp_path, capsys):
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "run")]
    line = error(capsys, "train", *place, "--track.mode=disabled", *arguments)
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["--encoder.dim", "8"], [("encoder.dim", 8)]),
        (["--encoder.dim=8"], [("encoder.dim", 8)]),
        (["--train.weight_decay", "-0.5"], [("train.weight_decay", -0.5)]),
        (["--epochs", "3", "--contrast", "[dropout_views]"], [("contrast", ["dropout_views"])]),
        (["--json", "--encoder.dim", "8", "--resume"], [("encoder.dim", 8)]),
        (["--out", "a b", "--encoder.kind", "gru"], [("encoder.kind", "gru")]),
    ],
)
def test_a_fields_value_may_follow_it_as_a_word_of_its_own(words, fields):
    arguments, rest = parsed(["train", *words])
    assert [field for field in overrides(arguments, rest) if field[0] != "epochs"] == fields


def test_a_study_takes_its_file_after_a_field(tmp_path):
    arguments, rest = parsed(["study", "--track.mode", "disabled", "a.yaml", "--workers", "1"])
    assert arguments.study == Path("a.yaml")
    assert overrides(arguments, rest) == [("track.mode", "disabled")]


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_told_in_one_line_and_leaves_nothing(name, data, tmp_path, capsys):
    place = ["--dataset", name, "--data-dir", str(data), "--out", str(tmp_path / "run")]
    assert BAD_FILES[name][1] in error(capsys, "train", *place, "--track.mode=disabled")
    assert not (tmp_path / "run").exists()


def test_a_missing_data_folder_is_told(tmp_path, capsys):
    nowhere = ["--data-dir", str(tmp_path / "none")]
    assert "there is no such folder" in error(capsys, "train", "--dataset", "beauty", *nowhere)
    assert "give --data-dir DIR" in error(capsys, "train", "--dataset", "beauty")


@pytest.mark.parametrize("arguments", [["--model", "none"], ["--seed", "x"], ["--dataset", "word"]])
def test_without_out_a_mistake_leaves_no_folder_either(
    arguments, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(run_folder, "REPOSITORY", tmp_path / "repository")
    place = ["--dataset", "planted", "--data-dir", str(data), "--track.mode=disabled"]
    error(capsys, "train", *place, *arguments)
    assert not (tmp_path / "repository").exists()


def test_without_out_every_run_gets_a_folder_of_its_own(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_folder, "REPOSITORY", tmp_path)
    for _ in range(2):
        assert main(["train", "--dataset", "planted", "--data-dir", str(data), *QUICK]) == 0
    printed = capsys.readouterr().out
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert folder.name.startswith("planted-popularity-seed0-")
        assert f"-> {folder}\n" in printed


@pytest.mark.parametrize("content", ["a file", None])
def test_an_out_that_cannot_be_a_run_is_told_and_untouched(content, data, tmp_path, capsys):
    out = tmp_path / "out"
    if content is None:
        (out / "inside").mkdir(parents=True)
    else:
        out.write_text(content)
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(out), *QUICK]
    told = "is a file" if content else "is not empty; choose another folder or name"
    assert f"--out {out}: {told}" in error(capsys, "train", *place)
    assert out.is_file() if content else [path.name for path in out.iterdir()] == ["inside"]


def test_an_out_below_a_file_is_told(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "file/run")]
    assert "cannot be written" in error(capsys, "train", *place, *QUICK)


def test_an_empty_folder_may_be_the_run(data, tmp_path):
    (tmp_path / "run").mkdir()
    assert train(data, tmp_path / "run", *QUICK)["model"] == "popularity"


def test_a_user_with_one_item_is_left_out_and_counted(tmp_path, capsys):
    write_text(tmp_path, "mixed", [[1, 2, 3, 4], [5], [4, 3, 2, 1]])
    result = train(tmp_path, tmp_path / "run", *QUICK, dataset="mixed")
    assert result["users"] == 2
    assert "2 users, 4 items, 8 interactions (1 users with fewer than 3 left out)" in (
        capsys.readouterr().out
    )


def test_ids_may_have_gaps(tmp_path, capsys):
    (tmp_path / "gaps.txt").write_text("7 1000 5 77 999999\n900 5 77 1000 5\n")
    train(tmp_path, tmp_path / "run", *QUICK, dataset="gaps")
    capsys.readouterr()
    assert main(["recommend", str(tmp_path / "run"), "--history", "5", "-k", "9", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    items = [entry["item"] for entry in found]
    assert (set(items[:2]), items[2:]) == ({"77", "1000"}, ["999999"])  # 999999: test only


def test_a_table_is_converted_and_trained_on(tmp_path, capsys):
    rows = [
        f"reader{user},{1000 + user * 10 + step},book{item}"
        for user, items in enumerate(planted(30))
        for step, item in enumerate(items)
    ]
    source = tmp_path / "loans.csv"
    source.write_text("\n".join(["who,when,what", *sorted(rows, reverse=True)]) + "\n")
    columns = ["--user-column", "who", "--item-column", "what", "--time-column", "when"]
    place = ["--data-dir", str(tmp_path / "data")]
    assert main(["data", "loans", "--source", str(source), *place, *columns]) == 0
    printed = capsys.readouterr().out
    assert "kept: 30 users, 30 items" in printed
    result = train(tmp_path / "data", tmp_path / "run", "--model", "sasrec", "--epochs", "1",
                   *SMALL, dataset="loans")  # fmt: skip
    assert result["users"] == 30
    declared = yaml.safe_load((tmp_path / "data" / "loans" / "loans.yaml").read_text())
    assert result["data_sha256"] == declared["sha256"]


def test_a_conversion_that_fails_is_told_in_one_line_and_writes_nothing(tmp_path, capsys):
    source = tmp_path / "loans.csv"
    source.write_text("who,when,what\na,1,x\n")
    place = ["--data-dir", str(tmp_path / "data")]
    line = error(capsys, "data", "loans", "--source", str(source), *place, "--user-column", "whom")
    assert "(did you mean 'who'?)" in line
    line = error(
        capsys, "data", "loans", "--source", str(source), *place, "--user-column", "9" * 5000
    )
    assert len(line.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "trian"),
        (["evaluate"], "RUN_DIR"),
        (["evaluate", "none", "--split", "train"], "invalid choice: 'train'"),
        (["evaluate", "none", "--epochs=3"], "unknown argument '--epochs=3'"),
        (["evaluate", "none"], "none: there is no such folder"),
        (["export", "none", "--what", "items"], "--to"),
        (["export", "none", "--to", "a.npy"], "--what"),
        (["export", "none", "--what", "songs", "--to", "a.npy"], "invalid choice: 'songs'"),
        (["export", "none", "--what", "items", "--to", "a.csv"], "must be named *.npy"),
        (["export", "none", "--what", "items", "--to", "a.npy"], "none: there is no such folder"),
        (["data", "loans"], "--source"),
        (["list", "operators"], "unknown argument 'operators'"),
    ],
)
def test_other_commands_tell_a_mistake_in_one_line_too(arguments, told, capsys):
    assert told in error(capsys, *arguments)


def test_every_command_says_what_it_does(capsys):
    for command in ("train", "evaluate", "recommend", "export", "data", "list"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert "usage: run.py" in capsys.readouterr().out


def test_the_list_names_everything_there_is(capsys):
    assert main(["list"]) == 0
    named = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] == " "}
    for catalogue in (OPERATORS, TASKS, NEXT_ITEM_LOSSES, ENCODERS, BASELINES, presets(), known()):
        assert named >= set(catalogue)


def test_everything_in_the_list_says_what_it_is(capsys):
    assert main(["list"]) == 0
    entries = [line for line in capsys.readouterr().out.splitlines() if re.match(r"  \S", line)]
    assert len(entries) > 30
    assert all(len(line.split()) > 2 for line in entries)


def test_the_list_shows_what_can_be_configured_and_nothing_else(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  bce "))
    assert "negatives=1" in lines[at + 1]
    assert "arXiv:1808.09781" in lines[at + 1]


def test_a_plugins_operator_is_listed_and_used(data, tmp_path, capsys):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Keep:\n"
        '    """Changes nothing."""\n'
        "    share: float = 1.0\n"
        "    def __call__(self, seqs, rng):\n"
        "        return seqs\n"
        'OPERATORS = {"keep_all": Keep}\n'
    )
    try:
        assert main(["list", "--plugin", str(plugin)]) == 0
        printed = capsys.readouterr().out.splitlines()
        at = [line.split() for line in printed].index(["keep_all", "Changes", "nothing."])
        assert printed[at + 1].strip() == "share=1.0"
        arguments = ["--plugin", str(plugin), "--model", "cl4srec", "--epochs", "1", *SMALL]
        operators = "--contrast.0.operators=[keep_all, crop]"
        train(data, tmp_path / "run", *arguments, operators)
        history = json.loads((tmp_path / "run" / "history.jsonl").read_text())
        assert history["contrast/augmented_views/identity_rate/keep_all"] == 1.0
    finally:
        OPERATORS.pop("keep_all", None)


def test_the_version_is_that_of_the_project(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert capsys.readouterr().out.startswith(f"seqcontrast {declared[1]} (python ")


def test_help_is_quick_because_it_imports_nothing_heavy():
    printed, modules = modules_after("--help")
    assert "usage: run.py" in printed
    assert not modules & {"torch", "numpy", "recbole", "wandb", "pandas", "yaml"}


def test_the_list_is_quick_because_it_imports_nothing_heavy():
    printed, modules = modules_after("list")
    assert "cl4srec" in printed
    assert not modules & {"torch", "numpy", "recbole", "wandb", "pandas"}


def test_an_unknown_command_ends_with_code_2_and_one_line():
    done = run_py("trian")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_json_is_the_last_line_of_stdout_and_the_result(data, tmp_path, capfd):
    result = train(data, tmp_path / "run", "--model", "sasrec", "--epochs", "1", *SMALL, "--json")
    out, err = capfd.readouterr()
    assert json.loads(out.splitlines()[-1]) == result
    assert err == ""


@pytest.mark.slow
def test_a_process_of_its_own_prints_json_last_and_nothing_to_stderr(data, tmp_path):
    place = ["--dataset", "planted", "--data-dir", str(data), "--out", str(tmp_path / "run")]
    done = run_py("train", *place, "--model", "sasrec", "--epochs", "1", *SMALL, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout.splitlines()[-1])
    assert result == read_json(tmp_path / "run" / "result.json")


def test_a_plugin_may_be_a_module_that_can_be_imported(data, tmp_path, monkeypatch, capsys):
    package = tmp_path / "outside" / "kept"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Same:\n"
        '    """Changes nothing at all."""\n'
        "    def __call__(self, seqs, rng):\n"
        "        return seqs\n"
        'OPERATORS = {"same": Same}\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path / "outside"))
    try:
        assert main(["list", "--plugin", "kept"]) == 0
        assert "same Changes nothing at all." in " ".join(capsys.readouterr().out.split())
        operators = "--contrast.0.operators=[same, crop]"
        arguments = ["--plugin", "kept", "--model", "cl4srec", "--epochs", "1", *SMALL]
        train(data, tmp_path / "run", *arguments, operators)
    finally:
        OPERATORS.pop("same", None)


SHADOW = """
from dataclasses import dataclass
from models.tasks import Task

@dataclass(eq=False)
class Half(Task):
    fit: float = 0.5

TASKS = {"half": Half}
"""


OPERATOR = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass(frozen=True)
class Odd:
    counts: TYPE

    def __call__(self, seqs, rng):
        return seqs

OPERATORS = {"odd": Odd}
"""


def test_a_plugins_field_without_a_default_must_be_given(data, tmp_path, capsys):
    plugin = tmp_path / "mine.py"
    plugin.write_text(OPERATOR.replace("TYPE", "tuple[int, ...]"))
    told = error(capsys, "train", "--plugin", str(plugin), "--contrast.0.operators=[odd, crop]")
    assert told.startswith("error: contrast.0.operators.0: counts ")


def test_what_may_not_be_read_is_told_in_one_line(monkeypatch, capsys):
    def look(arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/a\nfolder")

    monkeypatch.setattr("experiments.cli.parser.evaluate", look)
    assert error(capsys, "evaluate", "run") == "error: /a\\nfolder: Permission denied\n"


BARE = """
from models.tasks import Task


class Bare(Task):
    k: int = 1


TASKS = {"bare": Bare}
"""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            OPERATOR.replace("TYPE", "list[int]"),
            "the field 'counts' of OPERATORS['odd'] is list[int]",
        ),
        (OPERATOR.replace("TYPE", "tuple[int, int]"), "which no YAML gives"),
        (OPERATOR.replace("TYPE", "Unheard"), "name 'Unheard' is not defined"),
        (SHADOW, "the field 'fit' of TASKS['half'] has the name of a method"),
        ("TASKS = ['a']", "TASKS must be a dict of names and classes"),
        ("OPERATORS = {'same': lambda seqs, rng: seqs}", "OPERATORS['same'] is no dataclass"),
        (BARE, "TASKS['bare'] is no dataclass of its own: put @dataclass above the class"),
        (
            "from dataclasses import dataclass\n" + BARE.replace("class", "@dataclass\nclass"),
            "TASKS['bare'] cannot be hashed: declare it by @dataclass(eq=False, repr=False)",
        ),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = 1", "declares none of OPERATORS, TASKS, ENCODERS, LOSSES, PRESETS"),
    ],
)
def test_a_plugin_that_is_wrong_is_told_in_one_line(source, told, tmp_path, capsys):
    plugin = tmp_path / "wrong.py"
    plugin.write_text(source)
    assert told in error(capsys, "train", "--plugin", str(plugin))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=recbole:GRU4Rec", "--train.precision=bfloat16"],
        ["--model=recbole:GRU4Rec", "--train.lazy_rows=true"],
    ],
)
def test_what_a_hosted_model_would_not_do_is_refused(arguments, data, capsys):
    place = ["--dataset", "planted", "--data-dir", str(data)]
    assert "train." in error(capsys, "train", *place, *arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scale", "--trace", "t.json"], "--trace: goes with neither"),
        (["--presets", "--trace", "t.json"], "--trace: goes with neither"),
        (["--scale", "--data-dir", "."], "--data-dir: --scale makes its data up"),
        (["--scale", "--dataset", "beauty"], "--dataset: --scale makes its data up"),
        (["--scale", "--rounds", "2"], "--rounds: --scale makes its data up"),
        (["--presets", "--to", "README.md/x"], "--to README.md/x: cannot be written"),
        (["--scale", "--to", "README.md/x"], "--to README.md/x: cannot be written"),
        (["--gpu", "--trace", "t.json"], "--trace: goes with neither"),
        (["--gpu", "--rounds", "2"], "--rounds: --gpu measures each subject once"),
        (["--gpu", "--data-dir", "."], "--data-dir: --gpu makes its data up unless"),
        (["--gpu", "--budget", "0"], "--budget must be above 0"),
        (["--gpu", "--budget", "nan"], "--budget must be above 0"),
        (["--gpu", "--dataset", "none", "--data-dir", "."], "data set 'none'"),
        (["--budget", "60"], "--budget: goes with --gpu"),
    ],
)
def test_a_bench_refuses_what_it_would_not_read(arguments, told, capsys):
    assert told in error(capsys, "bench", *arguments)
