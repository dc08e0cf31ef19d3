"""Checks of the team's own on the whole road: the example of docs/own-gates.md, as it stands there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from retrain_assets.assets.gate_checks import standing_gates
from retrain_assets.assets.road import Road
from retrain_assets.cli.reproduction import Depth, Status
from retrain_assets.cli.reproduction.bench import Bench
from retrain_assets.cli.reproduction.data import dataset_results, feature_results
from retrain_assets.cli.reproduction.looks import look_results
from retrain_assets.cli.reproduction.model import candidate_results, evaluation_results
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.contract import Contract, Gate, Outcome, Refused
from retrain_assets.contract.paths import in_module
from retrain_assets.ledger import SYSTEM, Ledger
from retrain_assets.release import Ending
from retrain_assets.reports.query.records import EventsRead
from retrain_assets_tests.pages import blocks
from retrain_assets_tests.scenarios.conftest import story_in
from retrain_assets_tests.scenarios.story import MODEL, PAUL, RETRAIN, RUTH, Story, copy_home
from retrain_assets_tests.simulation import contract_with

PACKAGE = "own_gates_team"
OWN = {
    Gate.DATA: "regions_are_covered",
    Gate.TRAINING: "silence_matters",
    Gate.OFFLINE: "loyal_accounts_are_left_alone",
    Gate.CANARY: "costs_are_seen_in_both_arms",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The contract's folder with the page's code in it."""
    root = tmp_path_factory.mktemp("own_gates")
    place = root / PACKAGE / "churn"
    place.mkdir(parents=True)
    (place / "checks.py").write_text(*blocks("own-gates.md", "python"))
    (place / "defs.yaml").write_text(*blocks("own-gates.md", "yaml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        yield place
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def contract_in(folder: Path, **parameters: Any) -> Contract:
    """The contract of the simulation with the page's checks; ``parameters`` replace those of a check."""
    own = yaml.safe_load((folder / "defs.yaml").read_text())["gates"]["own"]
    for one in own:
        one["parameters"] |= parameters.get(one["check"], {})
    return in_module(contract_with(gates__own=own), f"{PACKAGE}.churn", folder / "defs.yaml")


def under(story: Story, contract: Contract) -> Story:
    story.contract = contract
    story.__post_init__()
    return story


@pytest.fixture(scope="module")
def promoted(folder: Path, bootstrapped_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A retrain that went all the way under the page's checks. Read it, do not write into it."""
    root = tmp_path_factory.mktemp("own_promoted") / "home"
    copy_home(bootstrapped_home, root)
    with story_in(root) as story:
        under(story, contract_in(folder))
        assert story.retrain(), story.failed_checks()
        story.ramp_to_approval()
        story.approve()
        story.decide()
        yield story


def test_the_page_s_checks_are_recorded_in_their_gates_and_the_retrain_is_promoted(promoted: Story) -> None:
    retrain = promoted.retrain_state()
    assert retrain.ended is Ending.PROMOTED
    for gate, name in OWN.items():
        assert retrain.verdicts[gate].checks[name].verdict.outcome is Outcome.PASS
    (evidence,) = {retrain.verdicts[Gate.DATA].checks["regions_are_covered"].evidence}
    told = next(one for one in promoted.evidence.get(evidence)["verdicts"] if one["check"] == "regions_are_covered")
    assert [one["message"][:20] for one in told["evidence"]["findings"]] == ["rows of region north", "rows of region south"]


def test_they_are_asset_checks_that_block_as_their_gate_does(promoted: Story) -> None:
    gates = standing_gates(Road(promoted.contract))
    for asset, name in zip(("dataset", "candidate_model", "evaluation_report", "canary_report"), OWN.values(), strict=True):
        (spec,) = [one for one in gates[asset].specs if one.name == name]
        assert spec.blocking
        key = dg.AssetCheckKey(promoted.engine.road.key(asset), name)
        latest = promoted.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert latest.status.value == "SUCCEEDED", name
    assert "each region has enough rows in training" in (gates["dataset"].specs[-1].description or "")


def test_reproduction_runs_them_again_and_finds_the_same(promoted: Story, tmp_path: Path) -> None:
    stored = Stored(promoted.home, MODEL, RETRAIN, EventsRead(Ledger(promoted.home.ledger_url).events()))
    bench = Bench(stored, Depth.USUAL, tmp_path)
    steps = [dataset_results, feature_results, candidate_results, evaluation_results]
    found = [result for step in steps for result in step(bench)] + list(look_results(stored, tmp_path / "looks"))
    judged = [one for one in found if "gate" in one.what]
    assert {one.what for one in judged} >= {"gate data, source rows", "gate offline, evaluated again"}
    assert [f"{one.what}: {one.status} {one.why}" for one in judged if one.status is not Status.EQUAL] == []


def test_reproduction_tells_a_verdict_that_other_code_gives(
    promoted: Story, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (folder / "checks.py").read_text()
    stored = Stored(promoted.home, MODEL, RETRAIN, EventsRead(Ledger(promoted.home.ledger_url).events()))
    (folder / "checks.py").write_text(text + "\n# one more line\n")
    try:
        (gate,) = [one for one in dataset_results(Bench(stored, Depth.USUAL, tmp_path)) if one.what == "gate data, source rows"]
    finally:
        (folder / "checks.py").write_text(text)
    assert gate.status is Status.DIFFERENT
    assert "regions_are_covered" in gate.why
    assert "was changed since the contract was loaded" in gate.why


def test_a_check_that_does_not_hold_stops_the_retrain_and_is_overridden_by_its_name(road: Story, folder: Path) -> None:
    under(road, contract_in(folder, regions_are_covered={"least_rows": 10_000_000}))
    assert not road.retrain()
    assert list(road.failed_checks()) == ["regions_are_covered"]
    road.decide()
    assert road.retrain_state().ended is Ending.STOPPED
    for actor in (RUTH, PAUL):
        road.controller.override(MODEL, RETRAIN, "data.regions_are_covered", actor, "the limit is a typing error")
    road.decide()
    road.engine.tick("override_sensor")
    gates = {gate: record.outcome for gate, record in road.retrain_state().verdicts.items()}
    assert gates == {Gate.DATA: Outcome.FAIL, Gate.TRAINING: Outcome.PASS, Gate.OFFLINE: Outcome.PASS}
    assert road.look() == [f"{MODEL}:{RETRAIN}:arm"]


def test_code_that_changed_since_makes_the_verdicts_stale(road: Story, folder: Path, tmp_path: Path) -> None:
    under(road, contract_in(folder))
    assert road.retrain()
    later = tmp_path / PACKAGE / "churn"
    shutil.copytree(folder, later, ignore=shutil.ignore_patterns("__pycache__"))
    with (later / "checks.py").open("a") as code:
        code.write("\n# stricter from here on\n")
    changed = in_module(
        contract_with(gates__own=yaml.safe_load((later / "defs.yaml").read_text())["gates"]["own"]),
        f"{PACKAGE}.churn",
        later / "defs.yaml",
    )
    with pytest.raises(Refused, match="the contract's thresholds were changed since it was judged"):
        road.controller.register_and_arm(changed, RETRAIN, SYSTEM, "a story")
    assert road.controller.register_and_arm(contract_in(folder), RETRAIN, SYSTEM, "a story").active


def test_the_controller_demands_a_verdict_of_every_own_check(evaluated: Story, folder: Path) -> None:
    """Whatever limits somebody writes into a record: a check without a verdict keeps its gate closed."""
    contract = contract_in(folder)
    for gate, record in evaluated.retrain_state().verdicts.items():
        subjects = {**record.subjects, "limits": contract.limits_digest}
        evaluated.controller.record_gate(MODEL, RETRAIN, gate, list(record.verdicts), subjects)
    with pytest.raises(Refused, match="gate data is missing: no verdict of regions_are_covered is recorded"):
        evaluated.controller.register_and_arm(contract, RETRAIN, SYSTEM, "a story")
