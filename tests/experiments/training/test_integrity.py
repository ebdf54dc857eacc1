"""A file of a run that is damaged, replaced or of another run is refused, and nothing is run."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from experiments.cli.main import main
from experiments.errors import UsageError
from experiments.recbole.config import recbole_config
from experiments.storage.atomic import write_json
from experiments.storage.checkpoint import load_state, save_state
from experiments.storage.hashing import content_sha256, file_sha256
from tests.experiments.small_data import (
    SMALL,
    planted,
    read_history,
    read_json,
    train,
    write_text,
)

FIELDS = ("--model=cl4srec", "--epochs=3", *SMALL)
COMMANDS = {
    "evaluate": ["evaluate", "RUN", "--json"],
    "recommend": ["recommend", "RUN", "--history", "1 2"],
    "export": ["export", "RUN", "--what", "items", "--to", "RUN.npy"],
    "resume": ["train", "--out", "RUN", "--resume"],
    "raise": ["train", "--out", "RUN", "--resume", "--epochs=4"],
}
READ = {  # which files each command reads; the others it may find damaged
    "evaluate": ["config.yaml", "model.safetensors", "result.json", "ranks.npz", "history.jsonl"],
    "recommend": ["config.yaml", "model.safetensors", "result.json"],
    "export": ["config.yaml", "model.safetensors", "result.json"],
    "resume": ["config.yaml", "model.safetensors", "result.json", "ranks.npz", "history.jsonl"],
    "raise": ["config.yaml", "model.safetensors", "state.pt", "history.jsonl"],
}
CASES = [(command, name) for command, names in READ.items() for name in names]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one: a finished run.  seed: another of its kind.  small: one of another size."""
    folder = tmp_path_factory.mktemp("runs")
    write_text(folder / "data", "planted", planted())
    train(folder / "data", folder / "one", *FIELDS)
    train(folder / "data", folder / "seed", *FIELDS, "--seed=1")
    train(folder / "data", folder / "small", *FIELDS, "--encoder.dim=8")
    shutil.copytree(folder / "one", folder / "longer")
    assert main(["train", "--out", str(folder / "longer"), "--resume", "--epochs=4"]) == 0
    return folder


@pytest.fixture
def run(runs: Path, tmp_path: Path) -> Path:
    shutil.copytree(runs / "one", tmp_path / "run")
    return tmp_path / "run"


def ends(command: str, run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([word.replace("RUN", str(run)) for word in COMMANDS[command]])
    return code, *capsys.readouterr()


def assert_refused(ended: tuple[int, str, str]) -> None:
    code, _, error = ended
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


def with_garbage(content: bytes) -> bytes:
    return bytes(Random(0).randrange(256) for _ in content[:5000])


def emptied(content: bytes) -> bytes:
    return b""


DAMAGES = [halved, with_garbage, emptied]
READERS = {name: [c for c, read in READ.items() if name in read] for _, name in CASES}
DAMAGED = [  # every command with every file that it reads, and every file in every way
    (commands[place % len(commands)], name, DAMAGES[place % len(DAMAGES)])
    for name, commands in READERS.items()
    for place in range(max(len(commands), len(DAMAGES)))
]


@pytest.mark.parametrize(("command", "name", "damage"), DAMAGED)
def test_a_damaged_file_is_refused_and_nothing_is_touched(
    command: str, name: str, damage: Callable[[bytes], bytes], run: Path, capsys
) -> None:
    (run / name).write_bytes(damage((run / name).read_bytes()))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert_refused(ends(command, run, capsys))
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    ("command", "name", "other"),
    [(*case, ("seed", "seed", "small")[place % 3]) for place, case in enumerate(CASES)],
)
def test_a_file_of_another_run_is_refused(
    command: str, name: str, other: str, run: Path, runs: Path, capsys
) -> None:
    shutil.copy(runs / other / name, run / name)
    assert_refused(ends(command, run, capsys))


