"""A team's own offline metric: its function called on labelled rows with one model's scores, and what it may answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from retrain_assets.gates.own_verdicts import place_of, place_of_fault

Array = np.ndarray


class MetricFault(Exception):
    """The function of an own metric raised, or answered what is no metric; the message names function and line."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Labelled rows that metrics are taken on.

    Args:
        labels: one a row, as :func:`retrain_assets.gates.offline.metrics.metric_value` takes them.
        frame: the rows with their columns.
        task: as in the contract.
        threshold: of the positive decision (binary).
    """

    labels: Array
    frame: pl.DataFrame
    task: str
    threshold: float

    def take(self, rows: Array) -> LabelledRows:
        """Some of the rows, some perhaps more than once."""
        return LabelledRows(self.labels[rows], self.frame[rows] if self.frame.width else self.frame, self.task, self.threshold)

    @cached_property
    def shown(self) -> nw.DataFrame[pl.DataFrame]:
        """The frame as functions take it."""
        return nw.from_native(self.frame, eager_only=True)

    def decisions(self, scores: Array) -> Array | None:
        """What is decided: true or false, the number of the class, or nothing (regression)."""
        if self.task == "regression":
            return None
        return np.asarray(scores >= self.threshold if scores.ndim == 1 else scores.argmax(axis=1))


@dataclass(frozen=True, eq=False)
class OwnMeasure:
    """One own metric, ready to be called.

    Args:
        name: as in ``gates.offline.metrics``.
        function: takes some of ``labels``, ``scores``, ``decisions`` and ``rows`` by name, and its parameters.
        takes: which of these.
        parameters: further keyword arguments.
        lower_is_better: whether a smaller value is better.
        scrub: takes what may have been copied from rows out of the message of an error.
    """

    name: str
    function: Callable[..., Any]
    takes: frozenset[str]
    parameters: Mapping[str, Any]
    lower_is_better: bool
    scrub: Callable[[str], str] = str

    def of(self, rows: LabelledRows, scores: Array) -> float | Array | None:
        """The metric of one model: a number, None where it is undefined, or one number a row, whose mean it is.

        Raises:
            MetricFault: when the function raises or answers something else, or a number a row that is not finite.
        """
        given = {"labels": rows.labels, "scores": scores}
        given = {name: _unwritable(given[name]) for name in given if name in self.takes}
        if "decisions" in self.takes:
            given["decisions"] = rows.decisions(scores)  # type: ignore[assignment]
        if "rows" in self.takes:
            given["rows"] = rows.shown  # type: ignore[assignment]
        try:
            said = self.function(**given, **self.parameters)
        except Exception as error:
            place = place_of_fault(self.function, error)
            raise MetricFault(f"{place} raised {type(error).__name__}: {self.scrub(str(error))}".rstrip(": ")) from error
        return self._number(said, len(rows.labels))

    def value(self, rows: LabelledRows, scores: Array) -> float | None:
        """The metric as one number, None where it is undefined.

        Raises:
            MetricFault: as :meth:`of`, and for a number that is not finite.
        """
        found = self.of(rows, scores) if len(rows.labels) else None
        if isinstance(found, np.ndarray):
            return float(found.mean())
        if found is not None and not math.isfinite(found):
            raise MetricFault(f"{place_of(self.function)} returned {found}; return None where the metric is undefined")
        return found

    def _number(self, said: Any, rows: int) -> float | Array | None:
        if said is None:
            return None
        if isinstance(said, nw.Series | pl.Series):
            said = said.to_numpy()
        if isinstance(said, np.ndarray) and said.ndim:
            if said.shape != (rows,) or said.dtype.kind not in "biuf":
                what = f"an array of {said.dtype} of shape {said.shape}"
                raise MetricFault(
                    f"{place_of(self.function)} returned {what}; return one number, or one number for each of {rows} rows"
                )
            if broken := int((~np.isfinite(said.astype(float))).sum()):
                raise MetricFault(f"{place_of(self.function)} returned no finite number for {broken} of {rows} rows")
            return said.astype(float)
        said = said.item() if isinstance(said, np.generic | np.ndarray) else said
        if isinstance(said, bool) or not isinstance(said, int | float):
            raise MetricFault(
                f"{place_of(self.function)} returned {type(said).__name__}; return one number, or one number for each row"
            )
        return float(said)


def _unwritable(values: Array) -> Array:
    """The same numbers, which a function cannot change."""
    shown = values.view()
    shown.flags.writeable = False
    return shown
