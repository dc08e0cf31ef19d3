"""What is past its time is found and, recorded first, deleted; what anything still needs stays whatever its age."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from retrain_assets.contract import Contract, CustodyError, Gate
from retrain_assets.ledger import Event, EventDraft, EventKind
from retrain_assets.release import deletions
from retrain_assets.release.deletions import apply_retention, deleted_by_retention, left_over, untimely
from retrain_assets.release.retention import Kept, ModelRetention, retention_of
from retrain_assets_tests.release.world import CONTRACT, MODEL, RUTH, START, World

RULES = {"class": "high_risk", "records": "700d", "traffic": "200d"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, contract=kept())


def kept(**changes: str) -> Contract:
    """The contract with its retention."""
    return Contract.model_validate({**CONTRACT, "retention": {**RULES, **changes}})


def write_day(world: World, day: datetime, *, kind: str = "exposures", days: float = 1.0) -> Path:
    """A traffic file whose rows are of some days from a moment on."""
    folder = world.home.exposures_dir(MODEL) if kind == "exposures" else world.home.outcomes_dir(MODEL)
    folder.mkdir(parents=True, exist_ok=True)
    column = {"exposures": "exposed_at", "outcomes": "observed_at"}[kind]
    moments = [day, day + timedelta(days=days) - timedelta(minutes=1)]
    path = folder / f"{day:%Y-%m-%d}.parquet"
    rows = pl.DataFrame({"unit_id": ["u1", "u2"], column: moments}, schema_overrides={column: pl.Datetime("us", "UTC")})
    rows.write_parquet(path)
    return path


def found(world: World) -> ModelRetention:
    return retention_of(world.home, world.evidence, world.state, world.ledger.events(model=MODEL), world.clock.now())


def applied_events(world: World) -> list[Event]:
    return [event for event in world.ledger.events() if event.kind is EventKind.RETENTION_APPLIED]


def test_traffic_is_due_when_its_last_row_is_older_than_the_contract_asks(world: World) -> None:
    world.bootstrap()
    old, across = write_day(world, START - timedelta(days=250)), write_day(world, START - timedelta(days=201), days=2)
    young = write_day(world, START - timedelta(days=10), kind="outcomes")
    due = {one.path: one for one in found(world).of(Kept.EXPOSURES, Kept.OUTCOMES)}
    assert set(due) == {old}
    assert (due[old].rows, due[old].first) == (2, START - timedelta(days=250))
    assert due[old].until == due[old].last + timedelta(days=200)
    world.clock.forward(days=2)
    assert {one.path for one in found(world).of(Kept.EXPOSURES)} == {old, across}
    assert young.exists()


def test_copies_of_traffic_that_drift_was_measured_on_go_with_it(world: World) -> None:
    world.bootstrap()
    copy = world.home.stage_dir(MODEL, "drift-2012-12-01T0600", "drift") / "exposures.parquet"
    copy.parent.mkdir(parents=True)
    write_day(world, START - timedelta(days=250)).rename(copy)
    apply_retention(world.controller, MODEL, RUTH, "two hundred days are over")
    assert not copy.parent.parent.exists()


def test_what_an_active_toggle_looks_at_stays(world: World) -> None:
    world.arm()
    before, within = write_day(world, START - timedelta(days=5)), write_day(world, START + timedelta(days=1))
    world.clock.forward(days=300)
    assert {one.path for one in found(world).of(Kept.EXPOSURES)} == {before}
    assert within.exists()


def test_applying_records_digest_rows_and_time_and_then_deletes(world: World) -> None:
    world.bootstrap()
    path = write_day(world, START - timedelta(days=250))
    digest = deletions.digest_of_file(path)
    done = apply_retention(world.controller, MODEL, RUTH, "two hundred days are over")
    assert not path.exists()
    assert done.deleted == (path,)
    (event,) = applied_events(world)
    assert (event.actor, event.reason) == (RUTH, "two hundred days are over")
    assert event.payload["policy"] == {"class": "high_risk", "records": "700d", "traffic": "200d"}
    (file,) = event.payload["files"]
    assert file["path"] == f"traffic/{MODEL}/exposures/{path.name}"
    assert (file["digest"], file["rows"], file["first"][:10]) == (digest, 2, f"{START - timedelta(days=250):%Y-%m-%d}")


def test_applying_twice_adds_nothing(world: World) -> None:
    world.bootstrap()
    write_day(world, START - timedelta(days=250))
    apply_retention(world.controller, MODEL, RUTH, "due")
    head = world.ledger.head()
    assert apply_retention(world.controller, MODEL, RUTH, "due").events == ()
    assert world.ledger.head() == head


def test_a_run_that_died_after_the_event_is_finished_by_the_next(world: World) -> None:
    """What such a run leaves: the event, and files it had no time to delete."""
    world.bootstrap()
    paths = [write_day(world, START - timedelta(days=250 + day)) for day in range(3)]
    content = {path: path.read_bytes() for path in paths}
    apply_retention(world.controller, MODEL, RUTH, "due")
    for path in paths[1:]:
        path.write_bytes(content[path])
    assert set(left_over(world.home, world.ledger.events())) == set(paths[1:])
    done = apply_retention(world.controller, MODEL, RUTH, "due")
    assert (done.events, set(done.deleted)) == ((), set(paths[1:]))
    assert len(applied_events(world)) == 1
    assert not any(path.exists() for path in paths)


def test_a_file_that_changed_after_it_was_recorded_stays(world: World) -> None:
    """Rows that came in between are not deleted with the old ones."""
    world.bootstrap()
    path = write_day(world, START - timedelta(days=250))
    apply_retention(world.controller, MODEL, RUTH, "due")
    write_day(world, START - timedelta(days=250), days=260)
    done = apply_retention(world.controller, MODEL, RUTH, "due")
    assert (done.deleted, done.changed) == ((), (path,))
    assert path.exists()


def stopped(world: World, retrain: str) -> None:
    """A retrain that ended before traffic, with stage files and a pack."""
    world.candidate(retrain)
    for name in ("dataset", "training"):
        folder = world.home.stage_dir(MODEL, retrain, name)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
    pack = world.evidence.put({"pack": retrain})
    world.controller.record_audit(MODEL, retrain, pack)
    page = world.home.reports_dir(MODEL) / f"{retrain}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(retrain)
    world.controller.reject(MODEL, retrain, RUTH, "not this one")


def test_records_of_an_ended_retrain_are_due_when_its_time_is_over(world: World) -> None:
    world.bootstrap()
    stopped(world, "2013-07-01")
    world.clock.forward(days=699)
    assert found(world).of(Kept.EVIDENCE, Kept.STAGE, Kept.PACK, Kept.BUNDLE) == []
    world.clock.forward(days=2)
    due = found(world)
    assert {one.retrain for one in due.due} == {"2013-07-01"}
    assert [one.path.parent.name for one in due.of(Kept.STAGE) if one.path] == ["dataset", "training"]
    assert len(due.of(Kept.PACK)) == len(due.of(Kept.BUNDLE)) == 1
    kept = world.state.retrains["2013-07-01"].contract_digest
    named = {one.digest for one in due.of(Kept.EVIDENCE)}
    assert kept not in named, "the champion's retrain names the same contract"
    assert world.state.retrains["2013-07-01"].verdicts[Gate.DATA].evidence in named
    assert world.state.retrains["2013-07-01"].audit in named


def test_the_champion_and_what_a_rollback_restores_stay_and_say_why(world: World) -> None:
    world.promoted()
    world.clock.forward(days=2000)
    overview = found(world)
    assert overview.of(Kept.EVIDENCE, Kept.STAGE, Kept.PACK, Kept.BUNDLE) == []
    assert overview.held["2013-07-01"] == "it is champion"
    assert "restores it" in overview.held["2013-04-01"] or "champion before" in overview.held["2013-04-01"]


def test_the_longer_of_two_policies_counts(tmp_path: Path) -> None:
    world = World(tmp_path, contract=kept(records="2000d"))
    world.bootstrap()
    stopped(world, "2013-07-01")
    world.contract = kept()
    stopped(world, "2013-07-02")
    world.clock.forward(days=800)
    assert {one.retrain for one in found(world).due} == {"2013-07-02"}


def test_records_are_deleted_only_when_asked_and_verification_knows_that_they_were(world: World) -> None:
    world.bootstrap()
    stopped(world, "2013-07-01")
    world.clock.forward(days=800)
    digests = {one.digest for one in found(world).of(Kept.EVIDENCE)}
    apply_retention(world.controller, MODEL, RUTH, "traffic alone")
    assert all(digest in world.evidence for digest in digests)
    apply_retention(world.controller, MODEL, RUTH, "seven hundred days are over", records=True)
    assert not any(digest in world.evidence for digest in digests)
    assert not world.home.stage_dir(MODEL, "2013-07-01", "dataset").parent.exists()
    assert digests <= deleted_by_retention(world.ledger.events())
    assert found(world).of(Kept.EVIDENCE, Kept.STAGE, Kept.PACK) == []
    assert world.ledger.verify() == []


def test_an_event_can_not_make_it_delete_anything_elsewhere(world: World) -> None:
    world.bootstrap()
    outside = world.home.root / "ledger.db"
    file = {"path": "stages/../ledger.db", "digest": deletions.digest_of_file(outside), "bytes": 1, "kind": "exposures"}
    payload = {"kind": "traffic", "policy": {}, "files": [file]}
    world.ledger.append(EventDraft(START, RUTH, EventKind.RETENTION_APPLIED, MODEL, "x", payload=payload))
    with pytest.raises(CustodyError, match="retention is not about"):
        apply_retention(world.controller, MODEL, RUTH, "due")
    assert outside.exists()


def test_evidence_that_is_named_anew_after_its_deletion_is_not_deleted_by_the_next_run(world: World) -> None:
    """A file's name is its content: what an old retrain left may be written once more by a new one."""
    world.bootstrap()
    stopped(world, "2013-07-01")
    world.clock.forward(days=800)
    apply_retention(world.controller, MODEL, RUTH, "due", records=True)
    again = world.evidence.put({"pack": "2013-07-01"})
    assert again in deleted_by_retention(world.ledger.events())
    world.candidate("2015-10-01")
    world.controller.record_audit(MODEL, "2015-10-01", again)
    assert apply_retention(world.controller, MODEL, RUTH, "due", records=True).deleted == ()
    assert again in world.evidence
    assert again not in deleted_by_retention(world.ledger.events()), "if it goes missing now, that is a fault"


