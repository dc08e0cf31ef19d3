"""``retrain audit retention``: lists without touching anything, deletes with a reason, and verify knows what was deleted."""

from __future__ import annotations

from datetime import timedelta

from retrain_assets.home import ReplayClock
from retrain_assets.ledger import EventKind

from .conftest import Run, parsed
from .world import MODEL, RUTH, SECOND, TOGGLE, World


def years_later(world: World, days: int = 900) -> None:
    """Move the home's clock on."""
    clock = ReplayClock(world.home.replay_clock_path)
    clock.set(world.home.clock.now() + timedelta(days=days))


def test_nothing_is_past_its_time_in_a_young_home(ramping: World, run: Run) -> None:
    result = run("audit", "retention")
    assert "nothing is past its time" in result.stdout
    assert "400d" in result.stdout
    assert "3650d" in result.stdout


def test_what_is_past_its_time_is_listed_and_nothing_is_touched(ramping: World, run: Run) -> None:
    ramping.controller.rollback(TOGGLE, RUTH, "over")
    years_later(ramping)
    before = sorted(ramping.home.traffic_dir.rglob("*.parquet"))
    listed = parsed(run("audit", "retention", MODEL, "--json"))
    assert {one["path"] for one in listed[0]["due"]} == {str(path) for path in before}
    assert all(one["rows"] and one["first"] <= one["last"] < one["kept_until"] for one in listed[0]["due"])
    shown = run("audit", "retention", MODEL).stdout
    assert f"retrain audit retention {MODEL} --apply" in shown
    assert sorted(ramping.home.traffic_dir.rglob("*.parquet")) == before


def test_applying_deletes_records_and_leaves_nothing_for_verify_to_find(ramping: World, run: Run, act: Run) -> None:
    ramping.controller.rollback(TOGGLE, RUTH, "over")
    years_later(ramping)
    result = act("audit", "retention", MODEL, "--apply")
    assert "deleted" in result.stdout
    assert "nothing is past its time" in result.stdout
    assert list(ramping.home.traffic_dir.rglob("*.parquet")) == []
    events = [event for event in ramping.controller.ledger.events() if event.kind is EventKind.RETENTION_APPLIED]
    assert [event.payload["kind"] for event in events] == ["traffic"]
    assert "nothing to delete" in act("audit", "retention", MODEL, "--apply").stdout
    run("audit", "verify")


def test_deleted_records_are_no_fault_and_missing_ones_are(ramping: World, run: Run, act: Run) -> None:
    ramping.controller.reject(MODEL, SECOND, RUTH, "over")
    years_later(ramping, 4000)
    evidence = ramping.controller.evidence
    before = set(evidence.directory.rglob("*.json"))
    act("audit", "retention", MODEL, "--apply", "--records")
    assert set(evidence.directory.rglob("*.json")) < before
    run("audit", "verify")
    next(iter(sorted(evidence.directory.rglob("*.json")))).unlink()
    assert "is missing" in run("audit", "verify", code=4).stdout


def test_deleting_takes_a_reason_and_a_name(ramping: World, run: Run) -> None:
    assert "a reason is missing" in run("audit", "retention", MODEL, "--apply", code=1).stderr
    assert "nobody is named" in run("audit", "retention", MODEL, "--apply", "--reason", "due", code=1).stderr
    assert "add --apply" in run("audit", "retention", MODEL, "--records", code=1).stderr
