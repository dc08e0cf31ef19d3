"""A sketch made batch by batch is the sketch of all rows, and how they were batched does not matter."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import StageError
from retrain_assets.drift import Sketch, sketch_batches, sketch_frame

DRAW = np.random.default_rng(5)
FRAME = pl.DataFrame(
    {
        "x": pl.Series(DRAW.normal(size=10_000)).set(pl.Series(DRAW.random(10_000) < 0.1), None),
        "hour": DRAW.integers(0, 24, 10_000),
        "origin": pl.Series(["JFK", "LGA", "EWR", None]).gather(DRAW.integers(0, 4, 10_000)),
    }
)


def cut(size: int) -> list[pl.DataFrame]:
    return [FRAME.slice(begin, size) for begin in range(0, FRAME.height, size)]


def counts(sketch: Sketch) -> dict:
    return {
        name: (one.edges, one.levels, one.counts, one.other, one.missing, one.n, one.minimum, one.maximum, one.fitted_on)
        for name, one in sketch.columns.items()
    }


@pytest.mark.parametrize("size", [1, 777, 10_000])
def test_batches_give_the_sketch_of_the_frame(size) -> None:
    batches = cut(size) if size > 1 else cut(50)
    whole = sketch_frame(FRAME, columns=FRAME.columns)
    assert counts(sketch_batches(batches, columns=FRAME.columns)) == counts(whole)
    assert counts(sketch_batches(iter(batches), columns=FRAME.columns, edges=whole)) == counts(whole)


def test_edges_are_fitted_on_every_kth_row_however_the_rows_are_batched() -> None:
    found = [counts(sketch_batches(cut(size), columns=FRAME.columns, sample_rows=1000)) for size in (97, 2500, 10_000)]
    assert found[0] == found[1] == found[2]
    every_16th = sketch_frame(FRAME.gather_every(16), columns=FRAME.columns)
    assert found[0] == counts(sketch_frame(FRAME, columns=FRAME.columns, edges=every_16th))
    assert found[0]["x"][-1] == 625


def test_empty_batches_count_nothing() -> None:
    found = sketch_batches([FRAME.clear(), FRAME, FRAME.clear()], columns=["hour"])
    assert counts(found) == counts(sketch_frame(FRAME, columns=["hour"]))
    assert sketch_batches([FRAME.clear()], columns=["x"]).rows == 0


def test_what_cannot_be_sketched_in_batches_is_refused() -> None:
    with pytest.raises(StageError, match="read only once"):
        sketch_batches(iter(cut(5000)), columns=["x"])
    with pytest.raises(StageError, match="not even an empty batch"):
        sketch_batches([], columns=["x"])
    with pytest.raises(StageError, match=r"column altitude.*missing"):
        sketch_batches(cut(5000), columns=["altitude"])
