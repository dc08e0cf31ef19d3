"""The routed arm answers; a failing challenger costs nobody an answer; a bundle that is not the rule's is not served."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import CustodyError, Refused, RetrainError, StageError
from retrain_assets.home import Home
from retrain_assets.routing import RoutingRule, VersionRef, compile_rule
from retrain_assets.serving import ExposureLog, Scorer

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
CHAMPION, CHALLENGER = VersionRef("3", "sha256:champion"), VersionRef("4", "sha256:challenger")


@dataclass
class Terms:
    decision: Mapping[str, Any] | None = field(default_factory=lambda: {"threshold": 0.5})


@dataclass
class Linear:
    """A model that adds ``shift`` to the feature ``x`` and fails as it is told."""

    digest: str
    shift: float = 0.0
    fails_on: float | None = None
    gives_nan_on: float | None = None
    drops_rows: bool = False
    manifest: Terms = field(default_factory=Terms)
    calls: list[int] = field(default_factory=list)

    def score(self, features: pl.DataFrame) -> np.ndarray:
        self.calls.append(features.height)
        x = features["x"].to_numpy()
        if self.fails_on is not None and (x == self.fails_on).any():
            raise ZeroDivisionError("the model divides by something")
        scores = np.where(x == self.gives_nan_on, np.nan, x + self.shift)
        return scores[:-1] if self.drops_rows else scores

    def decide(self, scores: np.ndarray) -> np.ndarray:
        return scores >= 0.5


def rule(**changes: Any) -> RoutingRule:
    values = {
        "model": "flight_delay",
        "champion": CHAMPION,
        "challenger": CHALLENGER,
        "toggle": "t1",
        "revision": 4,
        "stage": "50",
        "salt": "t1:",
        "share": 0.5,
        "state": "ramping",
    }
    return RoutingRule(**(values | changes))


def traffic(rows: int = 100, **columns: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    requests = {"request_id": [f"r{i}" for i in range(rows)], "unit_id": [f"u{i}" for i in range(rows)], "exposed_at": NOON}
    return pl.DataFrame(requests | columns, schema_overrides={"exposed_at": pl.Datetime("us", "UTC")}), pl.DataFrame(
        {"x": [i / rows for i in range(rows)]}
    )


def scorer(
    challenger: Linear | None = None,
    champion: Linear | None = None,
    batch_rows: int = 256,
    champion_scores_all: bool = False,
    **changes: Any,
) -> Scorer:
    return Scorer(
        rule(**changes),
        champion or Linear(CHAMPION.bundle),
        challenger or Linear(CHALLENGER.bundle, shift=0.25),
        batch_rows=batch_rows,
        champion_scores_all=champion_scores_all,
    )


def test_the_routed_arm_answers_and_the_rows_fit_the_exposure_log(tmp_path) -> None:
    requests, features = traffic(origin=["JFK", "LGA"] * 50)
    rows = scorer().score(requests, features)
    route = compile_rule(rule())
    assert rows["arm"].to_list() == [route(unit, {}, now).arm for unit, now in requests.select("unit_id", "exposed_at").rows()]
    assert set(rows["arm"]) == {"champion", "challenger"}
    for row, x in zip(rows.iter_rows(named=True), features["x"], strict=True):
        challenged = row["arm"] == "challenger"
        assert row["score"] == (x + 0.25 if challenged else x)
        assert row["decision"] == (row["score"] >= 0.5)
        assert (row["version"], row["bundle"]) == (("4", "sha256:challenger") if challenged else ("3", "sha256:champion"))
        assert (row["toggle"], row["revision"], row["stage"], row["error"]) == ("t1", 4, "50", False)
        assert row["latency_ms"] > 0
    log = ExposureLog(Home(tmp_path))
    log.append_exposures("flight_delay", rows, "day")
    assert log.read_exposures("flight_delay").sort("request_id").equals(rows.sort("request_id"))


def test_in_shadow_the_champion_answers_and_the_challenger_scores_every_unit_of_the_cohort() -> None:
    requests, features = traffic(tier=["gold", "tin"] * 50)
    rows = scorer(stage="shadow", state="shadow", share=0.0, cohort={"tier": {"in": ["gold"]}}).score(requests, features)
    assert set(rows["arm"]) == {"champion"}
    assert rows["score"].to_list() == features["x"].to_list()
    assert rows["shadow_score"].to_list() == [x + 0.25 if i % 2 == 0 else None for i, x in enumerate(features["x"])]
    assert rows["toggle"].to_list() == ["t1", None] * 50
    assert rows["stage"].to_list() == ["shadow", None] * 50


def test_the_champion_scores_beside_what_the_challenger_answered_when_the_contract_adjusts_for_its_score() -> None:
    requests, features = traffic()
    challenger = Linear(CHALLENGER.bundle, shift=0.25, fails_on=0.9)
    rows = scorer(challenger, champion_scores_all=True).score(requests, features).with_columns(x=features["x"])
    assert set(rows["arm"]) == {"champion", "challenger"}
    beside = (pl.col("arm") == "challenger") & ~pl.col("error")
    assert rows.filter(beside)["shadow_score"].to_list() == rows.filter(beside)["x"].to_list()
    assert rows.filter(beside)["score"].to_list() == (rows.filter(beside)["x"] + 0.25).to_list()
    assert rows.filter(~beside)["shadow_score"].null_count() == rows.filter(~beside).height
    assert rows["score"].null_count() == 0


def test_a_champion_that_fails_beside_the_challenger_costs_nobody_an_answer_and_no_latency(monkeypatch) -> None:
    seconds = itertools.count()
    monkeypatch.setattr("retrain_assets.compute.attempt.time.perf_counter", lambda: float(next(seconds)))
    requests, features = traffic()
    champion = Linear(CHAMPION.bundle, fails_on=0.5)
    rows = scorer(champion=champion, champion_scores_all=True, share=1.0, stage="100").score(requests, features)
    assert champion.calls
    assert not rows["error"].any()
    assert rows.filter(pl.col("shadow_score").is_null())["request_id"].to_list() == ["r50"]
    assert set(rows["latency_ms"]) == {1000 / 100}


def test_the_champion_does_not_score_beside_unless_asked() -> None:
    requests, features = traffic()
    champion = Linear(CHAMPION.bundle)
    rows = scorer(champion=champion, share=1.0, stage="100").score(requests, features)
    assert champion.calls == []
    assert rows["shadow_score"].null_count() == rows.height


@pytest.mark.parametrize("batch_rows", [256, 7])
def test_where_the_challenger_fails_the_champion_answers_and_the_error_is_recorded(batch_rows) -> None:
    requests, features = traffic()
    challenger = Linear(CHALLENGER.bundle, shift=0.25, fails_on=0.9, gives_nan_on=0.1)
    rows = scorer(challenger, share=1.0, stage="100", batch_rows=batch_rows).score(requests, features)
    failed = [i for i in range(100) if features["x"][i] in (0.9, 0.1)]
    assert rows.with_row_index().filter("error")["index"].to_list() == failed
    assert set(rows["arm"]) == {"challenger"}
    assert set(rows["version"]) == {"4"}
    for place in failed:
        assert rows["score"][place] == features["x"][place]
        assert rows["decision"][place] == (features["x"][place] >= 0.5)
    others = rows.filter(~pl.col("error"))
    assert others["score"].to_list() == [x + 0.25 for i, x in enumerate(features["x"]) if i not in failed]


def test_a_challenger_that_returns_other_rows_than_it_got_fails_everywhere() -> None:
    rows = scorer(Linear(CHALLENGER.bundle, drops_rows=True), share=1.0, stage="100").score(*traffic(9))
    assert rows["error"].all()
    assert rows["score"].to_list() == traffic(9)[1]["x"].to_list()


def test_a_champion_that_fails_leaves_no_score_but_a_record() -> None:
    champion = Linear(CHAMPION.bundle, fails_on=0.5)
    rows = scorer(champion=champion, share=0.0, stage="5").score(*traffic(10))
    assert rows.filter("error").select("request_id", "arm", "score", "decision").rows() == [("r5", "champion", None, None)]


def test_a_failing_shadow_score_does_not_touch_the_answer() -> None:
    challenger = Linear(CHALLENGER.bundle, fails_on=0.5)
    rows = scorer(challenger, stage="shadow", state="shadow").score(*traffic(10))
    assert not rows["error"].any()
    assert rows["shadow_score"].is_null().to_list() == [i == 5 for i in range(10)]


def test_without_a_decision_rule_there_is_no_decision() -> None:
    models = [Linear(ref.bundle, manifest=Terms(decision=None)) for ref in (CHALLENGER, CHAMPION)]
    assert scorer(*models).score(*traffic())["decision"].is_null().all()


def test_after_the_expiry_the_champion_serves_within_one_batch() -> None:
    requests, features = traffic(2)
    requests = requests.with_columns(pl.Series("exposed_at", [NOON, NOON + timedelta(hours=1)]).dt.cast_time_unit("us"))
    rows = scorer(share=1.0, stage="100", expires_at=NOON + timedelta(minutes=1)).score(requests, features)
    assert rows.select("arm", "toggle").rows() == [("challenger", "t1"), ("champion", None)]


def test_without_a_toggle_the_champion_serves_alone() -> None:
    alone = RoutingRule(model="flight_delay", champion=CHAMPION)
    rows = Scorer(alone, Linear(CHAMPION.bundle)).score(*traffic(3))
    assert rows.select("arm", "version", "toggle", "revision", "stage").unique().rows() == [("champion", "3", None, 0, None)]


def test_no_request_gives_no_row() -> None:
    requests, features = traffic(3)
    assert scorer().score(requests.clear(), features.clear()).height == 0


def test_a_bundle_that_is_not_the_one_the_rule_names_is_refused() -> None:
    with pytest.raises(CustodyError, match=r"challenger of flight_delay, version 4: .*sha256:other"):
        scorer(Linear("sha256:other"))
    with pytest.raises(CustodyError, match="champion of flight_delay"):
        scorer(champion=Linear("sha256:other"))


def test_without_the_bundles_the_rule_needs_nothing_is_served() -> None:
    with pytest.raises(Refused, match="challenger's bundle is not loaded"):
        Scorer(rule(), Linear(CHAMPION.bundle))
    with pytest.raises(Refused, match="no champion"):
        Scorer(RoutingRule(model="flight_delay", champion=None), Linear(CHAMPION.bundle))


def test_requests_that_do_not_fit_are_refused() -> None:
    requests, features = traffic(3)
    with pytest.raises(StageError, match="3 requests, but 2 feature rows"):
        scorer().score(requests, features.head(2))
    with pytest.raises(StageError, match="lack unit_id"):
        scorer().score(requests.drop("unit_id"), features)
    with pytest.raises(StageError, match="time zone"):
        scorer().score(requests.with_columns(pl.col("exposed_at").dt.replace_time_zone(None)), features)
    with pytest.raises(RetrainError, match="column tier is missing"):
        scorer(cohort={"tier": {"in": ["gold"]}}).score(requests, features)


def test_real_bundles_are_scored_as_they_score_alone(tmp_path) -> None:
    from lightgbm import LGBMClassifier

    from retrain_assets.bundle import Bundle, Calibration, Encoding, LightGBMPredictor, Manifest, load_bundle, save_bundle

    frame = pl.DataFrame({"x": [i / 200 for i in range(200)], "origin": ["JFK", "LGA"] * 100})
    encoding = Encoding.of(frame, frame.columns)

    def bundle(name: str, labels: list[int]) -> Bundle:
        fitted = LGBMClassifier(n_estimators=3, n_jobs=1, verbosity=-1).fit(encoding.matrix(frame), labels)
        texts = dict.fromkeys(("model", "retrain", "estimator", "feature_function", "feature_pipeline", "dataset"), name)
        maps: dict[str, Any] = {key: {} for key in ("params", "label", "window", "calibration", "code", "environment", "files")}
        manifest = Manifest(
            **texts,
            **maps,
            task="binary_classification",
            feature_names=encoding.names,
            feature_dtypes=dict(encoding.kinds),
            decision={"threshold": 0.5},
            classes=(0, 1),
            seed=7,
        )
        save_bundle(
            tmp_path / name,
            manifest,
            predictor=LightGBMPredictor(fitted.booster_),
            encoding=encoding,
            calibration=Calibration("none"),
            documents={},
        )
        return load_bundle(tmp_path / name)

    rising, falling = bundle("rising", [int(i > 100) for i in range(200)]), bundle("falling", [int(i < 100) for i in range(200)])
    terms = rule(champion=VersionRef("3", rising.digest), challenger=VersionRef("4", falling.digest))
    rows = Scorer(terms, rising, falling, batch_rows=64).score(traffic(200)[0], frame)
    alone = {"champion": rising.score(frame), "challenger": falling.score(frame)}
    assert rows["score"].to_list() == [alone[arm][place] for place, arm in enumerate(rows["arm"])]
    assert rows["decision"].to_list() == [score >= 0.5 for score in rows["score"]]
    assert rows.select("arm", "bundle").unique().sort("arm").rows() == [
        ("challenger", falling.digest),
        ("champion", rising.digest),
    ]
    assert not rows["error"].any()
