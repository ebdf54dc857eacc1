"""The encoder and the item table as one ONNX graph: histories in, scores out."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from augment import Sequences
from experiments.errors import UsageError
from experiments.storage.new_files import write_new
from models.encoders.passes import laid_out, states_of
from models.host import Host

NEEDS = ("onnx", "onnxscript")
HINT = "pip install -e '.[onnx]' in the clone"


class Scoring(nn.Module):
    """items [B, L] right-padded with 0 and lengths [B] to scores [B, num_items]; column i is item
    i + 1."""

    def __init__(self, model: Host) -> None:
        super().__init__()
        self.model = model

    def forward(self, items: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        rows, encoder = Sequences(items, lengths), self.model.encoder
        placed = laid_out(rows, items, encoder.layout)
        states = states_of(encoder, self.model.embed(placed), rows, placed, "last")
        return states @ self.model.output_items().all().T, states


def export_onnx(model: nn.Module, path: Path) -> str:
    """Write FILE.onnx; says what is in it.

    Inputs: `items` [batch, max_length] int64, item numbers (1 is the first line of the ids that
    `export --what items` writes) oldest first and 0 behind them, and `lengths` [batch] int64.
    Outputs: `scores` [batch, num_items] and `states` [batch, d], float32; a score is the product
    of a state and an item's embedding, which is in the graph.
    Errors: UsageError for a model without embeddings of its own, where onnx is not installed, and
    for a file that is there with other content.
    """
    check_onnx(path)
    if not isinstance(model, Host):
        raise UsageError("export: only this repository's own models can be exported")
    if model.encoder.reads_times:
        raise UsageError("--what onnx: this encoder reads times, which the graph has no input for")
    model.eval()
    length = model.max_length
    device = model.item_embedding.weight.device
    items = torch.zeros(2, length, dtype=torch.int64, device=device)
    items[:, 0], items[1, :] = 1, 1
    lengths = torch.tensor([1, length], device=device)

    def write(file: Path) -> None:
        batch = torch.export.Dim("batch")
        with quiet(), torch.no_grad():
            torch.onnx.export(
                Scoring(model), (items, lengths), str(file), dynamo=True, external_data=False,
                input_names=["items", "lengths"], output_names=["scores", "states"],
                dynamic_shapes={"items": {0: batch}, "lengths": {0: batch}},
            )  # fmt: skip

    write_new(path.parent, {path.name: write}, "choose another --to")
    return (
        f"items [batch, {length}], lengths [batch] -> scores [batch, {model.num_items}], "
        f"states [batch, {model.item_embedding.weight.shape[1]}] -> {path}"
    )


def check_onnx(path: Path) -> None:
    """UsageError for another name, and where a package is missing."""
    if path.suffix != ".onnx":
        raise UsageError(f"--to {path}: the file must be named *.onnx")
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise UsageError(f"--what onnx: needs {' and '.join(missing)}: {HINT}")


@contextlib.contextmanager
def quiet():  # type: ignore[no-untyped-def]
    """Without the exporter's own reports."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