@pytest.mark.parametrize("name", ["model.safetensors", "state.pt", "history.jsonl", "result.json"])
def test_a_bit_that_flips_is_refused_or_was_of_no_meaning(
    name: str, run: Path, runs: Path, tmp_path: Path, capsys
) -> None:
    """16 bits all over each file; what is read is hashed, and what is not read changes nothing."""
    command = "evaluate" if name == "result.json" else "raise"
    expected = ends("evaluate", runs / "one", capsys)[1]
    content, pick, refused = (run / name).read_bytes(), Random(0), 0
    for _ in range(16):
        flipped = bytearray(content)
        flipped[pick.randrange(len(content))] ^= 1 << pick.randrange(8)
        shutil.rmtree(run)
        shutil.copytree(runs / "one", run)
        (run / name).write_bytes(flipped)
        ended = ends(command, run, capsys)
        if ended[0] == 0:
            if command == "evaluate":
                assert ended[1] == expected
            else:
                assert read_history(run) == read_history(runs / "longer")
                assert_same_weights(run, runs / "longer")
        else:
            assert_refused(ended)
            refused += 1
    assert refused >= 8


def assert_same_weights(one: Path, other: Path) -> None:
    name = "model.safetensors"
    assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_flipped_bit_in_a_tensor_of_the_state_is_noticed(run: Path) -> None:
    """torch itself does not look at the checksums of its files."""
    path = run / "state.pt"
    state = torch.load(path, weights_only=True)
    weight = state["model"]["item_embedding.weight"].numpy().tobytes()
    content = bytearray(path.read_bytes())
    at = content.index(weight[40:80])
    content[at] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)
    with pytest.raises(UsageError, match="damaged"):
        load_state(path)


@pytest.mark.parametrize(
    ("command", "written", "instead", "told"),
    [
        ("evaluate", "seed: 0", "seed: 5", "not the configuration"),
        ("recommend", "temperature: 1.0", "temperature: 0.5", "not the configuration"),
        ("export", "dim: 16", "dim: 32", "not the configuration"),
        ("raise", "temperature: 1.0", "temperature: 0.5", "not the configuration"),
        ("raise", "dim: 16", "dims: 16", "did you mean"),
    ],
)
def test_a_config_that_was_edited_is_refused(
    command: str, written: str, instead: str, told: str, run: Path, capsys
) -> None:
    text = (run / "config.yaml").read_text()
    assert written in text
    (run / "config.yaml").write_text(text.replace(written, instead))
    ended = ends(command, run, capsys)
    assert_refused(ended)
    assert told in ended[2]


def test_a_state_that_is_missing_is_told(run: Path, capsys) -> None:
    (run / "state.pt").unlink()
    ended = ends("raise", run, capsys)
    assert_refused(ended)
    assert "state.pt: is missing" in ended[2]


def test_weights_of_an_unfinished_run_are_checked_by_its_state(run: Path, runs: Path, capsys):
    (run / "result.json").unlink()
    assert ends("evaluate", run, capsys)[:2] == ends("evaluate", runs / "one", capsys)[:2]
    shutil.copy(runs / "seed" / "model.safetensors", run)
    assert_refused(ends("evaluate", run, capsys))


def test_a_baseline_that_was_killed_has_nothing_to_evaluate(runs: Path, tmp_path: Path, capsys):
    train(runs / "data", tmp_path / "run", "--model=popularity", "--track.mode=disabled")
    (tmp_path / "run" / "result.json").unlink()
    ended = ends("evaluate", tmp_path / "run", capsys)
    assert_refused(ended)
    assert "no result yet; finish the run with --resume" in ended[2]


