"""Gate TRAINING: what was not measured does not pass, and each fault closes its own check and says by how much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.gates import TRAINING_CHECKS, TrainingEvidence, training_gate
from retrain_assets.gates.training import recorded
from retrain_assets_tests.gates.conftest import verdict

FEATURES = (("origin", "categorical"), ("distance", "numeric"), ("weekend", "boolean"))
WHO = ("snapshot", "hold-out", "bundle")
MANIFEST: dict[str, Any] = {
    "estimator": "lightgbm.LGBMClassifier",
    "params": {"n_estimators": 12, "random_state": 7, "monotone": [0] * 9},
    "seed": 7,
    "calibration": {"kind": "sigmoid", "fitted_on": "latest quarter"},
    "environment": {"python": "3.12.1", "platform": "linux-x86_64", "packages": {"numpy": "2.1"}, "threads": 2},
    "code": {"commit": "3f7a", "dirty": False, "product": "0.1.0", "estimator": "lightgbm 4.6.0"},
    "feature_pipeline": "sha256:f",
    "dataset": "sha256:d",
    "label": {"column": "late", "delay": "1d"},
    "window": {"train_start": "2024-01-01", "train_end": "2024-02-01", "holdout_end": "2024-02-09"},
    "files": {"model.txt": "ab"},
}
SOUND = TrainingEvidence(
    duration_s=12.0,
    memory_mb=512.0,
    memory_of="fit",
    artifact_loaded=True,
    reload_max_difference=0.0,
    refit_same_digest=True,
    refit_max_difference=0.0,
    metrics={"roc_auc": 0.71, "f1": 0.4},
    refit_metrics={"roc_auc": 0.71, "f1": 0.4},
    loss=0.5,
    baseline_loss=0.6,
    recent_loss=0.59,
    recent_rows=120,
    loss_rows=250,
    recorded=recorded(MANIFEST),
    signatures=dict.fromkeys(WHO, FEATURES),
)
OTHER_BYTES = replace(SOUND, refit_same_digest=False, refit_max_difference=1e-9)


def limited(contract: Contract, **limits: Any) -> Contract:
    training = contract.gates.training.model_copy(update=limits)
    return contract.model_copy(update={"gates": contract.gates.model_copy(update={"training": training})})


def judged(contract: Contract, check: str, evidence: TrainingEvidence = SOUND, /, **limits: Any) -> Verdict:
    return verdict(training_gate(evidence, contract=limited(contract, **limits)), check)


def test_a_sound_candidate_passes_every_check(contract: Contract) -> None:
    verdicts = training_gate(SOUND, contract=contract)
    assert [each.check for each in verdicts] == list(TRAINING_CHECKS)
    assert all(each.passed for each in verdicts)
    assert canonical_json([each.to_json() for each in verdicts])


def test_nothing_measured_opens_nothing(contract: Contract) -> None:
    assert {each.outcome for each in training_gate(TrainingEvidence(), contract=contract)} == {Outcome.NO_DATA}


def test_a_trainer_that_raised_fails_with_its_reason(contract: Contract) -> None:
    verdicts = training_gate(TrainingEvidence(error="ValueError: negative learning rate"), contract=contract)
    assert verdict(verdicts, "training_succeeded").outcome is Outcome.FAIL
    assert "negative learning rate" in verdict(verdicts, "training_succeeded").message
    assert not any(each.passed for each in verdicts)


@pytest.mark.parametrize(
    ("change", "check", "outcome"),
    [
        ({"error": "out of memory"}, "training_succeeded", Outcome.FAIL),
        ({"artifact_loaded": False}, "artifact_loads", Outcome.FAIL),
        ({"load_error": "model.txt is truncated"}, "artifact_loads", Outcome.FAIL),
        ({"reload_max_difference": 1e-6}, "predictions_survive_reload", Outcome.FAIL),
        ({"reload_max_difference": float("nan")}, "predictions_survive_reload", Outcome.ERROR),
        ({"reload_max_difference": float("inf")}, "predictions_survive_reload", Outcome.ERROR),
        ({"refit_same_digest": False, "refit_max_difference": 1e-3}, "refit_reproduces", Outcome.FAIL),
        ({"refit_same_digest": None, "refit_max_difference": None}, "refit_reproduces", Outcome.NO_DATA),
        ({"refit_same_digest": False, "refit_metrics": None}, "refit_reproduces", Outcome.NO_DATA),
        ({"refit_same_digest": False, "refit_max_difference": float("nan")}, "refit_reproduces", Outcome.ERROR),
        ({"loss": 0.58}, "beats_baseline", Outcome.FAIL),
        ({"loss": 0.7}, "beats_baseline", Outcome.FAIL),
        ({"recent_loss": 0.51}, "beats_baseline", Outcome.FAIL),
        ({"loss": float("nan")}, "beats_baseline", Outcome.ERROR),
        ({"loss": float("inf")}, "beats_baseline", Outcome.ERROR),
        ({"baseline_loss": None}, "beats_baseline", Outcome.NO_DATA),
        ({"recent_loss": None}, "beats_baseline", Outcome.NO_DATA),
        ({"baseline_loss": 0.0}, "beats_baseline", Outcome.NO_DATA),
        ({"recorded": None}, "recorded_for_reproduction", Outcome.NO_DATA),
        ({"signatures": {}}, "signature_matches_features", Outcome.NO_DATA),
        ({"signatures": {"snapshot": FEATURES, "hold-out": FEATURES}}, "signature_matches_features", Outcome.NO_DATA),
        ({"duration_s": 601.0}, "within_budget", Outcome.FAIL),
        ({"duration_s": float("nan")}, "within_budget", Outcome.ERROR),
    ],
)
def test_a_fault_closes_its_own_check_and_no_other(
    contract: Contract, change: dict[str, Any], check: str, outcome: Outcome
) -> None:
    verdicts = training_gate(replace(SOUND, **change), contract=contract)
    assert verdict(verdicts, check).outcome is outcome
    assert [each.check for each in verdicts if not each.passed] == [check]


def test_it_says_whether_the_library_is_deterministic_or_only_gives_the_same_scores(contract: Contract) -> None:
    same, close = judged(contract, "refit_reproduces"), judged(contract, "refit_reproduces", OTHER_BYTES)
    assert (same.outcome, same.evidence["deterministic"]) == (Outcome.PASS, True)
    assert "byte for byte the same" in same.message
    assert (close.outcome, close.evidence["deterministic"]) == (Outcome.PASS, False)
    assert close.message == (
        "not byte for byte, but the same model: a second fit differs in scores by up to 1e-09 (at most 1e-06) "
        "and in no hold-out metric"
    )


def test_other_scores_are_told_with_the_metric_that_differs_most(contract: Contract) -> None:
    drawn = replace(OTHER_BYTES, refit_max_difference=0.12, refit_metrics={"roc_auc": 0.69, "f1": 0.45})
    found = judged(contract, "refit_reproduces", drawn)
    assert found.outcome is Outcome.FAIL
    assert found.message == (
        "a second fit with the same data and seed differs: scores by up to 0.12 (at most 1e-06); f1 is 0.4 and 0.45 again"
    )
    assert [row["metric"] for row in found.evidence["metrics"]] == ["f1", "roc_auc"]
    assert (found.observed, found.threshold) == (0.12, 1e-6)


@pytest.mark.parametrize("again", [{"roc_auc": 0.71, "f1": 0.4001}, {"roc_auc": 0.71, "f1": None}, {"roc_auc": 0.71}])
def test_the_same_scores_with_another_metric_do_not_reproduce(contract: Contract, again: dict[str, Any]) -> None:
    found = judged(contract, "refit_reproduces", replace(OTHER_BYTES, refit_metrics=again))
    assert found.outcome is Outcome.FAIL
    assert "gives other hold-out metrics: f1 is 0.4 and" in found.message


def test_a_metric_that_is_undefined_both_times_is_the_same(contract: Contract) -> None:
    undefined = {"roc_auc": None, "f1": 0.4}
    assert judged(contract, "refit_reproduces", replace(OTHER_BYTES, metrics=undefined, refit_metrics=undefined)).passed


def test_both_baselines_stand_in_a_table_the_harder_one_first(contract: Contract) -> None:
    found = judged(contract, "beats_baseline")
    assert [round(row["gain"], 4) for row in found.evidence["baselines"]] == [0.1525, 0.1667]
    assert found.observed == pytest.approx((0.59 - 0.5) / 0.59)
    assert "last known rate" in found.message
    assert "on 250 hold-out rows (loss 0.5 against 0.59)" in found.message


def test_a_candidate_that_only_beats_the_constant_is_no_better_than_knowing_the_season(contract: Contract) -> None:
    seasonal = replace(SOUND, recent_loss=0.49)
    found = judged(contract, "beats_baseline", seasonal, min_gain_over_baseline=0.0)
    assert found.outcome is Outcome.FAIL
    assert "last known rate" in found.message
    assert judged(contract, "beats_baseline", replace(seasonal, recent_loss=0.51), min_gain_over_baseline=0.0).passed


def test_as_good_as_a_constant_does_not_beat_it_even_where_no_gain_is_required(contract: Contract) -> None:
    found = judged(contract, "beats_baseline", replace(SOUND, loss=0.59), min_gain_over_baseline=0.0)
    assert found.outcome is Outcome.FAIL
    assert "it must be above 0" in found.message


@given(loss=st.floats(0.01, 2), constant=st.floats(0.01, 2), recent=st.floats(0.01, 2), required=st.floats(0, 0.5))
def test_it_passes_exactly_when_it_beats_the_better_of_both_by_the_required_share(
    contract: Contract, loss: float, constant: float, recent: float, required: float
) -> None:
    evidence = replace(SOUND, loss=loss, baseline_loss=constant, recent_loss=recent)
    gain = min((constant - loss) / constant, (recent - loss) / recent)
    found = judged(contract, "beats_baseline", evidence, min_gain_over_baseline=required)
    assert found.passed is (gain >= required and gain > 0)


def test_every_use_is_shown_beside_its_limit_set_or_not(contract: Contract) -> None:
    found = judged(contract, "within_budget", cost_per_hour=3.0)
    assert [(row["used"], row["limit"]) for row in found.evidence["budget"]] == [
        (12.0, 600.0),
        (512.0, None),
        (pytest.approx(0.01), None),
    ]
    assert (found.observed, found.threshold) == (12.0, 600.0)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_memory_mb": 500.0}, "peak memory during the fit is 512 MiB; allowed is at most 500 MiB"),
        ({"max_cost": 0.005, "cost_per_hour": 3.0}, "cost of the fit is 0.01; allowed is at most 0.005"),
        (
            {"max_memory_mb": 500.0, "max_cost": 0.005, "cost_per_hour": 3.0},
            "peak memory during the fit is 512 MiB; allowed is at most 500 MiB",
        ),
    ],
)
def test_the_first_limit_that_is_broken_is_named(contract: Contract, limits: dict[str, Any], message: str) -> None:
    found = judged(contract, "within_budget", **limits)
    assert (found.outcome, found.message) == (Outcome.FAIL, message)


def test_the_tightest_of_the_limits_that_hold_is_the_one_shown(contract: Contract) -> None:
    found = judged(contract, "within_budget", max_memory_mb=513.0)
    assert (found.outcome, found.observed, found.threshold) == (Outcome.PASS, 512.0, 513.0)


def test_a_limit_on_what_was_not_measured_holds_the_gate_and_a_broken_one_comes_before_it(contract: Contract) -> None:
    unmeasured = replace(SOUND, memory_mb=None, memory_of=None)
    assert judged(contract, "within_budget", unmeasured).passed
    assert judged(contract, "within_budget", unmeasured, max_memory_mb=500.0).outcome is Outcome.NO_DATA
    slow = judged(contract, "within_budget", replace(unmeasured, duration_s=700.0), max_memory_mb=500.0)
    assert (slow.outcome, slow.observed) == (Outcome.FAIL, 700.0)


def test_a_peak_that_may_stem_from_before_the_fit_is_called_so(contract: Contract) -> None:
    found = judged(contract, "within_budget", replace(SOUND, memory_of="process"), max_memory_mb=500.0)
    assert found.message.startswith("peak memory of the process since its start is 512 MiB")


@pytest.mark.parametrize("who", WHO[1:])
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (FEATURES[:2], "has nothing at position 3 where the feature snapshot has weekend (boolean); 1 place differs"),
        (
            (FEATURES[1], FEATURES[0], FEATURES[2]),
            "has distance (numeric) at position 1 where the",
        ),
        ((FEATURES[0], ("distance", "categorical"), FEATURES[2]), "has distance (categorical) at position 2"),
        ((*FEATURES, ("extra", "numeric")), "has extra (numeric) at position 4 where the feature snapshot has nothing"),
    ],
    ids=["missing", "other order", "other kind", "one more"],
)
def test_names_order_and_kinds_must_be_the_snapshots(
    contract: Contract, who: str, found: tuple[tuple[str, str], ...], said: str
) -> None:
    verdicts = training_gate(replace(SOUND, signatures=SOUND.signatures | {who: found}), contract=contract)
    assert [each.check for each in verdicts if not each.passed] == ["signature_matches_features"]
    assert said in verdict(verdicts, "signature_matches_features").message


def test_many_differences_are_counted_in_full_and_shown_in_part(contract: Contract) -> None:
    many = tuple((f"f{number}", "numeric") for number in range(300))
    found = judged(
        contract, "signature_matches_features", replace(SOUND, signatures=dict.fromkeys(WHO, many) | {"bundle": many[::-1]})
    )
    assert (len(found.evidence["differences"]), found.evidence["places_that_differ"]) == (20, 300)


@pytest.mark.parametrize(
    ("path", "item"),
    [
        (("params",), "hyper-parameters"),
        (("seed",), "seed"),
        (("environment", "python"), "Python"),
        (("environment", "platform"), "platform"),
        (("environment", "packages"), "package versions"),
        (("environment", "threads"), "threads of the fit"),
        (("code", "estimator"), "estimator's version"),
        (("code", "product"), "product version"),
        (("code", "commit"), "code commit"),
        (("feature_pipeline",), "feature pipeline"),
        (("dataset",), "data set"),
        (("label",), "label"),
        (("window", "train_end"), "windows"),
        (("files",), "model files"),
        (("calibration", "kind"), "calibration"),
    ],
)
def test_what_the_manifest_lacks_is_named(contract: Contract, path: tuple[str, ...], item: str) -> None:
    lacking = {name: dict(value) if isinstance(value, dict) else value for name, value in MANIFEST.items()}
    part = lacking[path[0]] if len(path) > 1 else lacking
    del part[path[-1]]
    found = judged(contract, "recorded_for_reproduction", replace(SOUND, recorded=recorded(lacking)))
    assert found.outcome is Outcome.FAIL
    assert found.message.startswith(f"the manifest does not record {item};")
    assert found.evidence["record"][0] == {"item": item, "recorded": "—"}


def test_an_unknown_commit_and_a_changed_working_tree_pass_and_are_said(contract: Contract) -> None:
    for code, said in (
        ({"commit": None, "dirty": None}, "code commit: not known: the feature code stands in no git checkout"),
        ({"commit": "3f7a", "dirty": True}, "code commit: 3f7a, working tree had changes"),
    ):
        manifest = {**MANIFEST, "code": {**MANIFEST["code"], **code}}
        found = judged(contract, "recorded_for_reproduction", replace(SOUND, recorded=recorded(manifest)))
        assert found.passed
        assert said in found.message


def test_a_seed_that_the_estimator_does_not_take_is_not_shown_as_if_it_did() -> None:
    assert recorded(MANIFEST)["seed"] == "7"
    untaken = recorded({**MANIFEST, "params": {"C": 1.0}})["seed"]
    assert untaken == "7, which the estimator does not take as a parameter"


def test_an_empty_manifest_records_nothing() -> None:
    assert set(recorded({}).values()) == {None}


def test_evidence_survives_json_and_a_lost_number_is_not_measured(contract: Contract) -> None:
    assert TrainingEvidence.from_json(SOUND.to_json()) == SOUND
    lost = TrainingEvidence.from_json(replace(SOUND, loss=float("nan")).to_json())
    assert judged(contract, "beats_baseline", lost).outcome is Outcome.NO_DATA


def test_evidence_of_an_earlier_release_is_still_read() -> None:
    old = {"duration_s": 12.0, "loss": 0.5, "baseline_loss": 0.6, "loss_rows": 250}
    assert TrainingEvidence.from_json(old).signatures == {}
