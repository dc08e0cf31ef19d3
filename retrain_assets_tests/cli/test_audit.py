from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.registry import DIGEST_TAG, Registry
from retrain_assets.reports import write_pack
from retrain_assets_tests.tampering import tampered

from .conftest import Run, parsed
from .world import FIRST, MODEL, RUTH, SECOND, World


def test_everything_holds_and_each_part_says_what_it_counted(run: Run, ramping: World) -> None:
    lines = run("audit", "verify").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["chain", "evidence", "bundles", "flags", "tokens", "aliases"]
    assert all(": holds" in " ".join(line.split()) for line in lines)
    assert "2 registered versions, 4 files" in lines[2]
    document = parsed(run("audit", "verify", "--json"))
    assert document["holds"] is True
    assert [part["holds"] for part in document["parts"]] == [True] * 6


def test_a_changed_event_breaks_the_chain(run: Run, ramping: World) -> None:
    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("UPDATE events SET reason = 'something else' WHERE kind = 'champion_bootstrapped'")
    result = run("audit", "verify", code=4)
    assert "champion_bootstrapped, churn) was changed after it was recorded" in result.stdout
    assert "NOT CHECKED: the chain is broken" in result.stdout
    assert "audit verify: chain: not what was recorded" in result.stderr


def test_a_removed_event_breaks_the_chain(run: Run, ramping: World) -> None:
    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("DELETE FROM events WHERE sequence = 3")
    assert "event 3 missing" in run("audit", "verify", code=4).stdout


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_evidence_that_is_not_what_was_recorded(run: Run, ramping: World, damage: str) -> None:
    file = next(ramping.home.evidence_dir.glob("*/*.json"))
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    result = run("audit", "verify", code=4)
    assert f"evidence sha256:{file.stem[:12]}…" in result.stdout
    assert "audit verify: evidence: not what was recorded" in result.stderr


def test_an_evidence_pack_is_evidence(run: Run, ramping: World) -> None:
    pack = write_pack(ramping.home, MODEL, FIRST)
    ramping.controller.record_audit(MODEL, FIRST, pack.digest)
    (row, _) = parsed(run("audit", "list", MODEL, "--json"))
    assert (row["audit"], row["pack"], row["pack_json"]) == (pack.digest, str(pack.html), str(pack.json))
    ramping.evidence.path(pack.digest).unlink()
    assert f"evidence {pack.digest[:19]}… is missing" in run("audit", "verify", code=4).stdout


def test_a_pack_that_is_not_the_recorded_one_is_named(run: Run, ramping: World) -> None:
    pack = write_pack(ramping.home, MODEL, FIRST)
    ramping.controller.record_audit(MODEL, FIRST, pack.digest)
    pack.json.write_bytes(pack.json.read_bytes().replace(b"bootstrapped", b"promoted", 1))
    assert f"{pack.json} is not the evidence pack the ledger holds" in run("audit", "verify", code=4).stdout
    pack.json.unlink()
    run("audit", "verify")


def test_a_copied_home_is_verified_by_its_own_bundles(run: Run, ramping: World, tmp_path: Path) -> None:
    """MLflow keeps absolute folders; a backup that is verified with the original's files proves nothing."""
    copy = tmp_path / "backup"
    shutil.copytree(ramping.home.root, copy)
    assert "outside this home" not in run("audit", "verify", RETRAIN_HOME=str(copy)).stdout
    (model, *_) = sorted((copy / "mlflow-artifacts").rglob("model.txt"))
    model.write_bytes(b"another model")
    assert f"{model}: SHA-256 is" in run("audit", "verify", code=4, RETRAIN_HOME=str(copy)).stdout
    run("audit", "verify")
    shutil.rmtree(copy / "mlflow-artifacts")
    assert "read outside this home: churn version 1, churn version 2" in run("audit", "verify", RETRAIN_HOME=str(copy)).stdout


def test_a_changed_bundle_is_found_in_the_registry(run: Run, ramping: World) -> None:
    (model, *_) = sorted(ramping.home.mlflow_artifacts.rglob("model.txt"))
    model.write_bytes(b"another model")
    result = run("audit", "verify", code=4)
    assert "model.txt: SHA-256 is" in result.stdout
    assert "bundles:  BROKEN: 2 registered versions, 2 files, 1 of them not" in result.stdout
    model.unlink()
    assert "is missing" in run("audit", "verify", code=4).stdout


