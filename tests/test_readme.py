"""README and the other pages: examples run as they stand, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.cli.fields import overrides
from experiments.cli.main import main
from experiments.cli.parser import parser
from experiments.storage.yaml_file import read_tree
from tests.experiments.small_data import planted, write_text
from tests.histories import padded

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "experiments" / "docs"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "augment" / "README.md",
    ROOT / "models" / "README.md",
    *sorted(DOCS.glob("*.md")),
]
LINKING = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "experiments" / "BENCHMARK.md"]
GENERATED = re.compile(r"<!-- report: .*?<!-- end report -->", re.S)
FENCED = re.compile(r"^```.*?^```", re.S | re.M)
OLD = re.compile(
    r"left_out|same_as\b|one_a_user|`?rows: all|--protocol\b|protocol: (?:prefix|sequence)"
    r"|`prefix`|`sequence` training|short: \d|dropout_twin|recent_self|OwnState|ItemVectors"
    r"|\bWanted\b|def pair\b|models[./]sasrec\b|\bclaim"
)
TINY = [
    "--track.mode=disabled",
    "--epochs=1",
    "--encoder.dim=8",
    "--encoder.layers=1",
    "--encoder.inner=8",
    "--encoder.max_length=10",
    "--train.batch_size=512",
]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are of this language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.S | re.M)
    return [code for kind, code in fenced if kind == language]


def written_by_hand(page: Path) -> str:
    return GENERATED.sub("", page.read_text())


def plugin_of_readme(folder: Path) -> Path:
    plugin = folder / "my_ideas.py"
    code = next(block for block in blocks(README, "python") if block.startswith("# my_ideas.py"))
    plugin.write_text(code)
    return plugin


def commands(page: Path) -> list[list[str]]:
    """The words behind run.py of each command that stands in a fenced block."""
    text = "".join(blocks(page, "")).replace("\\\n", " ")
    found = re.findall(r"^(?:python|torchrun \S+) run\.py (.*(?:\n {4,}.*)*)", text, re.M)
    return [shlex.split(command, comments=True) for command in found]


ALL_COMMANDS = [
    pytest.param(words, id=f"{name_of(page)}: {' '.join(words)[:60]}")
    for page in PAGES
    for words in commands(page)
]


# The examples ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["planted", pytest.param("ml-100k", marks=pytest.mark.slow)])
def test_the_plug_in_of_readme_trains(dataset: str, tmp_path: Path) -> None:
    plugin = plugin_of_readme(tmp_path)
    words = next(
        words
        for words in commands(README)
        if "--plugin" in words and "--contrast" in " ".join(words)
    )
    command = [*words, "--plugin", str(plugin), "--out", str(tmp_path / "o")]
    command.remove("--plugin")
    command.remove("my_ideas.py")
    if dataset == "planted":
        write_text(tmp_path, "planted", planted())
        command += ["--dataset", "planted", "--data-dir", str(tmp_path)]
    fitting = [word for word in TINY if "inner" not in word]  # of this encoder
    assert main([*command, *fitting]) == 0
    history = (tmp_path / "o" / "history.jsonl").read_text()
    assert "contrast/first_half/accuracy" in history
    config = read_tree(tmp_path / "o" / "config.yaml")
    assert (config["encoder"]["kind"], config["next_item"]["margin"]) == ("running_mean", 1.0)


def test_the_plug_in_of_readme_is_short() -> None:
    code = next(block for block in blocks(README, "python") if block.startswith("# my_ideas.py"))
    assert len(code.splitlines()) < 60


@pytest.mark.slow
def test_the_contract_tests_run_on_the_plug_ins_of_the_pages(tmp_path: Path) -> None:
    plugins = ["--plugin", str(plugin_of_readme(tmp_path)), "--plugin", str(three_views(tmp_path))]
    contract = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract"]
    own = "first_half or running_mean or hinge or three_views"
    done = subprocess.run(
        [*contract, *plugins, "-k", own, "-v"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    for name in ("test_encoders.py", "test_tasks.py", "test_next_item_losses.py"):
        assert name in done.stdout


@pytest.mark.slow
def test_the_model_trains_in_recboles_own_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = next(
        block for block in blocks(DOCS / "python.md", "python") if "data_preparation" in block
    )
    fewer = '"epochs": 1, "val_interval": {"timestamp": "[0,878e6]"}'  # the oldest ratings
    short = block.replace('"epochs": 2', fewer).replace('"ml-100k", 50,', '"ml-100k", 5,')
    assert short.count('"ml-100k", 5,') == short.count(fewer) == 1
    scope: dict[str, object] = {}
    exec(compile(short, "python.md", "exec"), scope)
    assert "trainer" in scope


def run_block(page: Path, word: str) -> dict[str, Any]:
    """What the Python block of a page that holds this word defines."""
    block = next(block for block in blocks(page, "python") if word in block)
    scope: dict[str, Any] = {"__name__": __name__}  # dataclasses look their module up
    exec(compile(block, page.name, "exec"), scope)
    return scope


def test_the_operator_of_extending_forgets_the_oldest_items() -> None:
    operator = run_block(DOCS / "extending.md", "DropFirst")["OPERATORS"]["drop_first"](count=2)
    after = operator(padded([[1, 2, 3, 4], [5, 6], [7]]), torch.Generator())
    assert after.items.tolist() == [[3, 4, 0, 0], [6, 0, 0, 0], [7, 0, 0, 0]]
    assert after.lengths.tolist() == [2, 1, 1]


def three_views(folder: Path) -> Path:
    """The plug-in of extending.md, as a file."""
    block = next(b for b in blocks(DOCS / "extending.md", "python") if "# three_views.py" in b)
    (folder / "three_views.py").write_text(block)
    return folder / "three_views.py"


def test_the_task_with_three_views_of_extending_trains(tmp_path: Path) -> None:
    write_text(tmp_path, "planted", planted())
    own = ["--dataset=planted", f"--data-dir={tmp_path}", f"--out={tmp_path / 'o'}", *TINY]
    plugin = ["--plugin", str(three_views(tmp_path)), "--contrast=[three_views]"]
    assert main(["train", "--model=sasrec", *plugin, *own]) == 0
    history = (tmp_path / "o" / "history.jsonl").read_text()
    assert "contrast/three_views/accuracy" in history


def test_the_encoder_and_the_loss_of_extending_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = next(block for block in blocks(DOCS / "extending.md", "python") if "Hinge" in block)
    assert len(block.splitlines()) < 60
    (tmp_path / "my_model.py").write_text(block)
    write_text(tmp_path, "planted", planted())
    monkeypatch.chdir(tmp_path)
    page = [words for words in commands(DOCS / "extending.md") if "my_model.py" in words]
    assert len(page) == 2
    for number, words in enumerate(page):
        own = ["--dataset=planted", f"--data-dir={tmp_path}", f"--out={tmp_path / str(number)}"]
        assert main([*words, *own, "--epochs=1", "--encoder.dim=4", "--track.mode=disabled"]) == 0
    config = read_tree(tmp_path / "0" / "config.yaml")
    assert (config["encoder"]["kind"], config["next_item"]["margin"]) == ("running_mean", 0.5)


@pytest.mark.parametrize("page", [README, DOCS / "studies.md"], ids=name_of)
def test_the_study_of_a_page_can_be_planned(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my_ablation.yaml"
    file.write_text(blocks(page, "yaml")[0])
    assert main(["study", str(file), "--out", str(tmp_path / "o"), "--dry-run"]) == 0
    count = int(re.findall(r"my_ablation: (\d+) trials", capsys.readouterr().out)[0])
    if page == README:
        assert f"runs {count} trainings" in README.read_text()


@pytest.mark.parametrize("words", ALL_COMMANDS)
def test_a_command_of_the_pages_is_understood(words: list[str]) -> None:
    """Its options exist, and the fields that it sets can be set."""
    from experiments.config.resolve import resolve

    arguments, rest = parser().parse_known_args(words)
    fields = overrides(arguments, rest)
    named = {"--plugin", "--config", "--resume"} & set(words)
    if arguments.fields is True and not named and arguments.data_dir is None:
        resolve(None, [field for field in fields if field[0] != "init_from.run"])  # a run


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", commands(DOCS / "configuration.md")[:6], ids=lambda words: " ".join(words)[:60]
)
def test_a_command_of_configuration_runs(words: list[str], tmp_path: Path) -> None:
    tiny = [one for one in TINY if "inner" not in one or "gru" not in " ".join(words)]
    out = [] if words[0] == "inspect" else ["--out", str(tmp_path / "run"), *tiny]
    assert main([*words, *out]) == 0


@every_page
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    for command in set(re.findall(r"run\.py ([a-z]+)", page.read_text())):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0


# The pages -------------------------------------------------------------------------------------


def test_readme_is_read_in_five_minutes() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 250
    assert len(text.split()) <= 1600


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)", FENCED.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


@every_page
def test_a_page_says_no_old_names(page: Path) -> None:
    assert OLD.findall(written_by_hand(page)) == []


@every_page
def test_what_looks_like_a_file_of_the_repository_is_one(page: Path) -> None:
    named = re.findall(r"`((?:augment|models|experiments|tests)/[\w./-]+\w/?)`", page.read_text())
    real = [name for name in named if not re.search(r"\b(?:NAME|STUDY)\b", name)]
    assert [name for name in real if not (ROOT / name).exists()] == []


def test_every_page_of_the_docs_is_reached_from_readme() -> None:
    text = README.read_text() + "".join(page.read_text() for page in PAGES[1:])
    assert [page.name for page in DOCS.glob("*.md") if f"{page.name}" not in text] == []
