"""Whether source rows are what the team's pandera schema says, with the rows that are not."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from retrain_assets.contract import Gate, Outcome, Source, Verdict
from retrain_assets.gates.data.rows import SourceRows
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed
from retrain_assets.gates.redaction import LONGEST_VALUE, RowWords, scrubbed

if TYPE_CHECKING:
    import pandera.polars
    from pandera.errors import SchemaError


def schema_holds(rows: SourceRows, schema: type[pandera.polars.DataFrameModel]) -> Verdict:
    """Validate the whole snapshot, both windows as one table, and report every broken rule with the rows that break it.

    pandera decides row by row; which rows and how many is read from its masks, not from its own table of failure cases, which
    would turn every failing row into Python objects.

    Args:
        rows: the snapshot.
        schema: pandera model of one source row: types, ranges, categories, nullability, uniqueness, ``dataframe_check``.

    Returns:
        ``pass``; ``fail`` with the broken rules (worst first, counted in full) and at most 20 failing rows, in which every shown
        rule has its share; ``error`` when the schema cannot be used, or its own checks raised and nothing else was
        found; ``no_data`` when every window is empty.
    """
    from pandera.errors import SchemaDefinitionError, SchemaInitError

    check, name = "schema_holds", schema.__name__
    snapshot = _snapshot(rows)
    if snapshot.is_empty():
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "there are no rows to validate", threshold=name)
    try:
        broken = _without_time(rows, schema) + _broken_rules(snapshot, schema, rows.contract.source)
    except (
        SchemaDefinitionError,
        SchemaInitError,
        NotImplementedError,
        TypeError,
        ValueError,
        pl.exceptions.PolarsError,
    ) as fault:
        message = f"schema {name} cannot be used: {scrubbed(str(fault), snapshot, rows.contract.source)}"
        return Verdict(Gate.DATA, check, Outcome.ERROR, message, threshold=name)
    if not broken:
        message = f"{counted(snapshot.height, 'row')} are as schema {name} says"
        return Verdict(Gate.DATA, check, Outcome.PASS, message, observed=0, threshold=name)
    failing = _failing_rows(broken, snapshot.height)
    evidence = {
        "broken_rules": [rule.to_json(rows.train.height) for rule in broken[:TABLE_ROWS]],
        "broken_rules_total": len(broken),
        "failing_rows": _examples(broken, snapshot, rows),
        "failing_rows_total": failing,
        "rows": snapshot.height,
    }
    if all(rule.raised for rule in broken):
        message = f"schema {name} could not be evaluated: {listed([f'{rule.title}: {rule.value}' for rule in broken], most=3)}"
        return Verdict(Gate.DATA, check, Outcome.ERROR, message, len(broken), name, evidence)
    titles = [f"{rule.title} ({counted(rule.rows, 'row') if rule.mask is not None else rule.value})" for rule in broken]
    share = f"{failing:,} of {counted(snapshot.height, 'row')} break" if failing else "the table breaks"
    message = f"{share} {counted(len(broken), 'rule')} of schema {name}: {listed(titles, most=3)}"
    return Verdict(Gate.DATA, check, Outcome.FAIL, message, failing or len(broken), name, evidence)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A broken rule: ``mask`` is true where a row breaks it, None when the table as a whole does; then ``value`` says how."""

    column: str
    check: str
    mask: pl.Series | None
    value: str
    raised: bool
    rows: int

    @property
    def title(self) -> str:
        return f"{self.column}: {self.check}"

    def to_json(self, train_rows: int) -> dict[str, Any]:
        in_train = 0 if self.mask is None else int(self.mask.head(train_rows).sum())
        found = {"column": self.column, "rule": self.check, "found": self.value or "rows"}
        return found | {"rows": self.rows, "train_rows": in_train, "holdout_rows": self.rows - in_train}


def _snapshot(rows: SourceRows) -> pl.DataFrame:
    """Training and hold-out as one table; windows whose columns differ keep every column of both."""
    frames = [frame for frame in rows.windows.values() if frame.height] or [rows.train]
    same = all(frame.schema == frames[0].schema for frame in frames)
    return pl.concat(frames, how="vertical" if same else "diagonal_relaxed")


def _broken_rules(snapshot: pl.DataFrame, schema: type[pandera.polars.DataFrameModel], source: Source) -> list[_Rule]:
    """Broken rules: of the table as a whole first, then by rows, most first."""
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            _few_cases(schema).validate(snapshot, lazy=True)
        except SchemaErrors as problems:
            rules = [_rule(problem, snapshot, source) for problem in problems.schema_errors]
            return sorted(rules, key=lambda rule: (rule.mask is not None, -rule.rows, rule.title))
    return []