def test_a_version_that_cannot_be_read_does_not_hide_a_changed_one(
    run: Run, ramping: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it leaves the bundles unchecked; beside a broken one both are told."""
    import mlflow.artifacts

    registry = Registry(ramping.home.mlflow_uri)
    second, download = registry.download(MODEL, "2"), mlflow.artifacts.download_artifacts

    def slow(source: str, **options: Any) -> str:
        if source.endswith(second.as_posix()):
            raise OSError("the share does not answer")
        return str(download(source, **options))

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", slow)
    alone = run("audit", "verify", code=3)
    assert "bundles:  NOT CHECKED: churn version 2: " in alone.stdout
    (registry.download(MODEL, "1") / "model.txt").write_bytes(b"another model")
    result = run("audit", "verify", code=4)
    assert "bundles:  BROKEN: 2 registered versions" in result.stdout
    for fault in ("churn version 1: ", "model.txt: SHA-256 is", "churn version 2: ", "the share does not answer"):
        assert fault in result.stdout


def test_a_bundle_that_was_exchanged_with_all_its_digests(run: Run, ramping: World) -> None:
    """Version 2's files and tag become version 1's: whole in themselves, and not what the ledger recorded."""
    from mlflow import MlflowClient

    registry, client = Registry(ramping.home.mlflow_uri), MlflowClient(ramping.home.mlflow_uri)
    first, second = (registry.download(MODEL, version) for version in ("1", "2"))
    recorded = registry.version(MODEL, "2").bundle
    shutil.copytree(first, second, dirs_exist_ok=True)
    client.set_model_version_tag(MODEL, "2", DIGEST_TAG, registry.version(MODEL, "1").bundle)
    assert f"churn version 2 is tagged with bundle {registry.version(MODEL, '1').bundle}, the ledger has {recorded}" in (
        run("audit", "verify", code=4).stdout
    )


def test_a_registry_that_is_gone_is_a_finding_and_is_not_made_anew(run: Run, ramping: World) -> None:
    (ramping.home.root / "mlflow.db").unlink()
    result = run("audit", "verify", code=4)
    assert "the registry is gone" in result.stdout
    assert not (ramping.home.root / "mlflow.db").exists()


def test_a_registry_that_does_not_answer_is_not_taken_for_whole(run: Run, ramping: World) -> None:
    deaf = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    result = run("audit", "verify", code=3, **deaf)
    assert "bundles:  NOT CHECKED: http://127.0.0.1:9: the MLflow store does not open" in result.stdout
    assert "audit verify: bundles, aliases: could not be verified" in result.stderr
    document = parsed(run("audit", "verify", "--json", code=3, **deaf))
    assert (document["holds"], document["parts"][2]["holds"]) == (False, None)


def test_a_version_that_was_taken_out_of_the_registry(run: Run, ramping: World) -> None:
    from mlflow import MlflowClient

    MlflowClient(ramping.home.mlflow_uri).delete_model_version(MODEL, "1")
    result = run("audit", "verify", code=4)
    assert "churn version 1 is not in the registry" in result.stdout
    assert "churn@champion is nothing, the ledger says version 1" in result.stdout


def test_verify_finds_an_edited_flag_document_and_repairs_nothing(run: Run, ramping: World) -> None:
    document = ramping.flags()
    document["flags"][MODEL]["metadata"]["share"] = 1.0
    edited = json.dumps(document)
    ramping.home.flags_path.write_text(edited)
    for _ in range(2):
        assert "it is not what the ledger says; retrain reconcile writes it again" in run("audit", "verify", code=4).stdout
    assert ramping.home.flags_path.read_text() == edited
    assert "written again from the ledger" in run("reconcile").stdout
    run("audit", "verify")
    assert parsed(run("reconcile", "--json")) == {
        "flags": False,
        "tokens": False,
        "registry": [],
        "traffic": [],
        "rolled_back": [],
    }


def test_an_alias_that_was_moved_by_hand_is_found_and_reconciled(run: Run, ramping: World) -> None:
    registry = Registry(ramping.home.mlflow_uri)
    registry.set_alias(MODEL, "champion", "2")
    result = run("audit", "verify", code=4)
    assert "churn@champion is version 2, the ledger says version 1; retrain reconcile --everything" in result.stdout
    assert "churn@champion -> 1" in run("reconcile", "--everything").stdout
    run("audit", "verify")


def test_a_lost_ledger_is_broken_custody_and_no_empty_one_appears(run: Run, ramping: World) -> None:
    for file in ramping.home.root.glob("ledger.db*"):
        file.unlink()
    assert "the ledger is gone" in run("audit", "verify", code=4).stderr
    assert not (ramping.home.root / "ledger.db").exists()


def test_a_file_that_is_no_database_is_told_in_one_line(run: Run, ramping: World) -> None:
    for file in ramping.home.root.glob("ledger.db*"):
        file.unlink()
    (ramping.home.root / "ledger.db").write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    assert "file is not a database" in run("audit", "verify", code=4).stderr
    assert "file is not a database" in run("status", code=4).stderr


def test_list_and_show_are_the_record(run: Run, ramping: World) -> None:
    rows = parsed(run("audit", "list", "--json"))
    assert [(row["retrain"], row["ended"]) for row in rows] == [(FIRST, "bootstrapped"), (SECOND, None)]
    shown = parsed(run("audit", "show", MODEL, FIRST, "--json"))["events"]
    recorded = [event.to_json() for event in ramping.controller.ledger.events(model=MODEL, retrain=FIRST)]
    assert shown == recorded
    text = run("audit", "show", MODEL).stdout
    assert len(text.splitlines()) == 1 + len(ramping.controller.ledger.events(model=MODEL))
    assert "champion_bootstrapped" in text
    assert "there is no retrain '2020-01-01'" in run("audit", "show", MODEL, "2020-01-01", code=3).stderr


def test_a_home_that_was_only_half_copied_is_not_verified(run: Run, ramping: World) -> None:
    """The bundles' files are gone, the registry still names them."""
    shutil.rmtree(ramping.home.mlflow_artifacts)
    result = run("audit", "verify", code=4)
    assert "the bundle of churn version 1 is gone; restore the artifacts from a backup" in result.stdout


def test_the_platforms_record_keeps_who_gave_a_token_that_is_gone_and_who_engaged_what(
    run: Run, act: Run, ramping: World
) -> None:
    act("token", "add", "pager", "--actor", "system:pager", "--scope", "operate", "--model", MODEL, "--expires-after", "2d")
    act("token", "revoke", "pager")
    act("kill", MODEL)
    act("freeze", "add", "--from", "2024-04-10", "--to", "2024-04-12")
    act("owner", "left", "team:gone")
    head, *rows = [re.split(r"  +", line.strip()) for line in run("audit", "platform").stdout.splitlines()]
    assert head == ["event", "at", "by", "kind", "model", "what", "reason"]
    told = parsed(run("audit", "platform", "--json"))["events"]
    assert [event["sequence"] for event in told] == [int(row[0]) for row in rows]
    rows = [row for row in rows if row[2] == str(RUTH)]
    assert [row[3:6] for row in rows] == [
        ["token_added", "all", f"all models: pager: operate of {MODEL} for system:pager, until {until(ramping)}"],
        ["token_revoked", "all", "all models: pager"],
        ["kill_switch_engaged", MODEL, "-"],
        ["freeze_declared", "all", "all models: 2024-04-10 to 2024-04-12"],
        ["owner_left", "all", "all models: team:gone"],
    ]
    assert {row[6] for row in rows} == {"because of the test"}
    everything = parsed(run("audit", "show", "--json"))
    assert told == [event for event in everything["events"] if event["retrain"] is None]
    assert everything.keys() == parsed(run("audit", "platform", "--json")).keys()


def until(world: World) -> str:
    return f"{world.clock.now() + timedelta(days=2):%Y-%m-%d %H:%M} UTC"


def test_what_concerned_all_models_stands_among_a_models_events_with_what_it_was_about(
    run: Run, act: Run, ramping: World
) -> None:
    act("owner", "left", "team:accounts")
    act("freeze", "add", "--from", "2024-04-05", "--to", "2024-04-08")
    act("kill", "--all")
    act("owner", "back", "team:accounts")
    act("token", "add", "checkout", "--scope", "predict", "--actor", "system:checkout")
    said = ("owner_left  ", "freeze_declared  ", "kill_switch_engaged  ", "rolled_back  ")
    for shown in (run("audit", "show", MODEL).stdout, run("audit", "show", MODEL, SECOND).stdout):
        assert all(kind in shown for kind in said)
        assert re.search(r"all models: team:accounts +because of the test", shown)
        assert re.search(r"all models: 2024-04-05 to 2024-04-08 +because of the test", shown)
    assert "owner_back  " in run("audit", "show", MODEL).stdout
    assert "token_added" not in shown
    everything = run("audit", "show").stdout
    assert re.search(r"all models: checkout: predict for system:checkout +because of the test", everything)
    document = parsed(run("audit", "show", "--json"))
    assert len(document["events"]) == ramping.controller.ledger.head()[0]
