"""Twenty seeded schemas with rows that are as nasty as sources get, for both engines to agree on. No real row is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import narwhals as nw
import numpy as np
import pandera.polars as pa
import polars as pl

from retrain_assets_tests.compute.parcels import contract_values

SEEDS = tuple(range(20))
CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
DAYS, A_DAY = 30, 20
HERE = "retrain_assets_tests.compute.spark.schemas"
TASKS = ("binary_classification", "regression", "multiclass")

_PLAIN: dict[Any, type[pl.DataType]] = {str: pl.String, float: pl.Float64, int: pl.Int64, bool: pl.Boolean}

Values = Callable[[np.random.Generator, int], list[Any]]


@dataclass(frozen=True)
class Kind:
    """One kind of column: its type as a schema writes it, a maker of values, and whether a feature can be of it."""

    annotation: Any
    values: Values
    feature: bool = True

    @property
    def dtype(self) -> pl.DataType:
        kind, *arguments = get_args(self.annotation) if get_origin(self.annotation) is Annotated else (self.annotation,)
        made: pl.DataType = _PLAIN[kind]() if kind in _PLAIN else kind(*arguments)
        return made


def _integers(low: int, high: int) -> Values:
    drawn = np.uint64 if low >= 0 else np.int64
    return lambda rng, n: [int(value) for value in rng.integers(low, high, n, endpoint=True, dtype=drawn)]


def _of(*values: Any) -> Values:
    return lambda rng, n: [values[at] for at in rng.integers(0, len(values), n)]


def _reals(rng: np.random.Generator, n: int) -> list[float]:
    values = rng.normal(size=n) * 10.0 ** rng.integers(-6, 7, n)
    nasty = np.array([np.nan, -0.0, 0.0, 5e-324, 1e-300])
    return [float(value) for value in np.where(rng.random(n) < 0.2, nasty[rng.integers(0, len(nasty), n)], values)]


def _money(rng: np.random.Generator, n: int) -> list[Decimal]:
    return [Decimal(int(value)).scaleb(-2) for value in rng.integers(-10_000, 10_000, n)]


def _moments(first: datetime) -> Values:
    return lambda rng, n: [first + timedelta(milliseconds=int(value)) for value in rng.integers(0, 10**11, n)]


_TEXTS = ("", "a", "A", "ä", "z", "Zürich", "東京", "😀", "￿", "tab\there", "line\nbreak", "NaN", "null", " padded ", "é", "é")

KINDS: dict[str, Kind] = {
    "real": Kind(float, _reals),
    "single": Kind(pl.Float32, lambda rng, n: [float(np.float32(value)) for value in rng.normal(size=n)]),
    "signed_zero": Kind(float, _of(0.0, -0.0, 1.0, float("nan"))),
    "whole": Kind(int, _integers(-(2**62), 2**62)),
    "tiny": Kind(pl.Int8, _integers(-128, 127)),
    "small": Kind(pl.Int16, _integers(-30_000, 30_000)),
    "medium": Kind(pl.Int32, _integers(-(2**31), 2**31 - 1)),
    "byte": Kind(pl.UInt8, _integers(0, 255)),
    "port": Kind(pl.UInt16, _integers(0, 65_535)),
    "crc": Kind(pl.UInt32, _integers(0, 2**32 - 1)),
    "hash": Kind(pl.UInt64, _integers(0, 2**64 - 1)),
    "flag": Kind(bool, _of(True, False)),
    "text": Kind(str, _of(*_TEXTS)),
    "depot": Kind(str, _of("north", "south", "harbour")),
    "constant": Kind(float, _of(7.5)),
    "absent": Kind(float, _of(None)),
    "amount": Kind(Annotated[pl.Decimal, 12, 2], _money),
    "day": Kind(pl.Date, _of(date(1, 1, 1), date(1500, 2, 28), date(1969, 12, 31), date(1970, 1, 1), date(2024, 2, 29)), False),
    "seen_at": Kind(Annotated[pl.Datetime, "us", "UTC"], _moments(datetime(1965, 1, 1, tzinfo=UTC)), False),
    "heard_at": Kind(Annotated[pl.Datetime, "ms", "UTC"], _moments(datetime(2024, 3, 9, tzinfo=UTC)), False),
    "local_at": Kind(Annotated[pl.Datetime, "us", None], _moments(datetime(2024, 3, 9, tzinfo=UTC)), False),
    "berlin_at": Kind(Annotated[pl.Datetime, "us", "Europe/Berlin"], _moments(datetime(2023, 10, 28, tzinfo=UTC)), False),
    "raw": Kind(pl.Binary, _of(b"", b"a", b"\x00", b"\xff\x00", b"\x80"), False),
    "length": Kind(Annotated[pl.Duration, "us"], _of(timedelta(0), timedelta(days=-1), timedelta(microseconds=1)), False),
}
"""Every kind of column a generated schema may have; the columns are called after them."""

_LABELS: dict[str, Kind] = {
    "binary_classification": Kind(pl.Int8, _of(0, 1)),
    "regression": Kind(float, lambda rng, n: [float(value) for value in rng.normal(size=n)]),
    "multiclass": Kind(str, _of("red", "grün", "blue")),
}

_METRICS = {"binary_classification": "log_loss", "regression": "mean_squared_error", "multiclass": "log_loss"}


@dataclass(frozen=True)
class Generated:
    """One schema and its rows: ``at`` (event time), ``unit``, ``label`` and three to ten columns of other kinds.

    Rows are in no order; some share event time and unit; every other column has nulls.
    """

    seed: int
    task: str
    kinds: dict[str, Kind]
    rows: pl.DataFrame

    @property
    def schema(self) -> str:
        """Import path of the pandera model."""
        return f"{HERE}.Schema{self.seed:02}"

    @property
    def features(self) -> list[str]:
        """The columns that can be features: numbers, booleans and strings."""
        return [name for name, kind in self.kinds.items() if kind.feature]

    def write(self, folder: Path) -> Path:
        """The rows as three Parquet files of unequal size below a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for at, (start, rows) in enumerate(((0, 7), (7, 250), (257, None))):
            self.rows.slice(start, rows).write_parquet(folder / f"{at}.parquet", row_group_size=100)
        return folder

    def contract(self, folder: Path) -> dict[str, Any]:
        """A contract whose source is the written rows."""
        source = {
            "uri": f"{folder}/*.parquet",
            "event_time": "at",
            "unit": "unit",
            "label": "label",
            "label_delay": "1d",
            "schema": self.schema,
        }
        return contract_values(
            folder,
            model=f"generated_{self.seed}",
            task=self.task,
            source=source,
            window={"train": "20d", "holdout": "6d", "backtests": 2},
            features=f"{HERE}.build",
            gates={"data": {"min_rows": 1, "max_age": "3d"}, "offline": {"metrics": {_METRICS[self.task]: {"max": 100.0}}}},
            cadence={"min_interval": "7d"},
        ) | ({} if self.task != "regression" else {"decision": None})


