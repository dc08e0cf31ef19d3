"""What a model is trained on: source, window, features, trainer, decision rule."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import ColumnName, Columns, Duration, Period, PythonPath, TableName


class Source(Part):
    """Where the rows come from and what each column means in time."""

    uri: str | None = Field(
        default=None,
        description="Parquet file or glob, or folder of a Delta table; environment variables and ${RETRAIN_HOME} are expanded.",
    )
    format: Literal["parquet", "delta"] = Field(default="parquet", description="What the URI names.")
    table: TableName | None = Field(
        default=None, description="Delta table of Unity Catalog, CATALOG.SCHEMA.TABLE; instead of uri."
    )
    version: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Version of the Delta table that is read; None: the newest when the data set is taken."
    )
    event_time: ColumnName = Field(description="Column with the moment a prediction is made for the row (UTC).")
    unit: ColumnName = Field(description="Column with the unit that is randomised and stays sticky.")
    label: ColumnName = Field(description="Column with the label; null where it is not known.")
    label_delay: Duration = Field(description="How long after the event the label is known.")
    schema_: PythonPath = Field(
        alias="schema", description="pandera DataFrameModel (polars) of one source row, e.g. .schema.Flights."
    )
    group: ColumnName | None = Field(
        default=None,
        description="Column whose values must not stand on both sides of the split (a patient, a household); hold-out rows of a "
        "group that training has are left out. None: units may return.",
    )
    key: Columns = Field(
        default_factory=list,
        description="Columns that with unit and event time make a row unique, such as the product where a shop "
        "has a row per product and day. Empty: unit and event time are enough.",
    )
    known_after_prediction: Columns = Field(
        default_factory=list,
        description="Columns whose value is not known when the prediction is made; no feature may depend on them.",
    )

    @property
    def is_delta(self) -> bool:
        """Whether the source is a Delta table, whose versions can be read again."""
        return self.table is not None or self.format == "delta"

    @property
    def place(self) -> str:
        """What the rows are read from, as the contract names it."""
        return self.table or self.uri or ""

    @rule
    def _is_in_one_place(self) -> Source:
        if (self.uri is None) == (self.table is None):
            raise ValueError("source: write either uri or table")
        if self.version is not None and not self.is_delta:
            raise ValueError("source.version is for Delta tables; write format: delta, or remove it")
        return self

    @rule
    def _roles_differ(self) -> Source:
        if len({self.event_time, self.unit, self.label}) < 3:
            raise ValueError("source: event_time, unit and label must name three different columns")
        if both := {self.event_time, self.unit} & set(self.known_after_prediction):
            raise ValueError(f"source: {', '.join(sorted(both))} is known when the prediction is made; take it off the list")
        return self


class Window(Part):
    """How much history a retrain uses; the split is by time, never random."""

    train: Period = Field(description="Length of the training window.")
    holdout: Period = Field(description="Length of the held-out window directly after it.")
    backtests: Annotated[int, Field(ge=1, le=24)] = Field(
        default=4, description="Rolling-origin back-tests inside the training window, each as long as the hold-out."
    )

    @rule
    def _train_is_longer(self) -> Window:
        if self.train <= self.holdout * self.backtests:
            raise ValueError(
                "window: train must be longer than holdout x backtests, so that every back-test has rows to fit on; "
                "lengthen train or lower backtests"
            )
        return self


class Trainer(Part):
    """The estimator and everything that makes its fit repeatable."""

    estimator: str = Field(
        description="Import path of a scikit-learn style estimator, e.g. lightgbm.LGBMClassifier or .trainers.Network."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments of the estimator.")
    calibration: Literal["none", "isotonic", "sigmoid"] = Field(
        default="none", description="Calibration of the score, fitted out of fold inside the training window."
    )
    seed: int = Field(default=7, description="Seed of the estimator and of every resampling.")


class DecisionRule(Part):
    """Post-processing: from a calibrated score to the decision that the customer sees."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="The positive decision is taken when the score is at or above this."
    )
