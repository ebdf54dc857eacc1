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
from models.encoders.encoder import Encoder, Layout

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
    """

    sequences: Sequences
    want: Literal["last", "mean", "concat", "all"]
    max_length: int = 0  # positions of a concat; no history is longer

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
    kinds = {
        last_only: {name: r for name, r in requests.items() if (r.want == "last") == last_only}
        for last_only in (True, False)
    }
    stacks = {
        last_only: stack([request.sequences for request in kind.values()], layout.length)
        for last_only, kind in kinds.items()
        if kind
    }
    if not stacks:
        return {}
    groups = {last_only: length_groups(rows, layout) for last_only, rows in stacks.items()}
    vectors = embed_groups(embed, [group for parts in groups.values() for group in parts], layout)
    states: dict[Name, Tensor] = {}
    for last_only, parts in groups.items():
        encoded = [states_of(encoder, next(vectors), group.rows, last_only) for group in parts]
        sizes = [len(request.sequences) for request in kinds[last_only].values()]
        pieces = torch.split(merge(parts, encoded, stacks[last_only].width), sizes)
        states |= zip(kinds[last_only], pieces, strict=True)
    return {name: finish(request, states[name]) for name, request in requests.items()}


def states_of(encoder: Encoder, vectors: Tensor, rows: Sequences, last_only: bool) -> Tensor:
    """The encoder's states, oldest item first, from embedded rows and, where it reads them, their
    times."""
    left = encoder.layout.padding == "left"
    times: tuple[Tensor | None, ...] = ()
    if encoder.reads_times:
        times = (latest_last(rows, rows.times) if left and rows.times is not None else rows.times,)
    states: Tensor = encoder(vectors, rows.lengths, last_only, *times)
    return oldest_first(states, rows.lengths) if left and not last_only else states


def stack(sequences: list[Sequences], length: int | None) -> Sequences:
    """The rows of all given batches, padded to the widest, or to exactly a length."""
    rows = concatenated(sequences)
    return rows if length is None else rows.with_width(length)


@dataclass(frozen=True)
class Group:
    """Some rows of a stack, trimmed to their longest; index [b] says which, None: all in order."""

    index: Tensor | None
    rows: Sequences


def length_groups(rows: Sequences, layout: Layout) -> list[Group]:
    """Cut rows, sorted by length, into groups that save more padding than a group costs.

    On a GPU all rows are one group: padding costs it less than asking it for lengths.
    """
    if rows.device.type != "cpu" or layout.length is not None:
        return [Group(None, rows)]
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


def embed_groups(
    embed: Callable[[Tensor], Tensor], groups: list[Group], layout: Layout
) -> Iterator[Tensor]:
    """[b, l, d] embeddings for each group, laid out for the encoder, from one look-up."""
    items = [group.rows.items for group in groups]
    if layout.padding == "left":
        items = [latest_last(group.rows, group.rows.items) for group in groups]
    flat = embed(torch.cat([rows.reshape(-1) for rows in items]))
    parts = torch.split(flat, [group.rows.items.numel() for group in groups])
    for group, part in zip(groups, parts, strict=True):
        yield part.view(*group.rows.items.shape, -1)


def latest_last(rows: Sequences, values: Tensor) -> Tensor:
    """[B, L] items or times of rows, with their padding in front."""
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


def finish(request: Request, states: Tensor) -> Tensor:
    """Trim to the request's own width; take the mean, or lay side by side, where it is wanted.

    In float32, whatever the encoder's products were made in.
    """
    states = states.float() if states.dtype == torch.bfloat16 else states
    if request.want == "last":
        return states
    states = states[:, : request.sequences.width]
    if request.want == "all":
        return states
    if request.want == "concat":
        return side_by_side(states, request.sequences.lengths, request.max_length)
    return mean_over_real(states, request.sequences)


def mean_over_real(states: Tensor, histories: Sequences) -> Tensor:
    """[B, L, d] -> [B, d]: the mean over each row's real items."""
    real = histories.real()[:, :, None]  # [B, L, 1]
    return torch.where(real, states, 0.0).sum(dim=1) / histories.lengths[:, None]


def side_by_side(states: Tensor, lengths: Tensor, positions: int) -> Tensor:
    """[B, L, d] -> [B, positions * d]: right-aligned, so that the latest items meet; else 0."""
    column = torch.arange(positions, device=states.device)[None, :]
    source = column - (positions - lengths[:, None])  # [B, positions]
    index = source.clamp(min=0, max=states.shape[1] - 1)[:, :, None]
    moved = states.gather(1, index.expand(-1, -1, states.shape[2]))  # [B, positions, d]
    return torch.where(source[:, :, None] >= 0, moved, 0.0).flatten(1)
