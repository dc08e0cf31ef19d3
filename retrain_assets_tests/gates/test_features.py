"""Gate DATA on features: what knows the future, stands on both sides of the split, or says nothing is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, RetrainError, Verdict, canonical_json
from retrain_assets.gates import FEATURE_CHECKS, availability_probe, features_gate
from retrain_assets.gates.features.separation import SMOOTHING, _target_rates, binary_targets, single_feature_auc
from retrain_assets_tests.gates.conftest import verdict

Windows = tuple[pl.DataFrame, pl.DataFrame]
Judge = Callable[..., list[Verdict]]


def build(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("parcel", "weight", heavy=pl.col("weight") > 5, region="region")


@pytest.fixture
def snapshot(parcels: Windows) -> Windows:
    return tuple(build(rows).with_columns(rows["late"]) for rows in parcels)  # type: ignore[return-value]


@pytest.fixture
def judge(contract: Contract) -> Judge:
    def run(
        train: pl.DataFrame, holdout: pl.DataFrame, *, lookahead: Mapping[str, int] | None = None, **changes: Any
    ) -> list[Verdict]:
        names = [name for name in train.columns if name not in ("parcel", "late")]
        lookahead = dict.fromkeys(names, 0) if lookahead is None else lookahead
        given = {"contract": contract, "unit": "parcel", "label": "late", "lookahead": lookahead, **changes}
        return features_gate(train, holdout, **given)

    return run


def with_feature(windows: Windows, parcels: Windows, **made: pl.Expr) -> list[pl.DataFrame]:
    return [frame.with_columns(rows.select(**made)) for frame, rows in zip(windows, parcels, strict=True)]


def test_sound_features_pass_every_check(judge: Judge, snapshot: Windows) -> None:
    verdicts = judge(*snapshot)
    assert [each.check for each in verdicts] == list(FEATURE_CHECKS)
    assert [each for each in verdicts if not each.passed] == []
    assert canonical_json([each.to_json() for each in verdicts])


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("number", pl.col("delay")),
        ("number, other way round", -pl.col("delay")),
        # late parcels at both ends of the scale, punctual ones in the middle
        ("number, both ends", pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("delay")).otherwise(-pl.col("delay"))),
        ("number, known for late ones only", pl.when(pl.col("delay") > 30).then(pl.lit(1.0))),
        ("text", pl.when(pl.col("delay") > 30).then(pl.lit("refund")).otherwise(pl.lit("none"))),
        ("truth value", pl.col("delay") > 30),
        ("time", pl.datetime(2024, 1, 1) + pl.duration(minutes="delay")),
        ("category", pl.when(pl.col("delay") > 30).then(pl.lit("a")).otherwise(pl.lit("b")).cast(pl.Categorical)),
    ],
)
def test_a_feature_that_gives_the_label_away_fails(
    judge: Judge, snapshot: Windows, parcels: Windows, kind: str, made: pl.Expr
) -> None:
    found = verdict(judge(*with_feature(snapshot, parcels, leak=made)), "no_single_feature_separates_label")
    assert found.outcome is Outcome.FAIL
    assert found.evidence["features"][0]["feature"] == "leak"
    assert found.observed > 0.95
    assert "leak (AUC" in found.message


def test_a_leak_in_one_window_alone_is_found(judge: Judge, snapshot: Windows, parcels: Windows) -> None:
    train = snapshot[0].with_columns(leak=parcels[0]["weight"])
    holdout = snapshot[1].with_columns(leak=parcels[1]["delay"])
    assert verdict(judge(train, holdout), "no_single_feature_separates_label").outcome is Outcome.FAIL


def test_an_identifier_with_one_row_a_value_is_no_leak(judge: Judge, snapshot: Windows, parcels: Windows) -> None:
    frames = with_feature(snapshot, parcels, receipt=pl.col("parcel") + "-r")
    found = verdict(judge(*frames), "no_single_feature_separates_label")
    assert found.passed
    areas = {row["feature"]: row["auc"] for row in found.evidence["features"]}
    assert areas["receipt"] < 0.6


def test_labels_of_one_kind_leave_nothing_to_separate(judge: Judge, snapshot: Windows) -> None:
    frames = [frame.with_columns(late=pl.lit(True)) for frame in snapshot]
    assert verdict(judge(*frames), "no_single_feature_separates_label").outcome is Outcome.NO_DATA


def test_rows_without_label_do_not_count_in_the_separation(judge: Judge, snapshot: Windows) -> None:
    frames = [frame.with_columns(late=pl.when(pl.int_range(pl.len()) % 3 > 0).then("late")) for frame in snapshot]
    assert verdict(judge(*frames), "no_single_feature_separates_label").passed


def test_noise_stays_near_one_half_and_the_label_itself_reaches_one() -> None:
    draw = np.random.default_rng(1)
    label = pl.Series("label", draw.integers(0, 2, 5000))
    targets = binary_targets(label, "binary_classification")
    assert single_feature_auc(pl.Series(draw.normal(size=5000)), targets) < 0.55
    assert single_feature_auc(label, targets) == 1.0
    assert single_feature_auc(label, []) is None


def test_every_class_and_a_number_above_its_median_are_targets() -> None:
    kinds = pl.Series("kind", ["a", "b", "c", "c"])
    assert [target.tolist() for target in binary_targets(kinds, "multiclass")] == [
        [False, False, True, True],
        [True, False, False, False],
        [False, True, False, False],
    ]
    amounts = pl.Series("amount", [1.0, 2.0, 3.0, 9.0])
    assert [target.tolist() for target in binary_targets(amounts, "regression")] == [[False, False, True, True]]


def test_a_feature_that_changes_without_the_future_fails_and_is_named(judge: Judge, snapshot: Windows, parcels: Windows) -> None:
    def leaky(rows: pl.DataFrame) -> pl.DataFrame:
        return build(rows).with_columns(rows.select(slow=pl.col("delay").fill_null(0) > 30))

    lookahead = availability_probe(leaky, parcels[0], ["delay"], "parcel")
    assert lookahead == {"weight": 0, "heavy": 0, "region": 0, "slow": parcels[0].filter(pl.col("delay") > 30).height}
    found = verdict(judge(*snapshot, lookahead=lookahead), "features_are_known_in_time")
    assert (found.outcome, found.observed) == (Outcome.FAIL, lookahead["slow"])
    assert "slow (" in found.message


def test_a_function_that_fails_without_the_future_is_named_too(judge: Judge, snapshot: Windows, parcels: Windows) -> None:
    def needy(rows: pl.DataFrame) -> pl.DataFrame:
        if rows["delay"].null_count():
            raise RetrainError("delay has nulls")
        return build(rows)

    lookahead = availability_probe(needy, parcels[0], ["region_name", "weight", "delay"], "parcel")
    assert lookahead["the function fails without delay"] == parcels[0].height
    assert "the function fails without weight" not in lookahead
    found = verdict(judge(*snapshot, lookahead=lookahead), "features_are_known_in_time")
    assert found.outcome is Outcome.FAIL
    assert "the function fails without delay" in found.message


def test_a_function_that_fails_only_without_several_columns_names_all_of_them(parcels: Windows) -> None:
    def either(rows: pl.DataFrame) -> pl.DataFrame:
        if rows["delay"].null_count() and rows["region"].null_count():
            raise ValueError("nothing left")
        return rows.select("parcel", "weight")

    lookahead = availability_probe(either, parcels[0], ["delay", "region"], "parcel")
    assert lookahead == {"weight": 0, "the function fails without delay and region": parcels[0].height}


def test_a_fault_on_the_rows_as_they_are_is_the_teams_own_and_is_raised(parcels: Windows) -> None:
    def broken(rows: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("never worked")

    with pytest.raises(ValueError, match="never worked"):
        availability_probe(broken, parcels[0], ["delay"], "parcel")


def test_a_column_that_does_not_exist_has_no_effect(parcels: Windows) -> None:
    assert availability_probe(build, parcels[0], ["arrived_at"], "parcel") == {"weight": 0, "heavy": 0, "region": 0}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda made: made.head(made.height - 4), id="rows lost"),
        pytest.param(lambda made: made.reverse().head(made.height - 4), id="rows lost, other order"),
    ],
)
def test_rows_that_vanish_without_the_future_count_as_changed(
    parcels: Windows, spoil: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    def dropping(rows: pl.DataFrame) -> pl.DataFrame:
        return spoil(build(rows)) if rows["delay"].null_count() else build(rows)

    assert set(availability_probe(dropping, parcels[0], ["delay"], "parcel").values()) == {4}


def test_a_feature_that_vanishes_without_the_future_changed_in_every_row(parcels: Windows) -> None:
    def dropping(rows: pl.DataFrame) -> pl.DataFrame:
        return build(rows).drop("heavy") if rows["delay"].null_count() else build(rows)

    lookahead = availability_probe(dropping, parcels[0], ["delay"], "parcel")
    assert lookahead == {"weight": 0, "heavy": parcels[0].height, "region": 0}


def test_another_order_a_repeated_key_and_the_last_bits_of_a_number_are_no_change(parcels: Windows) -> None:
    rows = parcels[0].with_columns(
        parcel=pl.lit("same"), weight=pl.when(pl.int_range(pl.len()) < 5).then(float("nan")).otherwise("weight")
    )

    def unsteady(given: pl.DataFrame) -> pl.DataFrame:
        return build(given).with_columns(pl.col("weight") * (1 + 1e-13)) if given["delay"].null_count() else build(given)

    assert availability_probe(unsteady, rows, ["delay"], "parcel") == {"weight": 0, "heavy": 0, "region": 0}

    def turned(given: pl.DataFrame) -> pl.DataFrame:
        return build(given).reverse() if given["delay"].null_count() else build(given)

    assert availability_probe(turned, parcels[0], ["delay"], "parcel") == {"weight": 0, "heavy": 0, "region": 0}


def test_features_that_were_not_probed_do_not_pass(judge: Judge, snapshot: Windows) -> None:
    found = verdict(judge(*snapshot, lookahead={"weight": 0}), "features_are_known_in_time")
    assert found.outcome is Outcome.NO_DATA
    assert "heavy, region" in found.message


def test_a_contract_that_names_no_late_column_needs_no_probe(
    judge: Judge, snapshot: Windows, contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    open_contract = contract_with({"source.known_after_prediction": []})
    assert verdict(judge(*snapshot, lookahead={}, contract=open_contract), "features_are_known_in_time").passed
    assert not verdict(judge(*snapshot, lookahead={}), "features_are_known_in_time").passed


def test_holdout_rows_that_stand_in_training_fail(judge: Judge, snapshot: Windows) -> None:
    train, holdout = snapshot
    found = verdict(judge(train, pl.concat([holdout, train.tail(10)])), "no_rows_shared_across_split")
    assert found.outcome is Outcome.FAIL
    assert found.evidence["shared_rows"] == 10


def test_shared_rows_are_found_through_nulls_and_categories(judge: Judge, snapshot: Windows) -> None:
    train, holdout = (
        frame.with_columns(pl.col("region").cast(pl.Categorical), weight=pl.lit(None, dtype=pl.Float64)) for frame in snapshot
    )
    assert verdict(judge(train, holdout), "no_rows_shared_across_split").observed == 1.0


@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_feature_without_any_value_fails(judge: Judge, snapshot: Windows, window: int, nothing: float | None) -> None:
    frames = list(snapshot)
    frames[window] = frames[window].with_columns(weight=pl.lit(nothing, dtype=pl.Float64))
    found = verdict(judge(*frames), "features_vary")
    assert found.outcome is Outcome.FAIL
    assert f"weight ({'train' if window == 0 else 'holdout'})" in found.message


def test_a_constant_feature_is_reported_and_passes(judge: Judge, snapshot: Windows) -> None:
    found = verdict(judge(*(frame.with_columns(country=pl.lit("nz")) for frame in snapshot)), "features_vary")
    assert found.passed
    assert found.evidence["constant"] == ["country"]


def test_nothing_but_constants_fails(judge: Judge, snapshot: Windows) -> None:
    frames = [frame.select("parcel", "late", country=pl.lit("nz")) for frame in snapshot]
    assert verdict(judge(*frames), "features_vary").outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("spoil", "outcome"),
    [
        (lambda train, holdout: (train.clear(), holdout), Outcome.NO_DATA),
        (lambda train, holdout: (train, holdout.clear()), Outcome.NO_DATA),
        (lambda train, holdout: (train.select("parcel", "late"), holdout.select("parcel", "late")), Outcome.NO_DATA),
        (lambda train, holdout: (train, holdout.drop("weight")), Outcome.ERROR),
        (lambda train, holdout: (train, holdout.drop("late")), Outcome.ERROR),
        (lambda train, holdout: (train, holdout.with_columns(pl.col("weight").cast(pl.String))), Outcome.ERROR),
    ],
    ids=["no training rows", "no hold-out rows", "no features", "lost feature", "lost label", "other type"],
)
def test_windows_that_cannot_be_judged_open_nothing(
    judge: Judge, snapshot: Windows, spoil: Callable[..., Windows], outcome: Outcome
) -> None:
    verdicts = judge(*spoil(*snapshot))
    assert [each.check for each in verdicts] == list(FEATURE_CHECKS)
    assert {each.outcome for each in verdicts} == {outcome}


def test_the_order_of_a_few_numbers_is_seen_in_both_directions() -> None:
    label = np.arange(40) >= 25
    values = pl.Series(np.arange(40.0))
    assert single_feature_auc(values, [label]) == single_feature_auc(-values, [label]) == 1.0


def test_a_categorys_rate_comes_from_the_other_folds_only() -> None:
    target = np.array([True, False, False, False, False] * 4)  # every positive is in fold 0
    rates = _target_rates(np.zeros(20), target)
    overall = SMOOTHING * target.mean()
    assert rates[0] == pytest.approx((0 + overall) / (16 + SMOOTHING))
    assert rates[1] == pytest.approx((4 + overall) / (16 + SMOOTHING))


def test_a_row_that_vanishes_counts_even_where_its_value_was_null(parcels: Windows) -> None:
    rows = parcels[0].with_columns(weight=pl.lit(None, dtype=pl.Float64))

    def dropping(given: pl.DataFrame) -> pl.DataFrame:
        made = given.select("parcel", "weight")
        return made.head(made.height - 4) if given["delay"].null_count() else made

    assert availability_probe(dropping, rows, ["delay"], "parcel") == {"weight": 4}
