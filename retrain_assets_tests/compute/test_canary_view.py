"""The one view from records: rows of traffic and outcomes, a real bundle and its training rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.compute.canary.view import References, view_of_look
from retrain_assets.compute.stages import matured_rows
from retrain_assets.compute.stages.live_features import Trained
from retrain_assets.contract import Contract
from retrain_assets.experiment import Action, ArmCounts, HealthCheck, Look, MeasureResult, MeasureSpec, MeasureState, StageCounts
from retrain_assets.experiment.loss.failure_modes import FailureMode
from retrain_assets.experiment.loss.threshold_effect import Rule
from retrain_assets.gates.canary_view import CanaryView
from retrain_assets.gates.technical_side import Health
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF, parcels

NOW = CUTOFF + timedelta(days=10)
COST = MeasureSpec("cost", "success", "decrease")
TOGGLE = "late_parcels-2024-03-01"


def look(state: MeasureState = MeasureState.WORSE, estimate: float = 1.0, **changes: Any) -> Look:
    def result(size: float = estimate) -> MeasureResult:
        return MeasureResult(COST, state, 10.0, 10 + size, size, size - 0.4, size + 0.4, 0.1, 0.06, 0.14, 900, 900, "cost")

    counts = ArmCounts(2000, 2000, 2000)
    stages = tuple(StageCounts(revision, "50", 0.5, counts, counts, CUTOFF) for revision in (3, 4, 5))
    given: dict[str, Any] = {"action": Action.ROLL_BACK, "reason": "harm", "stages": stages}
    given["segments"] = {f"depot={name}": (result(size),) for name, size in (("north", 3.0), ("south", 0.5), ("harbour", 0.4))}
    return Look(NOW, "50", 4, (result(),), (HealthCheck("counts", True, "fine"),), **{**given, **changes})


@dataclass
class Traffic:
    """Ten days of parcels, half of them on the challenger, after two days in shadow."""

    road: Road
    contract: Contract
    exposures: pl.DataFrame
    outcomes: pl.DataFrame

    def view(self, seen: Look | None = None, references: References | None = None, **changes: Any) -> CanaryView:
        folder, bundle = self.road.folder, Path(self.road.training.outputs["bundle"]["uri"])
        trained = Trained.of(bundle, load_bundle(bundle).digest)
        known = References(trained, trained, folder / "features" / "features", folder / "dataset" / "dataset")
        given: dict[str, Any] = {"toggle": TOGGLE, "revisions": (3, 4), "now": NOW, **changes}
        found = view_of_look(
            seen or look(),
            self.contract,
            self.exposures.lazy(),
            self.outcomes.lazy(),
            references or known,
            **given,
        )
        json.dumps(found.to_json(), allow_nan=False)
        assert CanaryView.from_json(found.to_json()) == found
        return found


def traffic_of(road: Road, folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame] | None = None) -> Traffic:
    """Parcels of the ten days after the cut-off as one bundle scored them for both arms; ``change`` alters the source rows."""
    rows = parcels(days=10, a_day=400, seed=12).with_columns(
        pl.col("sent_at") + timedelta(days=10), parcel_id=pl.concat_str(pl.lit("live-"), "parcel_id")
    )
    rows = change(rows) if change else rows
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(folder / "live.parquet")
    values = json.loads(json.dumps(road.contract))
    values["source"]["uri"] = str(folder / "live.parquet")
    values["experiment"] |= {
        "segments": ["depot"], "outcomes": ["cost"], "success": {"cost": {"direction": "decrease"}}, "outcome_window": "1d",
        "guardrails": {"failures": {"column": "error", "direction": "decrease", "margin": 0.02}},
    }  # fmt: skip
    contract = Contract.model_validate(values)
    bundle = load_bundle(Path(road.training.outputs["bundle"]["uri"]))
    features = rows.select("parcel_id", "depot", "weight", "rain", heavy=pl.col("weight") > 8.0)
    rng, n = np.random.default_rng(6), rows.height
    shadow = (rows["sent_at"] < CUTOFF + timedelta(days=2)).to_numpy()
    challenger = (rng.random(n) < 0.5) & ~shadow
    exposures = rows.select(
        request_id=pl.concat_str(pl.lit("r-"), "parcel_id"),
        model=pl.lit("late_parcels"),
        unit_id="parcel_id",
        toggle=pl.lit(TOGGLE),
        revision=pl.Series(np.where(shadow, 3, 4)),
        stage=pl.Series(np.where(shadow, "shadow", "50")),
        arm=pl.Series(np.where(challenger, "challenger", "champion")),
        version=pl.lit("1"),
        bundle=pl.lit(bundle.digest),
        exposed_at="sent_at",
        latency_ms=pl.Series(rng.lognormal(1.0, 0.5, n)),
        error=pl.lit(False),
        score=pl.Series(bundle.score(features)),
        shadow_score=pl.Series(bundle.score(features)),
        depot="depot",
    ).with_columns(shadow_score=pl.when(pl.col("stage") == "shadow").then("shadow_score"))
    return Traffic(road, contract, exposures, outcomes_of(exposures, rows, contract))


def outcomes_of(exposures: pl.DataFrame, rows: pl.DataFrame, contract: Contract, acting: float = 10.0) -> pl.DataFrame:
    """An hour later: acting on a parcel costs ``acting``, a late one that nobody acted on 30."""
    assert contract.decision is not None
    acted, late = (exposures["score"] >= contract.decision.threshold).to_numpy(), rows["late"].to_numpy() == 1
    return exposures.select(
        "request_id",
        "unit_id",
        observed_at=pl.col("exposed_at") + timedelta(hours=1),
        cost=pl.Series(np.where(acted, acting, np.where(late, 30.0, 0.0))),
    )


@pytest.fixture(scope="module")
def calm(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """One model in both arms, traffic as in training."""
    return traffic_of(road, tmp_path_factory.mktemp("calm"))


@pytest.fixture(scope="module")
def seen(calm: Traffic) -> CanaryView:
    return calm.view()


def test_the_same_model_in_both_arms_is_healthy_and_its_scores_are_alike(seen: CanaryView) -> None:
    total = seen.total.technical
    assert seen.total.health is Health.HEALTHY, seen.sentence
    assert total.prediction_shift is not None
    assert (total.prediction_shift.corrected_psi or 0) < 0.05
    assert total.prediction_shift.stages == 2
    assert {row.name for row in seen.segments} == {"depot=north", "depot=south", "depot=harbour"}
    assert not any(one.shown for one in total.challenger_features)


def test_callers_may_number_the_requests_of_each_unit_from_one(calm: Traffic, seen: CanaryView) -> None:
    exposures, outcomes = (frame.with_columns(request_id=pl.lit("1")) for frame in (calm.exposures, calm.outcomes))
    assert replace(calm, exposures=exposures, outcomes=outcomes).view() == seen


def test_counts_are_those_of_the_rows_with_shadow_scoring_counted_for_both(calm: Traffic, seen: CanaryView) -> None:
    shadow = calm.exposures.filter(pl.col("stage") == "shadow").height
    mine = calm.exposures.filter(pl.col("arm") == "challenger")
    total = seen.total.technical
    assert total.challenger.requests == mine.height + shadow
    assert total.champion.requests == calm.exposures.height - mine.height
    assert total.challenger.latency_p95_ms == pytest.approx(mine["latency_ms"].quantile(0.95), rel=0.02)
    assert sum(row.technical.champion.requests for row in seen.segments) == total.champion.requests


def test_calibration_is_that_of_the_matured_labels_of_the_source(calm: Traffic, seen: CanaryView) -> None:
    """Labels are known a day after the parcel was sent; the youngest day has none."""
    rows = parcels_of(calm)
    known = calm.exposures.join(rows.select(unit_id="parcel_id", late="late"), on="unit_id").filter(
        (pl.col("exposed_at") <= NOW - timedelta(days=1)) & (pl.col("arm") == "champion")
    )
    found = seen.total.technical.champion
    assert found.labelled == known.height
    assert found.calibration_bias is not None
    assert found.bias_by_chance is not None
    assert abs(found.calibration_bias) < 2 * found.bias_by_chance


def test_no_row_moves_the_view_but_those_of_the_experiment(calm: Traffic, seen: CanaryView) -> None:
    strange = [
        calm.exposures.with_columns(toggle=pl.lit("another")),
        calm.exposures.with_columns(toggle=pl.lit(None, dtype=pl.String)),
        calm.exposures.with_columns(revision=pl.lit(99, dtype=pl.Int64)),
        calm.exposures.with_columns(arm=pl.lit("third")),
        calm.exposures.with_columns(exposed_at=pl.col("exposed_at") + timedelta(days=400)),
        calm.exposures.with_columns(unit_id=pl.lit(None, dtype=pl.String)),
    ]
    more = pl.concat(
        [frame.with_columns(request_id=pl.concat_str(pl.lit(f"x{k}-"), "request_id")) for k, frame in enumerate(strange)]
    )
    again = replace_traffic(calm, exposures=pl.concat([calm.exposures, more])).view()
    assert again.total.technical == seen.total.technical


def test_a_challenger_that_is_slow_fails_and_is_biased_is_not_healthy(calm: Traffic) -> None:
    mine = pl.col("arm") == "challenger"
    sick = calm.exposures.with_columns(
        latency_ms=pl.when(mine).then(pl.col("latency_ms") * 3).otherwise("latency_ms"),
        error=mine & (pl.col("request_id").hash(seed=1) % 10 == 0),
        score=pl.when(mine).then((pl.col("score") + 0.3).clip(0, 1)).otherwise("score"),
        shadow_score=(pl.col("shadow_score") + 0.3).clip(0, 1),
    )
    found = replace_traffic(calm, exposures=sick).view(look(MeasureState.BETTER, -1.0))
    assert found.sentence.startswith("better commercially")
    assert {one.name for one in found.total.problems} >= {"error_share", "latency_p95", "calibration_bias"}
    assert found.total.technical.latency_ratio == pytest.approx(3, rel=0.15)
    assert found.total.technical.prediction_shift is not None
    assert found.total.technical.prediction_shift.wasserstein == pytest.approx(0.25, abs=0.1)


def test_a_better_model_that_acts_too_early_would_have_won_on_the_champions_calibration(calm: Traffic) -> None:
    """The champion's scores are half noise. The challenger's are good and 2.5 too high on the logit: it acts on nearly all, which
    costs more than it saves; where its scores mean what the champion's threshold means, it wins."""
    noise = pl.Series(np.random.default_rng(5).normal(size=calm.exposures.height))

    def logit(name: str) -> pl.Expr:
        return (pl.col(name) / (1 - pl.col(name))).log()

    def score(odds: pl.Expr) -> pl.Expr:
        return 1 / (1 + (-odds).exp())

    exposures = calm.exposures.with_columns(
        score=pl.when(pl.col("arm") == "challenger")
        .then(score(logit("score") + 2.5))
        .otherwise(score(logit("score") / 2 + noise)),
        shadow_score=score(logit("shadow_score") + 2.5),
    )
    rows = parcels_of(calm)
    found = replace_traffic(calm, exposures=exposures, outcomes=outcomes_of(exposures, rows, calm.contract, acting=20.0)).view()
    (effect,) = found.thresholds
    assert effect.rule is Rule.SAME_PROBABILITY
    assert effect.effect > 3 * effect.effect_error
    assert effect.rechosen_effect < -2 * effect.rechosen_error
    assert effect.rechosen > effect.threshold
    failure = found.failure(look())
    assert failure.mode is FailureMode.THRESHOLD_SELECTION
    assert "changes sign when the decision threshold is re-chosen on the champion's calibration" in failure.sentence


