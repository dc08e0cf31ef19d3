"""Gate DATA on the source rows: is this data fit to train on, and to judge on? Leakage by features is in gates/features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict, first_line
from retrain_assets.gates.data.availability import columns_are_known_in_time
from retrain_assets.gates.data.categories import categories_are_known
from retrain_assets.gates.data.history import EarlierDataset
from retrain_assets.gates.data.keys import groups_are_separate, keys_are_unique
from retrain_assets.gates.data.labels import both_classes_present, label_balance_is_steady, labels_arrive
from retrain_assets.gates.data.missing import missingness_is_steady, missingness_within_limits
from retrain_assets.gates.data.rows import SourceRows
from retrain_assets.gates.data.schema import schema_holds
from retrain_assets.gates.data.timing import fresh_enough, labels_are_mature, source_keeps_its_cadence, time_order_holds
from retrain_assets.gates.data.volume import days_are_complete, enough_rows, volume_is_steady
from retrain_assets.gates.limits import listed
from retrain_assets.gates.redaction import scrubbed

if TYPE_CHECKING:
    import pandera.polars

DATA_CHECKS = (
    "schema_holds",
    "fresh_enough",
    "source_keeps_its_cadence",
    "enough_rows",
    "volume_is_steady",
    "days_are_complete",
    "missingness_within_limits",
    "missingness_is_steady",
    "categories_are_known",
    "both_classes_present",
    "label_balance_is_steady",
    "labels_arrive",
    "labels_are_mature",
    "columns_are_known_in_time",
    "keys_are_unique",
    "time_order_holds",
)
"""The checks that :func:`data_gate` gives for every contract, in this order."""

GROUP_CHECKS = ("groups_are_separate",)
"""The checks it gives besides where the contract sets ``source.group``."""

SOURCE_CHECKS = (
    "fresh_enough",
    "source_keeps_its_cadence",
    "volume_is_steady",
    "days_are_complete",
    "labels_arrive",
)
"""The checks that judge rows without a label too, and so need no labelled ones."""


def data_checks(contract: Contract) -> tuple[str, ...]:
    """The checks :func:`data_gate` gives for this contract, in this order, always all of them."""
    return DATA_CHECKS + (GROUP_CHECKS if contract.source.group is not None else ())


def data_gate(
    rows: SourceRows, *, schema: type[pandera.polars.DataFrameModel], history: Sequence[EarlierDataset] = ()
) -> list[Verdict]:
    """Judge the rows of one retrain.

    Args:
        rows: both windows, what was left out of them, contract and cut-off.
        schema: pandera model of one source row.
        history: earlier retrains of this model that passed gate data, in any order; empty when there are none.

    Returns:
        One verdict per name in :func:`data_checks`. A check that needs a column which is not there, or has a type it
        cannot use, is ``error``; one that needs rows and has none is ``no_data``.
    """
    judges: dict[str, Callable[[], Verdict]] = {
        "schema_holds": lambda: schema_holds(rows, schema),
        "fresh_enough": lambda: fresh_enough(rows),
        "source_keeps_its_cadence": lambda: source_keeps_its_cadence(rows),
        "enough_rows": lambda: enough_rows(rows),
        "volume_is_steady": lambda: volume_is_steady(rows, history),
        "days_are_complete": lambda: days_are_complete(rows),
        "missingness_within_limits": lambda: missingness_within_limits(rows),
        "missingness_is_steady": lambda: missingness_is_steady(rows, history),
        "categories_are_known": lambda: categories_are_known(rows),
        "both_classes_present": lambda: both_classes_present(rows),
        "label_balance_is_steady": lambda: label_balance_is_steady(rows, history),
        "labels_arrive": lambda: labels_arrive(rows),
        "labels_are_mature": lambda: labels_are_mature(rows),
        "columns_are_known_in_time": lambda: columns_are_known_in_time(rows),
        "keys_are_unique": lambda: keys_are_unique(rows),
        "time_order_holds": lambda: time_order_holds(rows),
        "groups_are_separate": lambda: groups_are_separate(rows),
    }
    return [_judged(check, judges[check], rows) for check in data_checks(rows.contract)]


def _judged(check: str, judge: Callable[[], Verdict], rows: SourceRows) -> Verdict:
    if (unusable := _unusable(check, rows)) is not None:
        return unusable
    try:
        return judge()
    except pl.exceptions.PolarsError as fault:
        reason = first_line(fault)
        for frame in rows.windows.values():
            reason = scrubbed(reason, frame, rows.contract.source)
        return Verdict(Gate.DATA, check, Outcome.ERROR, f"the rows cannot be judged: {reason}; correct the type in the source")


def _unusable(check: str, rows: SourceRows) -> Verdict | None:
    columns = _needs(rows.contract).get(check, ())
    absent = sorted(
        {f"{column} ({name})" for column in columns for name, frame in rows.windows.items() if column not in frame.columns}
    )
    if absent:
        message = f"needs columns the rows do not have: {listed(absent)}; correct the source or contract"
        return Verdict(Gate.DATA, check, Outcome.ERROR, message)
    event_time = rows.contract.source.event_time
    if event_time in columns:
        for name, frame in rows.windows.items():
            if not isinstance(dtype := frame.schema[event_time], pl.Datetime | pl.Date):
                message = f"{event_time} in {name} is {dtype}, not a time; read it as a datetime"
                return Verdict(Gate.DATA, check, Outcome.ERROR, message)
    if check in SOURCE_CHECKS and not rows.train_times.len() and not rows.holdout_times.len():
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "the source has no rows with a time from the start of training on")
    if check not in (*SOURCE_CHECKS, "schema_holds", "enough_rows") and all(frame.is_empty() for frame in rows.windows.values()):
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "there are no labelled rows in either window")
    return None


def _needs(contract: Contract) -> Mapping[str, Sequence[str]]:
    source = contract.source
    return {
        "fresh_enough": (source.event_time,),
        "source_keeps_its_cadence": (source.event_time,),
        "enough_rows": (source.label,),
        "volume_is_steady": (source.event_time,),
        "days_are_complete": (source.event_time,),
        "missingness_within_limits": tuple(contract.gates.data.max_missing),
        "missingness_is_steady": (source.event_time,),
        "categories_are_known": (source.event_time,),
        "both_classes_present": (source.label,),
        "label_balance_is_steady": (source.label,),
        "labels_arrive": (source.event_time, source.label),
        "labels_are_mature": (source.event_time, source.label),
        "columns_are_known_in_time": (source.label,),
        "keys_are_unique": (source.unit, source.event_time, *source.key),
        "time_order_holds": (source.event_time,),
        "groups_are_separate": (source.group or "",),
    }
