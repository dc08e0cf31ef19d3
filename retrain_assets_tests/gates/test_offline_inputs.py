"""Gate OFFLINE on input nobody can judge: an error, no data or a refusal, in words, and never a pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome
from retrain_assets.gates import evaluate, offline_checks, offline_gate
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.offline_rows import Scored, Scores, judge


@pytest.fixture(scope="module")
def scored() -> Scored:
    return Scored()


def spoiled(scores: Scores, value: float) -> Scores:
    return np.concatenate([[value], scores[1:]])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.2, -0.1])
@pytest.mark.parametrize("who", ["candidate", "champion"])
def test_scores_that_are_no_probabilities_are_an_error_of_every_check(
    scored: Scored, contract: Contract, value: float, who: str
) -> None:
    pair = {"candidate": scored.chance, "champion": scored.blurred(0.8)}
    pair[who] = spoiled(pair[who], value)
    verdicts = judge(scored, contract, **pair)
    assert [each.check for each in verdicts] == list(offline_checks(contract))
    assert {each.outcome for each in verdicts} == {Outcome.ERROR}
    assert who in verdicts[0].message


def test_labels_that_are_no_classes_are_an_error_unless_the_classes_are_named(scored: Scored, contract: Contract) -> None:
    words = scored.frame.with_columns(late=pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")))
    unnamed = evaluate(words, scored.chance, None, contract=contract, seed=1)
    assert {each.outcome for each in offline_gate(unnamed, contract)} == {Outcome.ERROR}
    named = evaluate(words, scored.chance, None, contract=contract, seed=1, classes=["no", "yes"])
    assert named.metric("roc_auc") == evaluate(scored.frame, scored.chance, None, contract=contract, seed=1).metric("roc_auc")


def test_no_labelled_row_is_no_data_everywhere(scored: Scored, contract: Contract) -> None:
    blank = scored.frame.with_columns(late=pl.lit(None, dtype=pl.Boolean))
    verdicts = offline_gate(evaluate(blank, scored.chance, scored.chance, contract=contract, seed=1), contract)
    assert {each.outcome for each in verdicts} == {Outcome.NO_DATA}


def test_rows_without_label_are_left_out_and_counted(scored: Scored, contract: Contract) -> None:
    waiting = scored.frame.with_columns(late=pl.when(pl.int_range(pl.len()) >= 100).then("late"))
    found = evaluate(waiting, scored.chance, None, contract=contract, seed=1)
    assert (found.rows, found.rows_without_label) == (3900, 100)
    assert found.metric("roc_auc") == evaluate(scored.frame[100:], scored.chance[100:], None, contract=contract, seed=1).metric(
        "roc_auc"
    )


def test_one_class_alone_leaves_ranking_undefined_and_closed(scored: Scored, contract: Contract) -> None:
    late = scored.frame.with_columns(late=pl.lit(True))
    verdicts = offline_gate(evaluate(late, scored.chance, scored.chance, contract=contract, seed=1), contract)
    assert verdict(verdicts, "meets_roc_auc").outcome is Outcome.NO_DATA
    assert verdict(verdicts, "not_worse_roc_auc").outcome is Outcome.NO_DATA
    assert verdict(verdicts, "slices_hold").outcome is Outcome.NO_DATA


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros(5000)])
def test_another_number_of_scores_than_rows_is_refused(scored: Scored, contract: Contract, scores: Scores) -> None:
    with pytest.raises(ValueError, match="for 4,000 hold-out rows"):
        evaluate(scored.frame, scores, None, contract=contract, seed=1)


def test_a_holdout_without_label_is_refused(scored: Scored, contract: Contract) -> None:
    with pytest.raises(ValueError, match="no column late"):
        evaluate(scored.frame.drop("late"), scored.chance, None, contract=contract, seed=1)


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["0", "1"]), pl.Decimal(10, 2), pl.Float32, pl.Int8])
def test_labels_of_any_type_are_read_as_classes(scored: Scored, contract: Contract, kind: Any) -> None:
    text = kind in (pl.Categorical, pl.Enum(["0", "1"]))
    numbers = pl.Series("late", scored.late.astype(int))
    frame = scored.frame.with_columns((numbers.cast(pl.String) if text else numbers).cast(kind))
    found = evaluate(frame, scored.chance, None, contract=contract, seed=1, classes=["0", "1"] if text else None)
    assert found.problems == {}
    assert found.metric("roc_auc") == evaluate(scored.frame, scored.chance, None, contract=contract, seed=1).metric("roc_auc")


@pytest.mark.parametrize(("column", "values"), [("late", [[1]]), ("parcel", [object()]), ("late", [b"1"])])
def test_labels_and_units_that_cannot_be_told_apart_are_an_error_and_no_traceback(
    scored: Scored, contract: Contract, column: str, values: list[Any]
) -> None:
    dtype = pl.Object if column == "parcel" else None
    frame = scored.frame.with_columns(pl.Series(column, values * scored.frame.height, dtype=dtype))
    verdicts = offline_gate(evaluate(frame, scored.chance, None, contract=contract, seed=1), contract)
    assert {each.outcome for each in verdicts} == {Outcome.ERROR}


def test_units_without_a_name_are_one_unit(scored: Scored, contract: Contract) -> None:
    frame = scored.frame.with_columns(parcel=pl.when(pl.int_range(pl.len()) < 2000).then("parcel"))
    champion = scored.blurred(0.8)
    named, unnamed = (
        evaluate(one, scored.chance, champion, contract=contract, seed=1).metric("log_loss") for one in (scored.frame, frame)
    )
    assert named is not None
    assert unnamed is not None
    assert unnamed.improvement.estimate == named.improvement.estimate
    assert unnamed.improvement != named.improvement


def test_a_champion_with_scores_of_another_shape_is_an_error(scored: Scored, contract: Contract) -> None:
    verdicts = offline_gate(evaluate(scored.frame, scored.chance, scored.chance[:, None], contract=contract, seed=1), contract)
    assert {each.outcome for each in verdicts} == {Outcome.ERROR}


def test_a_model_that_is_sure_of_every_class_is_an_error(contract_with: Callable[[dict[str, Any]], Contract]) -> None:
    offline = {"metrics": {"log_loss": {"max": 1.0, "min_improvement": 0.0}}, "calibration": None}
    contract = contract_with({"task": "multiclass", "decision": None, "gates.offline": offline})
    labels = np.arange(300) % 3
    rows = pl.DataFrame({"parcel": [str(k) for k in range(300)], "late": labels})
    fair = np.full((300, 3), 1 / 3)
    found = offline_gate(evaluate(rows, np.ones((300, 3)), fair, contract=contract, seed=1), contract)
    assert {each.outcome for each in found} == {Outcome.ERROR}
    assert "candidate's probabilities of the classes do not sum to 1 in 300 rows" in found[0].message
    assert not evaluate(rows, fair.astype(np.float32), fair, contract=contract, seed=1).problems


@pytest.mark.parametrize("metric", ["mean_squared_error", "mean_absolute_error", "r2"])
def test_predictions_whose_squares_overflow_are_an_error_and_no_slice_passes(
    contract_with: Callable[[dict[str, Any]], Contract], metric: str
) -> None:
    limits = {"columns": ["region"], "metric": metric, "max_regression": 0.1, "min_support": 20}
    offline = {"metrics": {metric: {"max_regression": 0.1}}, "slices": limits}
    contract = contract_with({"task": "regression", "decision": None, "gates.offline": offline})
    labels = np.random.default_rng(1).normal(0, 1, 300)
    rows = pl.DataFrame({"parcel": [str(k) for k in range(300)], "late": labels, "region": np.resize(["a", "b"], 300)})
    for scale, outcomes in ((1e200, {Outcome.ERROR}), (1e90, {Outcome.FAIL})):
        found = offline_gate(evaluate(rows, labels * scale, labels, contract=contract, seed=1), contract)
        assert {each.outcome for each in found} == outcomes
        assert all(np.isfinite(row["worse_by"]) for row in found[-1].evidence.get("slices", []))