def test_a_worse_model_stays_worse_at_every_threshold(calm: Traffic) -> None:
    noise = pl.Series(np.random.default_rng(5).random(calm.exposures.height))
    exposures = calm.exposures.with_columns(
        score=pl.when(pl.col("arm") == "challenger").then(noise).otherwise("score"), shadow_score=noise
    )
    rows = parcels_of(calm)
    found = replace_traffic(calm, exposures=exposures, outcomes=outcomes_of(exposures, rows, calm.contract)).view()
    assert not any(effect.changes_sign for effect in found.thresholds)
    assert found.failure(look()).mode is FailureMode.GENUINE_WEAKNESS


def test_features_that_moved_in_one_depot_alone_are_why_it_lost(road: Road, tmp_path: Path) -> None:
    def wet(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(rain=pl.when(pl.col("depot") == "north").then(pl.col("rain") + 1.5).otherwise("rain"))

    found = traffic_of(road, tmp_path, wet).view()
    north = found.row("depot=north")
    assert north is not None
    worst = north.technical.challenger_features[0]
    assert (found.worst_segment, worst.feature, worst.same_segment) == ("depot=north", "rain", True)
    assert worst.corrected_psi > 0.5
    failure = found.failure(look())
    assert failure.mode is FailureMode.FEATURE_DRIFT
    assert "the worst segment (depot=north) moved since training: rain by PSI" in failure.sentence


def test_without_training_rows_of_the_segment_a_shift_is_shown_and_is_no_evidence(calm: Traffic) -> None:
    bundle = Path(calm.road.training.outputs["bundle"]["uri"])
    trained = Trained.of(bundle, load_bundle(bundle).digest)
    found = calm.view(references=References(trained, trained))
    assert found.segments[0].technical.challenger_features
    assert not any(one.same_segment for one in found.segments[0].technical.challenger_features)


def test_without_bundles_and_source_the_rest_is_shown_and_the_view_says_what_is_missing(calm: Traffic, tmp_path: Path) -> None:
    values = calm.contract.to_json()
    values["source"]["uri"] = str(tmp_path / "gone.parquet")
    found = replace_traffic(calm, contract=Contract.model_validate(values)).view(references=References(notes=("no bundle",)))
    assert found.notes[0] == "no bundle"
    assert any("labels not taken from the source" in note for note in found.notes)
    assert any("cannot be re-chosen: no label" in note for note in found.notes)
    assert found.total.technical.challenger.labelled == 0
    assert found.total.health is Health.HEALTHY


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.clear(),
        lambda rows: rows.filter(pl.col("arm") == "champion"),
        lambda rows: rows.filter(pl.col("arm") == "challenger"),
        lambda rows: rows.filter(pl.col("stage") == "shadow"),
        lambda rows: rows.with_columns(score=pl.lit(float("nan")), shadow_score=pl.lit(float("inf"))),
        lambda rows: rows.with_columns(score=pl.lit(None, dtype=pl.Float64), shadow_score=pl.lit(None, dtype=pl.Float64)),
        lambda rows: rows.with_columns(score=pl.lit(0.4), shadow_score=pl.lit(0.4)),
        lambda rows: rows.with_columns(latency_ms=pl.lit(-5.0)),
        lambda rows: rows.with_columns(latency_ms=pl.lit(float("nan"))),
        lambda rows: rows.with_columns(latency_ms=pl.lit(0.0)),
        lambda rows: rows.with_columns(error=pl.lit(True)),
        lambda rows: rows.drop("depot"),
        lambda rows: rows.with_columns(depot=pl.lit(None, dtype=pl.String)),
        lambda rows: pl.concat([rows, rows]),
        lambda rows: rows.with_columns(exposed_at=pl.lit(NOW)),
        lambda rows: rows.with_columns(unit_id=pl.lit("everybody")),
        lambda rows: rows.head(3),
        lambda rows: rows.with_columns(decision=pl.lit(None, dtype=pl.Boolean)),
    ],
    ids=[
        "no rows", "no challenger", "no champion", "shadow only", "scores not finite", "no scores", "equal scores",
        "negative latency", "latency not a number", "no latency", "everything fails", "no segment column", "no segment",
        "rows twice", "nothing matured", "one unit", "three rows", "no logged decision",
    ],
)  # fmt: skip
def test_whatever_the_rows_are_there_is_a_view_with_finite_numbers(
    calm: Traffic, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    found = replace_traffic(calm, exposures=change(calm.exposures)).view()
    assert found.sentence
    assert found.failure(look()).sentence


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.clear(),
        lambda rows: rows.drop("cost"),
        lambda rows: rows.with_columns(cost=pl.lit(float("nan"))),
        lambda rows: rows.with_columns(cost=pl.lit(None, dtype=pl.Float64)),
        lambda rows: rows.with_columns(observed_at=pl.col("observed_at") - timedelta(days=1)),
        lambda rows: rows.with_columns(observed_at=pl.col("observed_at") + timedelta(days=30)),
        lambda rows: rows.with_columns(request_id=pl.lit("nobody")),
    ],
    ids=["none", "no measure column", "NaN", "null", "before the exposure", "in the future", "unknown requests"],
)
def test_outcomes_that_say_nothing_leave_the_threshold_alone(
    calm: Traffic, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    found = replace_traffic(calm, outcomes=change(calm.outcomes)).view()
    assert found.thresholds == ()
    assert any(note.startswith("cost at a re-chosen threshold: no request") for note in found.notes)


def test_a_label_among_the_outcomes_is_taken_from_there(calm: Traffic) -> None:
    labelled = calm.outcomes.with_columns(late=pl.lit(1.0))
    found = replace_traffic(calm, outcomes=labelled).view()
    assert found.total.technical.champion.label_mean == 1.0


def test_a_late_correction_of_an_outcome_counts(calm: Traffic) -> None:
    first = calm.outcomes.with_columns(late=pl.lit(1.0))
    second = first.with_columns(pl.col("observed_at") + timedelta(hours=2), late=pl.lit(0.0))
    found = replace_traffic(calm, outcomes=pl.concat([second, first])).view()
    assert found.total.technical.champion.label_mean == 0.0


def test_a_bounded_sample_says_so_and_stays_near_the_whole(
    calm: Traffic, seen: CanaryView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matured_rows, "MOST_ROWS", 1000)
    found = calm.view()
    assert any("every 4th matured request" in note for note in found.notes)
    assert 800 <= found.total.technical.champion.labelled + found.total.technical.challenger.labelled <= 1300
    assert found.total.technical.challenger.requests == seen.total.technical.challenger.requests


def test_the_same_rows_give_the_same_view(calm: Traffic, seen: CanaryView) -> None:
    assert calm.view() == seen


def test_labels_younger_than_the_label_delay_are_not_known(calm: Traffic) -> None:
    values = calm.contract.to_json()
    values["source"]["label_delay"] = "4d"
    found = replace_traffic(calm, contract=Contract.model_validate(values)).view()
    old = calm.exposures.filter((pl.col("exposed_at") <= NOW - timedelta(days=4)) & (pl.col("arm") == "champion"))
    assert found.total.technical.champion.labelled == old.height


def test_scores_that_are_no_numbers_count_for_nobody(calm: Traffic) -> None:
    mine = (pl.col("arm") == "challenger") & (pl.col("request_id").hash(seed=2) % 4 == 0)
    holes = calm.exposures.with_columns(score=pl.when(mine).then(float("nan")).otherwise("score"))
    shift = replace_traffic(calm, exposures=holes).view().total.technical.prediction_shift
    assert shift is not None
    assert shift.corrected_psi is not None
    assert shift.corrected_psi < 0.05


def parcels_of(traffic: Traffic) -> pl.DataFrame:
    return pl.read_parquet(traffic.contract.source.uri)


def replace_traffic(traffic: Traffic, **changes: Any) -> Traffic:
    return replace(traffic, **changes)