def _without_time(rows: SourceRows, schema: type[pandera.polars.DataFrameModel]) -> list[_Rule]:
    """Rows without an event time are in no window, and a fault of the source where the schema does not allow them."""
    column = schema.to_schema().columns.get(rows.contract.source.event_time)
    if not rows.left_out.without_time or column is None or column.nullable:
        return []
    value = f"{counted(rows.left_out.without_time, 'row')} of the source have none"
    return [_Rule(rows.contract.source.event_time, "not_nullable", None, value, False, 0)]


def _few_cases(schema: type[pandera.polars.DataFrameModel]) -> Any:
    """The schema with checks that keep few failure cases each; the model's own is shared and stays as it is."""
    limited = copy.copy(schema.to_schema())
    limited.checks = [_few(check) for check in limited.checks]
    limited.columns = {name: copy.copy(column) for name, column in limited.columns.items()}
    for column in limited.columns.values():
        column.checks = [_few(check) for check in column.checks]
    return limited


def _few(check: Any) -> Any:
    limited = copy.copy(check)
    limited.n_failure_cases = TABLE_ROWS
    return limited


def _rule(problem: SchemaError, snapshot: pl.DataFrame, source: Source) -> _Rule:
    from pandera.constants import CHECK_OUTPUT_KEY

    check = problem.check
    name = check if isinstance(check, str) else getattr(check, "error", None) or getattr(check, "name", None) or str(check)
    column = str(problem.column_name or "row") if problem.schema is not None else "row"
    reason = problem.reason_code.name if problem.reason_code is not None else ""
    output = problem.check_output
    mask: pl.Series | None = None
    if isinstance(output, pl.DataFrame) and output.height == snapshot.height and isinstance(problem.failure_cases, pl.DataFrame):
        mask = ~output[CHECK_OUTPUT_KEY].fill_null(True)
    value = "" if mask is not None else scrubbed(_case(problem.failure_cases, reason), snapshot, source)
    return _Rule(
        column, str(name), mask, value[:LONGEST_VALUE], reason == "CHECK_ERROR", int(mask.sum()) if mask is not None else 0
    )


def _case(failure_cases: Any, reason: str) -> str:
    """What a rule of the table as a whole found, in words; rows it found are counted, not copied."""
    if isinstance(failure_cases, pl.DataFrame):
        return counted(failure_cases.height, "case")
    return str(failure_cases) if failure_cases is not None else reason.lower()


def _failing_rows(broken: list[_Rule], rows: int) -> int:
    masks = [rule.mask for rule in broken if rule.mask is not None]
    if not masks:
        return 0
    together = pl.DataFrame({str(at): mask for at, mask in enumerate(masks)})
    return int(together.select(pl.any_horizontal(pl.all()).sum()).item())


def _examples(broken: list[_Rule], snapshot: pl.DataFrame, rows: SourceRows) -> list[dict[str, Any]]:
    """Failing rows, worst rule first; each of the rules that fit has at least one, then the worst take what is left."""
    shown = [rule for rule in broken if rule.mask is not None][:TABLE_ROWS]
    if not shown:
        return []
    wanted = [min(rule.rows, TABLE_ROWS // len(shown)) for rule in shown]
    left = TABLE_ROWS - sum(wanted)
    for rank, rule in enumerate(shown):
        more = min(left, rule.rows - wanted[rank])
        wanted[rank], left = wanted[rank] + more, left - more
    words = rows.words(snapshot)
    return [row for rule, count in zip(shown, wanted, strict=True) for row in _rows_of(rule, count, snapshot, rows, words)]


def _rows_of(rule: _Rule, wanted: int, snapshot: pl.DataFrame, rows: SourceRows, words: RowWords) -> list[dict[str, Any]]:
    assert rule.mask is not None
    positions = rule.mask.arg_true().head(wanted)
    source = rows.contract.source
    found: list[dict[str, Any]] = []
    for position, row in zip(positions.to_list(), snapshot[positions].to_dicts(), strict=True):
        others = (f"{name}={words.of(row, name)}" for name in row if name not in (source.unit, source.event_time))
        value = words.of(row, rule.column) if rule.column in row else ", ".join(others)
        in_train = position < rows.train.height
        found.append(
            {
                "window": "train" if in_train else "holdout",
                "column": rule.column,
                "rule": rule.check,
                "value": value[:LONGEST_VALUE],
                source.unit: words.of(row, source.unit),
                source.event_time: str(row.get(source.event_time)),
                "row": position if in_train else position - rows.train.height,
            }
        )
    return found
