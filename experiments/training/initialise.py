"""Start a training from the weights of another run."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor

from experiments.config.init_from import InitFromConfig
from experiments.config.run_config import config_tree
from experiments.errors import UsageError
from experiments.storage.checkpoint import read_weights
from experiments.storage.hashing import file_sha256
from experiments.storage.run_folder import RunFolder, existing_run
from experiments.training.integrity import record_of
from experiments.training.run import Run
from models.recbole_plug import SASRec

OF_ITEMS = ("item_embedding.", "feature_input.")
"""Weights that mean something for one numbering of items only."""


def initialise(run: Run) -> list[str]:
    """Put the weights that `init_from` names into the model; their names.  None: nothing is done.

    Errors: UsageError where they are not those of the configuration or it has no hash of them,
    are of other items or another split of the data, or of other sizes, of which the first is named.
    """
    config = run.config.init_from
    if config.run is None and config.sha256 is None:
        return []
    if config.run is None:
        raise UsageError(f"init_from.run: name the run whose weights have sha256 {config.sha256}")
    if config.sha256 is None:
        raise UsageError(
            f"init_from.sha256: is missing for {config.run}; `experiments.train` fills it in"
        )
    try:
        folder = existing_run(Path(config.run))
    except UsageError as error:
        raise UsageError(f"init_from.run: {error}; set it to where that run is now") from None
    if not folder.weights.is_file() or file_sha256(folder.weights) != config.sha256:
        raise UsageError(
            f"init_from.run: {folder.weights} is not there or has changed "
            f"(sha256 {config.sha256[:12]}... is expected)"
        )
    if not isinstance(run.model, SASRec):
        raise UsageError(f"init_from.run: {run.config.model} does not start from weights")
    state = run.model.state_dict()
    names = chosen(config, list(state))
    check_origin(run, folder, names)
    taken = fitting(folder.weights, read_weights(folder.weights), state, names)
    run.model.load_state_dict({**state, **taken})
    run.model.start_momentum_copies()
    return names


def chosen(config: InitFromConfig, names: list[str]) -> list[str]:
    """The model's weights that the patterns name; UsageError for a pattern that names none.

    Moving averages of the model are no weights of their own: they start as copies.
    """
    own = [name for name in names if not name.startswith("copies.")]
    for pattern in config.parts:
        if not any(fnmatchcase(name, pattern) for name in own):
            raise UsageError(f"init_from.parts: this model has no weight {pattern!r}")
    return [name for name in own if any(fnmatchcase(name, part) for part in config.parts)]


def check_origin(run: Run, folder: RunFolder, names: list[str]) -> None:
    """UsageError where the weights have seen other data: what is held out here may be in them."""
    where, record = record_of(folder)
    own_split = config_tree(run.config)["split"]
    split = folder.read_config().get("split", {"kind": "leave_one_out"})
    ties = folder.read_config().get("ties", "file")
    same_data = record["data_sha256"] == run.histories.sha256
    if same_data and ties != run.config.ties:
        raise UsageError(
            f"init_from.run: {folder.path} was trained with ties: {ties}, which has other test "
            f"items than ties: {run.config.ties}: what is held out here may be in its weights"
        )
    if same_data and split != own_split:
        raise UsageError(
            f"init_from.run: {folder.path} was trained on another split of these data, "
            f"{split['kind']}: what is held out here may be in its weights"
        )
    if not same_data and any(name.startswith(OF_ITEMS) for name in names):
        raise UsageError(
            f"init_from.run: {folder.path} was trained on other data ({where.name}), whose items "
            "have other numbers; leave item_embedding.* out of init_from.parts"
        )


def fitting(
    path: Path, theirs: dict[str, Tensor], ours: dict[str, Tensor], names: list[str]
) -> dict[str, Tensor]:
    """The named weights; UsageError for the first that is missing there, or has another shape."""
    for name in names:
        if name not in theirs:
            raise UsageError(f"init_from.parts: {path} has no weight {name}")
        there, here = list(theirs[name].shape), list(ours[name].shape)
        if there != here:
            raise UsageError(
                f"init_from.run: {name} is {there} in {path} and {here} here; give both models "
                "the same sizes, or leave it out of init_from.parts"
            )
    return {name: theirs[name] for name in names}