def test_evidence_that_another_model_names_stays(world: World) -> None:
    world.bootstrap()
    stopped(world, "2013-07-01")
    world.clock.forward(days=800)
    shared = world.state.retrains["2013-07-01"].audit
    payload = {"contract_digest": shared, "trigger": {"kind": "drift"}}
    world.ledger.append(EventDraft(START, RUTH, EventKind.RETRAIN_LAUNCHED, "arrival_delay", "x", "2013-07-01", payload=payload))
    apply_retention(world.controller, MODEL, RUTH, "due", records=True)
    assert shared in world.evidence
    assert untimely(world.ledger.events(), world.evidence) == {}


@pytest.mark.parametrize("records", ["1d", "700d", "soon"])
def test_an_event_that_calls_needed_evidence_deleted_deletes_nothing_and_is_named(world: World, records: str) -> None:
    world.promoted()
    world.clock.forward(days=2000)
    needed = world.state.retrains["2013-07-01"].verdicts[Gate.DATA].evidence
    path = world.evidence.path(needed)
    file = {"path": str(path.relative_to(world.home.root)), "kind": "evidence", "digest": needed, "retrain": "2013-07-01"}
    payload = {"kind": "records", "policy": {**RULES, "traffic": "1d", "records": records}, "files": [file]}
    said = world.ledger.append(EventDraft(world.clock.now(), RUTH, EventKind.RETENTION_APPLIED, MODEL, "x", payload=payload))
    assert apply_retention(world.controller, MODEL, RUTH, "due", records=True).deleted == ()
    assert path.exists()
    assert list(untimely(world.ledger.events(), world.evidence)) == [(said.sequence, needed)]


