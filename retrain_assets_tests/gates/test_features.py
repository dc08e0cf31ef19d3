"""Gate DATA on features: what separates the label, stands on both sides of the split, or cannot be judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.contract.unit_names import UNLINKABLE
from retrain_assets.gates import FEATURE_CHECKS, Availability, Parity, features_gate
from retrain_assets.gates.features.availability import Dependence
from retrain_assets.gates.features.cells import binary_targets
from retrain_assets.gates.features.separation import SMOOTHING, _standard_error, _target_rates, single_feature_auc
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
    def run(train: pl.DataFrame, holdout: pl.DataFrame, **changes: Any) -> list[Verdict]:
        names = [name for name in train.columns if name not in ("parcel", "late")]
        sound = Availability(100, {name: Dependence(100) for name in names})
        given = {"contract": contract, "unit": "parcel", "label": "late", "availability": sound, "parity": Parity(10), **changes}
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


def test_holdout_rows_that_stand_in_training_fail(judge: Judge, snapshot: Windows) -> None:
    train, holdout = snapshot
    found = verdict(judge(train, pl.concat([holdout, train.tail(10)])), "no_rows_shared_across_split")
    assert found.outcome is Outcome.FAIL
    assert found.evidence["shared_rows"] == 10


def test_features_with_few_values_repeat_rows_without_fault_until_more_are_repeated(judge: Judge, snapshot: Windows) -> None:
    """Weights in whole kilos: most rows of the hold-out stand in training, as the latest of training do in those before."""
    train, holdout = (frame.with_columns(pl.col("weight").round()) for frame in snapshot)
    found = verdict(judge(train, holdout), "no_rows_shared_across_split")
    assert found.passed
    assert found.evidence["shared_share"] > 0.9
    assert found.evidence["usual_share_in_training"] > 0.9
    fine = (snapshot[0].with_columns(weight=pl.when(pl.int_range(pl.len()) % 10 == 0).then(1.0).otherwise("weight")), snapshot[1])
    copied = verdict(judge(fine[0], pl.concat([fine[1].head(150), fine[0].tail(100)])), "no_rows_shared_across_split")
    assert copied.outcome is Outcome.FAIL
    assert "beyond the share that late stretches of training have in earlier rows (4" in copied.message


def test_shared_rows_are_found_through_nulls_and_categories(judge: Judge, snapshot: Windows) -> None:
    train, holdout = (
        frame.with_columns(pl.col("region").cast(pl.Categorical), weight=pl.lit(None, dtype=pl.Float64)) for frame in snapshot
    )
    assert verdict(judge(train, holdout), "no_rows_shared_across_split").evidence["shared_share"] == 1.0


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
    rates = _target_rates(np.full(5, 4), np.bincount(np.arange(20) % 5, weights=target, minlength=5))
    overall = SMOOTHING * target.mean()
    assert rates[0] == pytest.approx((0 + overall) / (16 + SMOOTHING))
    assert rates[1] == pytest.approx((4 + overall) / (16 + SMOOTHING))


@pytest.mark.parametrize("feature", ["number", "text", "truth value", "gaps"])
def test_the_area_is_the_one_scikit_learn_gives_for_the_same_scores(feature: str) -> None:
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(4)
    label = draw.random(3000) < 0.3
    number = np.round(draw.normal(size=3000) + label, 1)
    values = {
        "number": pl.Series(number),
        "text": pl.Series(np.where(number > 0.5, "a", "b")),
        "truth value": pl.Series(number > 0.5),
        "gaps": pl.Series(np.where(number > 0, number, np.nan)),
    }[feature]
    found = single_feature_auc(values, [label])
    if feature == "number":
        assert found == pytest.approx(roc_auc_score(label, number))
    elif feature == "gaps":
        assert found == pytest.approx(roc_auc_score(label, np.where(number > 0, number, -1)))
    else:
        assert found == pytest.approx(roc_auc_score(label, number > 0.5), abs=0.02)


def test_every_feature_stands_beside_what_permuted_labels_reach(judge: Judge, snapshot: Windows) -> None:
    rows = verdict(judge(*snapshot), "no_single_feature_separates_label").evidence["features"]
    by_chance = {row["feature"]: row["auc_by_chance"] for row in rows}
    assert set(by_chance) == {"weight", "heavy", "region"}
    assert all(0.5 <= area < 0.6 for area in by_chance.values())


def few_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """One late parcel, lighter than four fifths of the others."""
    place = pl.int_range(pl.len())
    return frame.with_columns(late=place == pl.len() * 18 // 100, weight=-place.cast(pl.Float64))


def test_an_area_of_few_labels_is_inconclusive_in_training_and_told_in_the_hold_out(judge: Judge, snapshot: Windows) -> None:
    train, holdout = snapshot
    found = verdict(judge(few_labels(train), holdout), "no_single_feature_separates_label")
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "so few labels of a kind" in found.message
    told = verdict(judge(train, few_labels(holdout)), "no_single_feature_separates_label")
    assert told.passed
    assert "stands on few labels of a kind" in told.message


def test_an_honest_feature_is_not_blocked_by_the_luck_of_a_rare_event(judge: Judge) -> None:
    """Area 0.71, twelve events in the hold-out: above 0.8 in some of 40 hold-outs, and that closes no gate; a leak does."""
    draw, above = np.random.default_rng(2), 0
    for _ in range(40):
        late = draw.random(20000) < 0.008
        frame = pl.DataFrame({"parcel": np.arange(20000), "risk": draw.normal(size=20000) + 0.8 * late, "late": late})
        found = verdict(judge(frame.head(18500), frame.tail(1500)), "no_single_feature_separates_label")
        assert found.passed
        above += found.evidence["features"][0]["auc"] > 0.8
        leak = frame.with_columns(risk=draw.normal(size=20000) + 3.5 * late)
        assert verdict(judge(leak.head(18500), leak.tail(1500)), "no_single_feature_separates_label").outcome is Outcome.FAIL
    assert above > 0


@pytest.mark.parametrize(("positives", "rows", "area"), [(50, 1000, 0.8), (300, 600, 0.7)])
def test_the_standard_error_of_an_area_is_that_of_drawn_samples(positives: int, rows: int, area: float) -> None:
    draw = np.random.default_rng(4)
    rate = (1 - area) / area  # P(X > Y) of exponential scores is 1 / (1 + rate)
    found = []
    for _ in range(400):
        scores = np.concatenate([draw.exponential(1 / rate, positives), draw.exponential(1.0, rows - positives)])
        ranks = scores.argsort().argsort()[:positives]
        found.append((ranks.sum() - positives * (positives - 1) / 2) / (positives * (rows - positives)))
    assert np.mean(found) == pytest.approx(area, abs=0.01)
    assert _standard_error(area, positives, rows) == pytest.approx(np.std(found), rel=0.15)


def test_a_large_window_is_judged_by_a_sample_and_says_so(
    judge: Judge, snapshot: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrain_assets.gates.features.gate.JUDGED_ROWS", 400)
    found = verdict(judge(*snapshot), "no_single_feature_separates_label")
    assert (found.evidence["train_rows_looked_at"], found.evidence["holdout_rows_looked_at"]) == (400, 250)
    assert verdict(judge(*snapshot), "no_single_feature_separates_label") == found


def test_a_few_of_the_shared_rows_are_shown_with_the_rows_they_repeat(judge: Judge, snapshot: Windows) -> None:
    train, holdout = snapshot
    again = train.tail(10).with_columns(parcel=pl.lit("again-") + pl.col("parcel"))
    found = verdict(judge(train, pl.concat([holdout, again])), "no_rows_shared_across_split")
    assert len(found.evidence["examples"]) == 5
    first = found.evidence["examples"][0]
    twins = [{UNLINKABLE.of(f"again-{parcel}"), UNLINKABLE.of(parcel)} for parcel in train["parcel"].tail(10)]
    assert {first["parcel"], first["parcel in training"]} in twins


def test_a_negative_zero_and_a_nan_are_the_same_row(judge: Judge, snapshot: Windows) -> None:
    train, holdout = snapshot
    odd = pl.DataFrame(
        {"weight": [0.0, float("nan")], "heavy": [False] * 2, "region": ["x"] * 2, "parcel": ["u", "v"], "late": [True] * 2}
    )
    odd = odd.select(train.columns)
    even = odd.with_columns(pl.col("weight") * -1)
    found = verdict(judge(pl.concat([train, odd]), pl.concat([holdout, even])), "no_rows_shared_across_split")
    assert found.evidence["shared_rows"] == 2


def test_labels_that_are_not_a_number_are_no_labels(judge: Judge, snapshot: Windows) -> None:
    gap = pl.when(pl.int_range(pl.len()) < 20).then(float("nan"))
    frames = [frame.with_columns(late=gap.otherwise(pl.col("late").cast(pl.Float64))) for frame in snapshot]
    found = verdict(judge(*frames), "no_single_feature_separates_label")
    assert found.evidence["train_rows_looked_at"] == 980
