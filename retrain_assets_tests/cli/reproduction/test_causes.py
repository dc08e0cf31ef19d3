"""What was changed is found, and named: each cause by changing exactly that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.cli.reproduction import CauseKind, Depth, Result, Status
from retrain_assets.cli.reproduction.bench import Bench
from retrain_assets.cli.reproduction.causes import packages_differ, platform_differs
from retrain_assets.cli.reproduction.data import dataset_results, feature_results
from retrain_assets.cli.reproduction.decision import decision_results
from retrain_assets.cli.reproduction.look_causes import traffic_causes
from retrain_assets.cli.reproduction.looks import look_results
from retrain_assets.cli.reproduction.model import candidate_results, evaluation_results
from retrain_assets.cli.reproduction.packs import pack_results
from retrain_assets.cli.reproduction.results import compared
from retrain_assets.cli.reproduction.verdicts import gate_records, judged_again
from retrain_assets.compute import LocalCompute, StageRequest
from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.ledger import SYSTEM, EventDraft, EventKind, Ledger
from retrain_assets.release import ReleaseController
from retrain_assets_tests.cli.reproduction.conftest import Promoted, kinds, only
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN
from retrain_assets_tests.simulation import contract_with

FURTHER = "2024-03-10"


def until_model(bench: Bench) -> Iterator[Result]:
    yield from dataset_results(bench)
    yield from feature_results(bench)
    yield from candidate_results(bench)


def test_changed_feature_code_is_named_with_function_and_file(promoted: Promoted, tmp_path: Path) -> None:
    promoted.code.write_text(promoted.code.read_text() + "\n# changed since\n")

    results = list(dataset_results(bench := promoted.bench(tmp_path / "scratch"))) + list(feature_results(bench))

    code = only(results, "feature code")
    assert kinds(code) == {CauseKind.FEATURE_CODE}
    assert "reproduced_features.build in " in code.causes[0].text
    assert str(promoted.code) in code.causes[0].text
    assert kinds(only(results, "data set → features")) == {CauseKind.FEATURE_CODE}
    assert {one.status for one in results if one.what == "stored snapshot"} == {Status.EQUAL}


def test_another_package_version_and_another_platform_are_told_apart_with_then_and_now(promoted: Promoted) -> None:
    stored = promoted.stored()
    manifest, here = stored.manifest, stored.contract
    assert manifest is not None
    packages = {**manifest.environment["packages"], "numpy": "1.0.0"}
    older = replace(manifest, environment={**manifest.environment, "packages": packages})
    elsewhere = replace(manifest, environment={**manifest.environment, "platform": "sunos-sparc", "threads": 64})

    (package,), (platform,) = packages_differ(older, here), platform_differs(elsewhere, here)

    assert (package.kind, package.text) == (CauseKind.PACKAGES, f"numpy 1.0.0 → {manifest.environment['packages']['numpy']}")
    assert platform.kind is CauseKind.PLATFORM
    assert "platform sunos-sparc → " in platform.text
    assert "threads 64 → " in platform.text
    assert list(packages_differ(elsewhere, here)) == list(platform_differs(older, here)) == []


def test_thresholds_that_no_recorded_contract_has_are_named_as_another_contract(promoted: Promoted, tmp_path: Path) -> None:
    controller = ReleaseController.open(promoted.home)
    controller.launch_retrain(contract_with(features="reproduced_features.build"), FURTHER, {"kind": "person"}, SYSTEM)
    shutil.copytree(promoted.stage("dataset"), promoted.home.stage_dir(MODEL, FURTHER, "dataset"))
    record = gate_records(promoted.stored(), Gate.DATA)[0]
    assert record.document is not None
    laxer = [
        Verdict.from_json({**one, "threshold": 1} if one["check"] == "enough_rows" else one)
        for one in record.document["verdicts"]
    ]
    subjects = {**record.event.payload["subjects"], "limits": "sha256:" + "0" * 64}
    controller.record_gate(MODEL, FURTHER, Gate.DATA, laxer, subjects)

    gate = only(list(dataset_results(promoted.bench(tmp_path / "scratch", retrain=FURTHER))), "gate data")

    assert kinds(gate) == {CauseKind.CONTRACT}
    assert gate.why.startswith("enough_rows")
    assert "judged by thresholds sha256:000000" in gate.causes[0].text


def test_source_rows_that_were_removed_and_changed_are_counted(promoted: Promoted, tmp_path: Path) -> None:
    path = promoted.home.root / "sources" / "accounts.parquet"
    rows = pl.read_parquet(path)
    cost = pl.when(pl.col("account") == "a001500").then(9.0).otherwise(pl.col("tenure"))
    rows.filter(~pl.col("account").is_in(["a001000", "a001001"])).with_columns(tenure=cost).write_parquet(path)

    again = only(list(dataset_results(promoted.bench(tmp_path / "scratch", Depth.FULL))), "taken from the source")

    assert CauseKind.SOURCE in kinds(again)
    assert again.causes[0].text == "2 rows removed, 0 added, 1 changed (tenure: 1)"


def test_a_changed_stage_output_is_named_and_later_steps_rest_on_the_same_made_again(promoted: Promoted, tmp_path: Path) -> None:
    path = promoted.stage("features") / "features" / "holdout.parquet"
    about = {"retrain_assets": pl.read_parquet_metadata(path)["retrain_assets"]}
    pl.read_parquet(path).with_columns(silence=pl.lit(0.0)).write_parquet(path, metadata=about)

    results = list(until_model(promoted.bench(tmp_path / "scratch")))

    stored = next(one for one in results if (one.step, one.what) == ("2 features", "stored snapshot"))
    assert kinds(stored) == {CauseKind.STAGE_OUTPUT}
    assert only(results, "data set → features").status is Status.EQUAL
    assert only(results, "features → candidate").status is Status.EQUAL


def test_a_changed_bundle_is_named_and_nothing_is_decided_on_it(promoted: Promoted, tmp_path: Path) -> None:
    for path in promoted.home.root.rglob("model.skops"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    bundle = only(list(until_model(promoted.bench(tmp_path / "scratch", Depth.FAST))), "stored bundle")
    decision = only(list(decision_results(promoted.stored())), "decision")

    assert kinds(bundle) == {CauseKind.STAGE_OUTPUT}
    assert "model.skops" in bundle.causes[0].text
    assert kinds(decision) == {CauseKind.EVIDENCE}


def test_a_result_that_says_another_measurement_gives_other_verdicts(promoted: Promoted, tmp_path: Path) -> None:
    path = promoted.stage("evaluation") / "result.json"
    told = json.loads(path.read_text())
    told["metadata"]["evaluation"]["metrics"][0]["candidate"] = 0.99
    path.write_text(json.dumps(told))
    bench = promoted.bench(tmp_path / "scratch", Depth.FAST)

    gate = only(list(evaluation_results(bench)), "gate offline, on what")

    assert kinds(gate) == {CauseKind.STAGE_OUTPUT}
    assert "roc_auc" in gate.why


@pytest.mark.parametrize("kind", ["exposures", "outcomes"])
def test_a_removed_traffic_file_is_named(promoted: Promoted, tmp_path: Path, kind: str) -> None:
    path = sorted(getattr(promoted.home, f"{kind}_dir")(MODEL).iterdir())[-1]
    path.unlink()

    last = [one for one in look_results(promoted.stored(), tmp_path / "looks") if one.what.startswith("look ")][-1]

    assert kinds(last) == {CauseKind.TRAFFIC}
    assert last.causes[0].text == f"1 files of {kind} are gone: {path.name}"


def test_a_changed_traffic_file_is_named(promoted: Promoted, tmp_path: Path) -> None:
    path = sorted(promoted.home.outcomes_dir(MODEL).iterdir())[-1]
    pl.read_parquet(path).with_columns(cost=pl.col("cost") + 1.0).head(900).write_parquet(path)

    looks = [one for one in look_results(promoted.stored(), tmp_path / "looks") if one.what.startswith("look ")]

    assert looks[0].status is Status.EQUAL
    assert kinds(looks[-1]) == {CauseKind.TRAFFIC}
    assert path.name in looks[-1].causes[0].text


def test_traffic_that_retention_deleted_is_no_difference_but_its_event(promoted: Promoted, tmp_path: Path) -> None:
    for path in promoted.home.exposures_dir(MODEL).iterdir():
        path.unlink()
    at = promoted.stored().events[-1].at
    ledger = Ledger(promoted.home.ledger_url)
    applied = ledger.append(EventDraft(at, SYSTEM, EventKind.RETENTION_APPLIED, MODEL, "older than 400d", payload={"files": []}))

    looks = [one for one in look_results(promoted.stored(), tmp_path / "looks") if one.what.startswith("look ")]

    assert looks[-1].status is Status.NOT_RECOMPUTED
    assert kinds(looks[-1]) == {CauseKind.RETENTION}
    assert f"event {applied.sequence} " in looks[-1].why
    assert not looks[-1].missing


def test_an_estimator_that_is_not_deterministic_is_named_though_every_input_is_equal(promoted: Promoted, tmp_path: Path) -> None:
    estimator = "retrain_assets_tests.faults.estimators.forest_seeded_by_the_clock"
    trainer = {"estimator": estimator, "params": {"n_estimators": 3}}
    contract = contract_with(features="reproduced_features.build", trainer=trainer)
    controller, stages = ReleaseController.open(promoted.home), promoted.home.stage_dir(MODEL, FURTHER, "").parent
    shutil.copytree(promoted.stage("").parent / RETRAIN, stages / FURTHER)
    controller.launch_retrain(contract, FURTHER, {"kind": "person"}, SYSTEM)
    asked = StageRequest(
        stage="training",
        model=MODEL,
        retrain=FURTHER,
        contract=contract.to_json(),
        inputs={name: str(promoted.stage(name) / name) for name in ("dataset", "features")},
        output_dir=str(promoted.home.stage_dir(MODEL, FURTHER, "training")),
    )
    fitted = LocalCompute().run(asked)
    subjects = {**promoted.stored().subjects, "bundle": fitted.outputs["bundle"]["digest"]}
    registered = {"version": "3", "bundle": subjects["bundle"], "subjects": subjects}
    at = controller.state(MODEL).retrains[FURTHER].launched_at
    draft = EventDraft(at, SYSTEM, EventKind.CANDIDATE_REGISTERED, MODEL, "candidate registered", FURTHER, payload=registered)
    controller.ledger.append(draft)

    results = list(until_model(promoted.bench(tmp_path / "scratch", retrain=FURTHER)))

    assert kinds(only(results, "features → candidate")) == {CauseKind.NOT_DETERMINISTIC}
    assert only(results, "data set → features").status is Status.EQUAL


def test_missing_evidence_is_named_and_the_same_made_again_told(promoted: Promoted, tmp_path: Path) -> None:
    stored = promoted.stored()
    for record in gate_records(stored, Gate.DATA):
        stored.evidence.path(record.digest).unlink()
    look = stored.of(EventKind.CANARY_LOOKED)[-1].payload["evidence"]
    stored.evidence.path(look).unlink()

    gate = only(list(dataset_results(promoted.bench(tmp_path / "scratch"))), "gate data")
    last = [one for one in look_results(promoted.stored(), tmp_path / "looks") if one.what.startswith("look ")][-1]
    results = [*decision_results(promoted.stored()), *pack_results(promoted.stored())]

    for one in (gate, last):
        assert kinds(one) == {CauseKind.EVIDENCE}
        assert one.why == "recomputed it has the recorded digest"
    assert kinds(only(results, "approval of ruth")) == {CauseKind.EVIDENCE}
    assert CauseKind.EVIDENCE in kinds(only(results, "evidence pack"))


def test_a_cleared_stage_output_cannot_be_recomputed_and_the_command_says_so(promoted: Promoted) -> None:
    shutil.rmtree(promoted.stage("dataset"))

    done = CliRunner().invoke(app, ["audit", "reproduce", MODEL, RETRAIN, "--fast"])

    assert "is not there" in done.stdout
    assert done.exit_code in (3, 4)
    assert len(done.stderr.strip().splitlines()) == 1


def test_only_the_limit_of_a_measured_time_is_compared(promoted: Promoted) -> None:
    record = gate_records(promoted.stored(), Gate.TRAINING)[0]
    assert record.document is not None
    verdicts = [Verdict.from_json(one) for one in record.document["verdicts"]]
    slower, over = (
        [replace(one, **changes) if one.check == "within_budget" else one for one in verdicts]
        for changes in ({"message": "took twice as long"}, {"outcome": Outcome.FAIL})
    )

    assert judged_again("4 gates", "gate training", record, slower, (), clock=True).status is Status.EQUAL
    assert judged_again("4 gates", "gate training", record, slower, ()).status is Status.DIFFERENT
    assert kinds(judged_again("4 gates", "gate training", record, over, (), clock=True)) == {CauseKind.MEASURED}


def test_numbers_that_differ_in_their_last_digits_alone_were_added_in_another_order(promoted: Promoted) -> None:
    stored = promoted.stored()
    event = stored.of(EventKind.CANARY_LOOKED)[-1]
    document = stored.evidence.get(event.payload["evidence"])
    text = json.dumps(document)
    estimate = document["results"][0]["estimate"]
    again = json.loads(text.replace(repr(estimate), repr(estimate * (1 + 1e-14))))

    told = traffic_causes(stored, compared("5 canary", "look", "sha256:a", "sha256:b"), event, document, again)

    assert again != document
    assert kinds(told) == {CauseKind.ROUNDING}
