"""The rows of a parquet file: one an interaction, or one a user with lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from experiments.data.ids import shown
from experiments.data.reading.layout import Layout
from experiments.data.reading.recipe import Column
from experiments.data.reading.source import Source
from experiments.errors import UsageError

CHUNK = 1_000_000  # rows, or elements of lists, at a time
INSTALL = "reading parquet needs pyarrow: pip install -e .[parquet]"


class ParquetRows:
    """Rows of some columns of a parquet file; columns of lists are unrolled together.

    columns: role -> column. Errors: UsageError without pyarrow, for a file that is not parquet,
    and for a column that is not there.
    """

    def __init__(self, source: Source, columns: Mapping[str, Column]) -> None:
        try:
            import pyarrow as arrow
            from pyarrow import parquet
        except ImportError:
            raise UsageError(f"{source}: {INSTALL}") from None
        self.source = source
        self.damaged: tuple[type[Exception], ...] = (arrow.ArrowException, OSError, EOFError)
        self.open = parquet.ParquetFile
        if source.path.suffix in (".gz", ".bz2", ".xz", ".zip"):
            raise UsageError(f"{source}: unpack it first; parquet is packed in itself")
        with source.opened():
            pass  # that it can be read, and is a file
        try:
            self.file = self.open(source.path)
        except self.damaged as error:
            raise UsageError(f"{source} is not a whole parquet file ({error})") from None
        layout = Layout("", False, list(self.file.schema_arrow.names))
        self.names = {
            role: layout.names[place]
            for role, place in layout.positions(source, dict(columns)).items()
        }

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Chunks with a column for each role; their index counts the rows of the file from 0."""
        used = list(dict.fromkeys(self.names.values()))
        lists = self._lists(used)
        first = 0
        try:
            for batch in self.file.iter_batches(self._rows_at_a_time(lists), columns=used):
                chunk = batch.to_pandas(split_blocks=True, integer_object_nulls=True)  # exact ids
                for name in chunk.select_dtypes("category"):  # which has no code for a missing id
                    chunk[name] = chunk[name].astype(object)
                chunk.index = pd.RangeIndex(first, first + len(chunk))
                first += len(chunk)
                chunk = self._unrolled(chunk, lists)
                if len(chunk):
                    yield pd.DataFrame({role: chunk[name] for role, name in self.names.items()})
        except self.damaged as error:
            raise UsageError(f"{self.source} is not a whole parquet file ({error})") from None

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        return f"row {row + 1}"

    def _lists(self, used: list[str]) -> list[str]:
        """The columns of lists.  Errors: UsageError for one of neither plain values nor lists."""
        from pyarrow import types

        kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list)
        lists = []
        for name in used:
            held = self.file.schema_arrow.field(name).type
            if any(kind(held) for kind in kinds):
                lists.append(name)
                held = held.value_type
            binary = types.is_binary(held) or types.is_large_binary(held)
            if types.is_nested(held) or binary or types.is_fixed_size_binary(held):
                raise UsageError(
                    f"{self.source} column {shown(name)}: is of {held}; it has to hold texts, "
                    "numbers or times, or lists of them"
                )
        return lists

    def _rows_at_a_time(self, lists: list[str]) -> int:
        rows: int = max(1, self.file.metadata.num_rows)
        if not lists:
            return CHUNK
        place = self.file.schema_arrow.names.index(lists[0])
        groups = [self.file.metadata.row_group(n) for n in range(self.file.num_row_groups)]
        elements: int = sum(group.column(place).num_values for group in groups)
        return max(1, CHUNK * rows // max(1, elements))

    def _unrolled(self, chunk: pd.DataFrame, lists: list[str]) -> pd.DataFrame:
        if not lists:
            return chunk
        lengths: Any = pd.DataFrame({name: chunk[name].str.len() for name in lists})
        uneven = (lengths.nunique(axis=1, dropna=False) > 1).to_numpy()
        if uneven.any():
            row = int(chunk.index[uneven.argmax()])
            told = ", ".join(f"{name} {lengths[name][row]:g}" for name in lists)
            raise UsageError(f"{self.source}, {self.place(row)}: lists of different length: {told}")
        return chunk[lengths[lists[0]].to_numpy() > 0].explode(lists)