@cache
def generated(seed: int) -> Generated:
    """The schema of a seed with its 600 rows of the 30 days before :data:`CUTOFF`; the same in every process."""
    rng = np.random.default_rng(7_000 + seed)
    names = [str(name) for name in rng.permutation(list(KINDS))[: rng.integers(3, 11)]]
    for always in ("real", "depot"):
        names += [] if always in names else [always]
    kinds, task, n = {name: KINDS[name] for name in names}, TASKS[seed % 3], DAYS * A_DAY
    start = CUTOFF - timedelta(days=DAYS)
    at = [start + timedelta(minutes=int(minute) * 30) for minute in rng.integers(0, DAYS * 48, n)]
    units = [f"u{unit:03}{'ö' * (unit % 3)}" for unit in rng.integers(0, 150, n)]
    columns = {
        "unit": pl.Series(units),
        "at": pl.Series(at, dtype=pl.Datetime("us", "UTC")),
        **{name: _series(kind, rng, n) for name, kind in kinds.items()},
        "label": _series(_LABELS[task], rng, n, 0.03),
    }
    return Generated(seed, task, kinds, pl.DataFrame(columns))


def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Features of any generated schema: the columns that can be one, and what can be said row by row of some."""
    known = rows.collect_schema()
    kept = [name for name in known.names() if name in KINDS and KINDS[name].feature]
    return rows.select(
        "unit",
        *kept,
        north=nw.col("depot") == "north",
        scaled=nw.when(nw.col("real").is_finite()).then(nw.col("real") * 3.0 + 0.1),
        hour=nw.col("at").dt.hour().cast(nw.Float64),
    )


def _series(kind: Kind, rng: np.random.Generator, n: int, nulls: float = 0.08) -> pl.Series:
    values = [None if gone else value for value, gone in zip(kind.values(rng, n), rng.random(n) < nulls, strict=True)]
    if isinstance(kind.dtype, pl.Datetime):
        moments, zone = pl.Series(values, dtype=pl.Datetime("us", "UTC")), kind.dtype.time_zone
        return (moments.dt.convert_time_zone(zone) if zone else moments.dt.replace_time_zone(None)).cast(kind.dtype)
    return pl.Series(values, dtype=kind.dtype)


def _models() -> Iterator[tuple[str, type[pa.DataFrameModel]]]:
    for seed in SEEDS:
        made = generated(seed)
        kinds = {**made.kinds, "label": _LABELS[made.task]}
        annotations = {"unit": str, "at": Annotated[pl.Datetime, "us", "UTC"]}
        annotations |= {name: kind.annotation for name, kind in kinds.items()}
        name = f"Schema{seed:02}"
        fields = {column: pa.Field(nullable=True) for column in kinds}
        yield name, type(name, (pa.DataFrameModel,), {"__module__": HERE, "__annotations__": annotations, **fields})


globals().update(_models())