def test_a_deletion_in_time_is_still_in_time_when_the_contracts_it_went_by_are_deleted_too(world: World) -> None:
    world.bootstrap()
    for number in range(3):
        world.contract = kept(records=f"{700 + number}d")
        stopped(world, f"201{3 + number}-07-01")
        world.clock.forward(days=800)
        apply_retention(world.controller, MODEL, RUTH, "due", records=True)
    assert len(applied_events(world)) >= 2
    assert untimely(world.ledger.events(), world.evidence) == {}


def test_a_file_that_is_no_traffic_is_named_and_stays(world: World) -> None:
    world.bootstrap()
    path = write_day(world, START - timedelta(days=250))
    path.write_bytes(b"PAR1")
    overview = found(world)
    assert (overview.due, list(overview.unread)) == ((), [str(path)])


def test_rows_of_a_retrain_that_ended_go_by_a_time_of_their_own_and_its_digests_and_results_stay(tmp_path: Path) -> None:
    """A hundred models and three years of weekly snapshots would fill any disk; ten years are for what explains a decision."""
    world = World(tmp_path, contract=kept(snapshots="30d"))
    world.bootstrap()
    stopped(world, "2013-07-01")
    folder = world.home.stage_dir(MODEL, "2013-07-01", "dataset")
    (folder / "dataset").mkdir(parents=True, exist_ok=True)
    rows, result = folder / "dataset" / "train.parquet", folder / "result.json"
    pl.DataFrame({"a": [1]}).write_parquet(rows)
    result.write_text("{}")
    champions = world.home.stage_dir(MODEL, world.state.champion_history[0].retrain or "", "features") / "train.parquet"
    champions.parent.mkdir(parents=True)
    pl.DataFrame({"a": [1]}).write_parquet(champions)

    world.clock.forward(days=29)
    assert not found(world).of(Kept.SNAPSHOT)
    world.clock.forward(days=2)
    assert [one.path for one in found(world).of(Kept.SNAPSHOT)] == [rows]
    apply_retention(world.controller, MODEL, RUTH, "thirty days are over")
    assert not rows.exists()
    assert result.exists()
    assert champions.exists(), "the champion can be reproduced as long as it serves"
    (event,) = applied_events(world)
    assert event.payload["policy"]["snapshots"] == "30d"
    assert not untimely(world.ledger.events(), world.evidence)
    world.clock.forward(days=800)
    assert rows not in {one.path for one in found(world).of(Kept.SNAPSHOT, Kept.STAGE)}
    assert result in {one.path for one in found(world).of(Kept.STAGE)}
