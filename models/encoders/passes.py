"""One pass of the encoder over a batch and all views of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from augment import PADDING, Sequences
from augment.sequences import concatenated
from models.encoders.encoder import Encoder, EncoderError, Layout
from models.encoders.pooling import Want, pooled

Name = TypeVar("Name", bound=Hashable)
GROUP_OVERHEAD = 1500
"""Padded positions whose arithmetic costs as much as running one more group (measured)."""


@dataclass(frozen=True)
class Request:
    """Histories to encode, and what is wanted of each.

    last:   the state at the last real position, [B, d].
    mean:   the mean over real positions, [B, d].
    concat: the states at real positions side by side, the last one at the end of the row and
            zeros before the first, [B, max_length * d].
    all:    the state at every position, [B, L, d]; meaningless at padding.
    padded: the states at all max_length positions as the encoder made them, padding included,
            side by side, [B, max_length * d]: what ICLRec, CoSeRec and their kin contrast.
    mean_padded: the mean of these, [B, d].
    scored: the states at the positions `scored` [T] of the flattened [B, L], [T, d].
    """

    sequences: Sequences
    want: Want
    max_length: int = 0  # positions of concat and padded; no history is longer
    momentum: float | None = None  # which moving average of the model encodes it; None: itself
    scored: Tensor | None = None

    def without_times(self) -> Request:
        """The same for an encoder that does not read them: nothing of them is copied."""
        if self.sequences.times is None:
            return self
        return replace(self, sequences=replace(self.sequences, times=None))


def encode_together(
    encoder: Encoder, embed: Callable[[Tensor], Tensor], requests: Mapping[Name, Request]
) -> dict[Name, Tensor]:
    """Encode the rows of all requests in one pass; one tensor for each request, by its name.

    Rows are sorted by length and cut into few groups, each padded to its own longest row
    only, and the embeddings of the whole pass are looked up at once.  Rows of which only the
    last state is wanted form groups of their own: they cost the encoder less.  An encoder that
    reads a fixed length gets one group, padded to it; padding is on the side that it asks for.
    """
    layout = encoder.layout
    if not encoder.reads_times:
        requests = {name: request.without_times() for name, request in requests.items()}
    present = {kind_of(request) for request in requests.values()}
    kinds = {
        kind: {name: r for name, r in requests.items() if kind_of(r) == kind}
        for kind in KINDS
        if kind in present
    }
    stacks = {kind: stack(list(asked.values()), layout) for kind, asked in kinds.items()}
    groups = {
        kind: length_groups(rows) if layout.length is None and kind != "padded" else [all_of(rows)]
        for kind, rows in stacks.items()
    }
    items = {
        kind: [laid_out(group.rows, group.rows.items, layout) for group in parts]
        for kind, parts in groups.items()
    }
    vectors = embed_groups(embed, [rows for parts in items.values() for rows in parts])
    states: dict[Name, Tensor] = {}
    for kind, parts in groups.items():
        encoded = [
            states_of(encoder, next(vectors), group.rows, rows, kind)
            for group, rows in zip(parts, items[kind], strict=True)
        ]
        only = next(iter(kinds[kind]))
        if len(kinds[kind]) == 1 and kinds[kind][only].scored is not None:
            states[only] = at_positions(parts, encoded, kinds[kind][only])
            continue
        sizes = [len(request.sequences) for request in kinds[kind].values()]
        pieces = torch.split(merge(parts, encoded, stacks[kind].width), sizes)
        states |= zip(kinds[kind], pieces, strict=True)
    return {name: finish(request, states[name]) for name, request in requests.items()}


Kind = Literal["last", "padded", "every"]
KINDS: tuple[Kind, ...] = ("last", "padded", "every")  # the order in which dropout is drawn


def kind_of(request: Request) -> Kind:
    """Rows of one kind are encoded together."""
    if request.want == "last":
        return "last"
    if request.want in ("padded", "mean_padded"):
        return "padded"
    return "every"


def states_of(
    encoder: Encoder, vectors: Tensor, rows: Sequences, items: Tensor, kind: Kind
) -> Tensor:
    """The encoder's states, [b, l, d], or [b, d] for kind last.

    Real positions come first; kind padded keeps the encoder's layout.
    vectors and items [b, l] are laid out for the encoder; rows are not.
    """
    layout, further = encoder.layout, {}
    if encoder.reads_times:
        further["times"] = rows.times
        if rows.times is not None:
            further["times"] = laid_out(rows, rows.times, layout)
    if encoder.reads_real:
        further["real"] = items != PADDING
    states: Tensor = encoder(vectors, rows.lengths, kind == "last", **further)
    right = vectors[:, 0].shape if kind == "last" else vectors.shape
    if states.shape != right:
        asked = f"last_only is {kind == 'last'}, x has shape {[*vectors.shape]}"
        raise EncoderError(
            f"{type(encoder).__name__} has to return states of shape {[*right]} ({asked}), got "
            f"{[*states.shape]}"
        )
    if layout.padding == "left" and kind == "every":
        return oldest_first(states, rows.lengths)
    return states


def stack(requests: list[Request], layout: Layout) -> Sequences:
    """The rows of all requests, padded to the widest, or to what is asked for."""
    rows = concatenated([request.sequences for request in requests])
    positions = requests[0].max_length if kind_of(requests[0]) == "padded" else layout.length
    return rows if positions is None else rows.with_width(positions)


@dataclass(frozen=True)
class Group:
    """Some rows of a stack, trimmed to their longest; index [b] says which, None: all in order."""

    index: Tensor | None
    rows: Sequences


def all_of(rows: Sequences) -> Group:
    return Group(None, rows)


def length_groups(rows: Sequences) -> list[Group]:
    """Cut rows, sorted by length, into groups that save more padding than a group costs.

    On a GPU all rows are one group: padding costs it less than asking it for lengths.
    """
    if rows.device.type != "cpu":
        return [all_of(rows)]
    lengths = rows.lengths.numpy()
    order = np.argsort(lengths, kind="stable")
    parts = cuts(lengths[order], 0, len(order))
    if len(parts) == 1:
        longest = int(lengths.max())
        return [Group(None, rows.with_width(longest))]
    groups = []
    for start, stop in parts:
        index = torch.from_numpy(order[start:stop])
        longest = int(lengths[order[stop - 1]])
        groups.append(Group(index, rows.rows(index).with_width(longest)))
    return groups


def cuts(ascending: NDArray[np.int64], start: int, stop: int) -> list[tuple[int, int]]:
    """Groups of a sorted array of lengths as (start, stop): cut where it saves the most."""
    part = ascending[start:stop]
    saved = np.arange(1, len(part)) * (part[-1] - part[:-1])  # by a cut after 1, 2, ... rows
    if len(part) < 2 or saved.max() <= GROUP_OVERHEAD:
        return [(start, stop)]
    middle = start + int(saved.argmax()) + 1
    return cuts(ascending, start, middle) + cuts(ascending, middle, stop)


def embed_groups(embed: Callable[[Tensor], Tensor], groups: list[Tensor]) -> Iterator[Tensor]:
    """[b, l, d] embeddings for each group of items [b, l], from one look-up."""
    flat = embed(torch.cat([items.reshape(-1) for items in groups]))
    parts = torch.split(flat, [items.numel() for items in groups])
    for items, part in zip(groups, parts, strict=True):
        yield part.view(*items.shape, -1)


def laid_out(rows: Sequences, values: Tensor, layout: Layout) -> Tensor:
    """[B, L] items or times of rows, with their padding where the encoder has it."""
    if layout.padding == "right":
        return values
    column = torch.arange(rows.width, device=rows.device)
    source = column - (rows.width - rows.lengths[:, None])  # [B, L], below 0 at padding
    return torch.where(source >= 0, values.gather(1, source.clamp(min=0)), PADDING)


def oldest_first(states: Tensor, lengths: Tensor) -> Tensor:
    """[B, L, d] states of rows with padding in front -> real positions first, then padding."""
    column = torch.arange(states.shape[1], device=states.device)
    source = (column - lengths[:, None]) % states.shape[1]  # [B, L]
    return states.gather(1, source[:, :, None].expand_as(states))


def merge(groups: list[Group], states: list[Tensor], width: int) -> Tensor:
    """The states of all groups in the order of the stack: [R, d] or [R, width, d]."""
    if states[0].dim() == 3:
        states = [F.pad(part, (0, 0, 0, width - part.shape[1])) for part in states]
    if len(groups) == 1:
        return states[0]
    order = torch.cat([group.index for group in groups if group.index is not None])
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    return torch.cat(states)[place]


def at_positions(groups: list[Group], states: list[Tensor], request: Request) -> Tensor:
    """[T, d]: the states at the scored positions of a request that makes up all groups.

    What `merge` and a look-up in its result give, without padding every row to the widest.
    """
    assert request.scored is not None
    row, column = (
        request.scored // request.sequences.width,
        request.scored % request.sequences.width,
    )
    start = row.new_empty(len(request.sequences))  # of each row among all groups' positions
    offset = 0
    for group, part in zip(groups, states, strict=True):
        rows, length = part.shape[:2]
        starts = offset + length * torch.arange(rows, device=row.device)
        start[slice(None) if group.index is None else group.index] = starts
        offset += rows * length
    flat = [part.flatten(0, 1) for part in states]
    together = flat[0] if len(flat) == 1 else torch.cat(flat)
    return together.index_select(0, start[row] + column)


def finish(request: Request, states: Tensor) -> Tensor:
    """Trim to the request's own width; take the mean, or lay side by side, where it is wanted.

    In float32, whatever the encoder's products were made in.
    """
    states = states.float() if states.dtype == torch.bfloat16 else states
    if request.want == "last" or states.dim() == 2:
        return states
    if request.want in ("padded", "mean_padded"):
        return states.flatten(1) if request.want == "padded" else states.mean(dim=1)
    states = states[:, : request.sequences.width]
    if request.want == "scored":
        assert request.scored is not None
        return states.flatten(0, 1)[request.scored]
    return pooled(states, request.sequences, request.want, request.max_length)
