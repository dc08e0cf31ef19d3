"""Scores of Spark frames: executors load a bundle by its digest and score their rows, without pandas."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Bundle, load_bundle
from retrain_assets.compute.places import located, uri_of
from retrain_assets.compute.spark.file_order import OrderedRows, in_types, placed_batches
from retrain_assets.compute.spark.sketches import no_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]

CARRIED_BYTES = 32 * 2**20
"""Bundles up to this size are carried to the executors with the task; larger ones are read from where they are."""


@dataclass(frozen=True, slots=True)
class CarriedBundle:
    """A bundle on its way to the executors, which refuse it unless its manifest and every file have the recorded digests.

    Args:
        digest: of its manifest.
        files: contents by name; empty where it is read from ``uri``.
        uri: its directory; every executor must reach it where files are not carried.
    """

    digest: str
    files: Mapping[str, bytes]
    uri: str

    @classmethod
    def of(cls, bundle: Bundle) -> CarriedBundle:
        """A bundle that the driver has loaded."""
        files = [path for path in sorted(bundle.path.iterdir()) if path.is_file()]
        carried = sum(path.stat().st_size for path in files) <= CARRIED_BYTES
        contents = {path.name: path.read_bytes() for path in files} if carried else {}
        return cls(bundle.digest, contents, uri_of(bundle.path))

    def load(self) -> Bundle:
        """The bundle, once a process; it scores with one thread, for the executor's other tasks have the other cores.

        Raises:
            CustodyError: when it is not the one on record.
        """
        if (found := _loaded.get(self.digest)) is None:
            found = _loaded[self.digest] = self._read()
        return found

    def _read(self) -> Bundle:
        if not self.files:
            return load_bundle(located(self.uri), self.digest, threads=1)
        with tempfile.TemporaryDirectory(prefix="retrain-bundle-") as folder:
            for name, data in self.files.items():
                Path(folder, name).write_bytes(data)
            return load_bundle(Path(folder), self.digest, threads=1)


_loaded: dict[str, Bundle] = {}


def with_scores(frame: DataFrame, bundles: Mapping[str, Bundle], kept: Sequence[str] = ()) -> DataFrame:
    """Scores of the rows of a frame, made where the rows are, lazily.

    Args:
        frame: rows with the features of every bundle.
        bundles: by the name of the column of its scores: double, or an array of doubles for several classes.
        kept: further columns to keep.

    Raises:
        StageError: at once, when a feature is missing or of another kind than in training.
    """
    features = features_of(bundles.values())
    nothing = no_rows(frame.select(*(name for name in features if name in frame.columns)))
    for bundle in bundles.values():
        bundle.encoding.matrix(nothing)
    wanted = frame.select(*dict.fromkeys([*kept, *features]))
    types = {field.name: field.dataType.simpleString() for field in wanted.schema.fields}
    columns = [f"`{name}` {types[name]}" for name in kept] + [f"`{name}` {_type(bundle)}" for name, bundle in bundles.items()]
    return wanted.mapInArrow(
        _scoring({name: CarriedBundle.of(one) for name, one in bundles.items()}, list(kept)), ", ".join(columns)
    )


def scores_in_order(rows: OrderedRows, bundles: Mapping[str, Bundle]) -> dict[str, Floats]:
    """Scores of all rows by the name of the bundle, in the order of the files: as ``bundle.score`` of the whole frame.

    Only places and scores come to the driver: 8 bytes a row and 8 more a score.

    Args:
        rows: rows with the features of every bundle.
        bundles: by name.

    Raises:
        StageError: when a feature is missing or of another kind than in training.
    """
    for bundle in bundles.values():
        bundle.encoding.matrix(rows.nothing)
    wanted = rows.select(features_of(bundles.values())).frame
    carried = {name: CarriedBundle.of(bundle) for name, bundle in bundles.items()}
    schema = ", ".join(["_place bigint", *(f"`{name}` {_type(bundle)}" for name, bundle in bundles.items())])
    sent = wanted.mapInArrow(_scoring_in_place(carried, dict(rows.begins), dict(rows.types)), schema).toArrow()
    order = np.argsort(sent.column("_place").to_numpy(), kind="stable")
    return {name: _array(sent.column(name), bundle)[order] for name, bundle in bundles.items()}


def features_of(bundles: Any) -> list[str]:
    """The features that any of the bundles reads."""
    return list(dict.fromkeys(name for bundle in bundles for name in bundle.manifest.feature_names))


def _type(bundle: Bundle) -> str:
    return "array<double>" if bundle.manifest.task == "multiclass" else "double"


def _array(column: pa.ChunkedArray, bundle: Bundle) -> Floats:
    if bundle.manifest.task != "multiclass":
        return np.asarray(column.to_numpy(), dtype=np.float64)
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float64).reshape(-1, len(bundle.manifest.classes))


def _scoring(
    carried: dict[str, CarriedBundle], kept: list[str]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            columns = [batch.column(name) for name in kept] + _scores(in_types(batch, {}), carried)
            yield pa.RecordBatch.from_arrays(columns, names=[*kept, *carried])

    return score


def _scoring_in_place(
    carried: dict[str, CarriedBundle], begins: dict[tuple[str, int], int], types: dict[str, pl.DataType]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for places, batch in placed_batches(batches, begins):
            yield pa.RecordBatch.from_arrays(
                [pa.array(places), *_scores(in_types(batch, types), carried)], names=["_place", *carried]
            )

    return score


def _scores(rows: pl.DataFrame, carried: Mapping[str, CarriedBundle]) -> list[pa.Array]:
    import pyarrow as pa

    found = []
    for one in carried.values():
        scores = one.load().score(rows)
        if scores.ndim == 1:
            found.append(pa.array(scores))
        else:
            offsets = np.arange(0, scores.size + 1, scores.shape[1], dtype=np.int32)
            found.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(scores.ravel())))
    return found
