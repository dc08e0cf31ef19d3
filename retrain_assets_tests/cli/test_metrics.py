"""``retrain metrics``: the ledger's metrics, as Prometheus' own parser reads them, bounded and without a unit."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from retrain_assets.ledger import EventKind
from retrain_assets.release import metrics as ledger
from retrain_assets.release.metrics_file import keep_metrics_file, metrics_text

from .conftest import Run
from .world import MODEL, RUTH, SECOND, World

Samples = dict[str, list[tuple[dict[str, str], float]]]


def read(text: str) -> Samples:
    families = list(text_string_to_metric_families(text))
    assert len({one.name for one in families}) == len(families)
    return {one.name: [(sample.labels, sample.value) for sample in one.samples] for one in families}


def test_a_ramping_toggle_and_its_retrains_are_told(ramping: World, run: Run) -> None:
    found = read(run("metrics").stdout)
    assert found["retrain_release_toggle_active_share"] == [({"model": MODEL, "stage": "50"}, 0.5)]
    assert {one["ending"]: value for one, value in found["retrain_release_retrains"]} == {"bootstrapped": 1, "open": 1}
    assert ({"model": MODEL, "state": "ramping"}, 1.0) in found["retrain_release_toggles"]
    assert 0 < found["retrain_release_toggle_days_to_expiry"][0][1] < 20
    outcomes = {(one["gate"], one["outcome"]) for one, _ in found["retrain_release_verdicts"]}
    assert ("data", "pass") in outcomes
    head = found["retrain_release_ledger_head"][0][1]
    assert head == ramping.controller.ledger.head()[0] == sum(value for _, value in found["retrain_events"])
    assert found["retrain_release_approvals_missing"] == []


def test_an_approval_that_waits_is_told(awaiting: World, run: Run) -> None:
    found = read(run("metrics").stdout)
    assert found["retrain_release_approvals_missing"] == [({"model": MODEL}, 1.0)]
    assert ({"model": MODEL, "kind": str(EventKind.CANARY_LOOKED)}, 1.0) in found["retrain_events"]


def test_names_of_checks_are_bounded(ramping: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOST_CHECKS", 0)
    found = read(metrics_text(ramping.controller))["retrain_release_verdicts"]
    assert {one["check"] for one, _ in found} == {"other"}


def test_no_unit_and_no_person_is_a_label(awaiting: World, run: Run) -> None:
    names = {name for samples in read(run("metrics").stdout).values() for labels, _ in samples for name in labels}
    assert names == {"model", "kind", "ending", "gate", "check", "outcome", "state", "stage"}


def test_the_file_is_written_when_something_was_recorded(ramping: World) -> None:
    controller, home = ramping.controller, ramping.home
    assert keep_metrics_file(controller, home)
    assert not keep_metrics_file(controller, home)
    controller.hold(f"{MODEL}-{SECOND}", RUTH, "a look first")
    assert keep_metrics_file(controller, home)
    assert "held" in (home.metrics_dir / "ledger.prom").read_text()
    assert [file.name for file in home.metrics_dir.iterdir()] == ["ledger.prom"]


def test_a_home_without_a_record_says_so(run: Run) -> None:
    assert "there is no ledger here" in run("metrics", code=3).stderr