def test_a_raised_run_that_was_killed_is_not_taken_for_finished(
    run: Path, runs: Path, capsys, monkeypatch
) -> None:
    from experiments.training import loop

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", killed)
        assert ends("raise", run, capsys)[0] == 130
    assert read_json(run / "result.json")["epochs"] == 3
    assert ends("resume", run, capsys)[0] == 0
    assert read_json(run / "result.json")["epochs"] == 4
    assert_same_weights(run, runs / "longer")


# pickles ----------------------------------------------------------------------------------------


class Bomb:
    """Unpickling it creates a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def rehash(run: Path) -> None:
    """Let result.json vouch for the files as they are: what a forger would do."""
    result = read_json(run / "result.json")
    result["files_sha256"] = {name: file_sha256(run / name) for name in result["files_sha256"]}
    del result["sha256"]
    result["sha256"] = content_sha256(result)
    write_json(run / "result.json", result)


def pickled(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps(bomb))


def by_torch(path: Path, bomb: Bomb) -> None:
    torch.save({"epoch": 3, "model": bomb, "optimizer": {}}, path)


def object_array(path: Path, bomb: Bomb) -> None:
    with path.open("wb") as file:
        np.savez(file, ranked=np.array([bomb], dtype=object))


def test_the_bomb_goes_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "mark")))
    assert (tmp_path / "mark").is_dir()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("state.pt", pickled), ("state.pt", by_torch),
        ("model.safetensors", pickled), ("model.safetensors", by_torch),
        ("ranks.npz", pickled), ("ranks.npz", object_array), ("result.json", pickled),
    ],
)  # fmt: skip
def test_a_pickle_in_the_place_of_a_file_is_never_run(
    make: Callable[[Path, Bomb], None], name: str, command: str, run: Path, tmp_path: Path, capsys
) -> None:
    make(run / name, Bomb(tmp_path / "mark"))
    if name != "result.json":
        rehash(run)
    code, _, error = ends(command, run, capsys)
    assert not (tmp_path / "mark").exists()
    if name == "model.safetensors" and command != "resume":
        assert_refused((code, "", error))


@pytest.mark.parametrize(
    "cache", ["given-SequentialDataset.pth", "given-for-SASRec-dataloader.pth"]
)
def test_a_cache_that_recbole_would_unpickle_is_refused(cache: str, tmp_path: Path) -> None:
    pickled(tmp_path / cache, Bomb(tmp_path / "mark"))
    with pytest.raises(UsageError, match="would unpickle"):
        recbole_config("SASRec", tmp_path, "given", 8, {})
    for field in ("dataset_save_path", "dataloaders_save_path"):
        with pytest.raises(UsageError, match="would unpickle"):
            recbole_config("SASRec", tmp_path / "empty", "given", 8, {field: str(tmp_path / cache)})
    assert not (tmp_path / "mark").exists()


def test_a_cache_in_the_data_folder_is_not_read_by_a_hosted_model(tmp_path: Path) -> None:
    write_text(tmp_path / "data", "planted", planted(20))
    for name in ("planted", "histories"):
        for kind in ("SequentialDataset", "for-SASRec-dataloader"):
            pickled(tmp_path / "data" / f"{name}-{kind}.pth", Bomb(tmp_path / "mark"))
    fields = ("--model=recbole:SASRec", "--epochs=1", "--encoder.max_length=8")
    train(tmp_path / "data", tmp_path / "run", *fields, "--track.mode=disabled")
    assert not (tmp_path / "mark").exists()


def test_a_state_whose_queue_knows_no_rows_is_not_trained_on(tmp_path: Path, capsys) -> None:
    write_text(tmp_path / "data", "planted", planted())
    run = tmp_path / "run"
    train(tmp_path / "data", run, "--model=moco", "--epochs=3", *SMALL)
    state = load_state(run / "state.pt")
    del state["model"]["tasks.0.queue.rows"]
    save_state(run / "state.pt", state)
    ended = ends("raise", run, capsys)
    assert_refused(ended)
    assert "state.pt: is of an older version and has no tasks.0.queue.rows" in ended[2]
