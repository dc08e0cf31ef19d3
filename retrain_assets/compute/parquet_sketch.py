"""The sketch of Parquet files of any size: one column and one batch of rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from retrain_assets.contract import StageError
from retrain_assets.drift import Sketch, sketch_batches

BATCH_ROWS = 131_072


def sketch_parquet(
    paths: Sequence[Path],
    columns: Sequence[str],
    edges: Sketch | None = None,
    bins: int = 20,
    max_levels: int = 50,
    batch_rows: int = BATCH_ROWS,
) -> Sketch:
    """The sketch of some columns of some Parquet files; see :func:`~retrain_assets.drift.sketch_batches`.

    Each column is read on its own, in batches of its row groups: twice where edges are to be fitted, else once. Memory holds one
    batch of one column and the sample that edges are fitted on, however many rows there are.

    Args:
        paths: the files, in the order of their rows; all with the columns.
        columns: the columns to sketch.
        edges: a reference whose bins and levels are used; None fits them to these rows.
        bins: most bins of a numeric column.
        max_levels: most levels of a categorical column.
        batch_rows: most rows of a batch.

    Raises:
        StageError: where there is no file, one cannot be read, or a column is missing or cannot be sketched.
    """
    if not paths:
        raise StageError("there is no Parquet file to sketch", where="drift", remedy="give at least one")
    sketched = {}
    for name in columns:
        of_column = None if edges is None else Sketch({key: edges.columns[key] for key in (name,) if key in edges.columns})
        batches = _ColumnBatches(paths, name, batch_rows)
        sketch = sketch_batches(batches, columns=[name], edges=of_column, bins=bins, max_levels=max_levels)
        sketched[name] = sketch.columns[name]
    return Sketch(sketched)


class _ColumnBatches:
    """Batches of one column, read anew each time they are gone through."""

    def __init__(self, paths: Sequence[Path], column: str, batch_rows: int) -> None:
        self.paths, self.column, self.batch_rows = paths, column, batch_rows

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for path in self.paths:
            try:
                yield from self._of_file(path)
            except (pa.ArrowException, OSError) as error:
                raise StageError(f"Parquet file cannot be read ({error})", where=str(path), remedy="write it again") from error

    def _of_file(self, path: Path) -> Iterator[pl.DataFrame]:
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            if self.column not in file.schema_arrow.names:
                raise StageError(
                    "column is missing", where=f"{path}, column {self.column}", remedy="give the columns the model was trained on"
                )
            field = file.schema_arrow.field(self.column)
            yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches([], pa.schema([field]))))
            for batch in file.iter_batches(self.batch_rows, columns=[self.column], use_threads=False):
                yield pl.DataFrame(pl.from_arrow(batch))
