"""``retrain audit verify`` and ``retrain audit checkpoint``: what holds, what is broken, what could not be checked, in words."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.cli.verify import NAMES
from retrain_assets.ledger import Ledger, SystemKey
from retrain_assets.registry import DIGEST_TAG, HEAD_TAG, Registry
from retrain_assets.reports import write_pack
from retrain_assets_tests.tampering import tampered

from .conftest import Run, parsed
from .world import FIRST, MODEL, World


def test_everything_holds_and_each_part_says_what_it_counted(run: Run, ramping: World) -> None:
    lines = run("audit", "verify").stdout.splitlines()
    parts = {line.split(":")[0]: line for line in lines if not line.startswith(" ")}
    assert tuple(parts) == NAMES
    assert all(": holds: " in " ".join(line.split()) for line in parts.values())
    assert "2 registered versions, 4 files" in parts["bundles"]
    assert "1 checkpoint, the last at event " in parts["checkpoints"]
    assert "1 head in the registry and no Dagster instance here" in parts["anchors"]
    assert "1 by name alone" in parts["approvals"]
    document = parsed(run("audit", "verify", "--json"))
    assert (document["holds"], document["first_broken"]) == (True, None)
    assert [(part["part"], part["holds"], part["faults"]) for part in document["parts"]] == [(name, True, []) for name in NAMES]


def test_a_changed_event_breaks_the_chain(run: Run, ramping: World) -> None:
    """What follows the ledger is not compared with a broken one: reconciling would make it follow that."""
    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("UPDATE events SET reason = 'something else' WHERE kind = 'champion_bootstrapped'")
    result = run("audit", "verify", code=4)
    assert "champion_bootstrapped, churn) was changed after it was recorded" in result.stdout
    for part in ("flags:", "tokens:", "aliases:"):
        assert re.search(rf"(?m)^{part} +NOT CHECKED", result.stdout)
    assert "audit verify: chain broken: event " in result.stderr
    assert "keep all files as they are and see docs/verification.md" in result.stderr
    document = parsed(run("audit", "verify", "--json", code=4))
    assert document["first_broken"]["part"] == "chain"
    assert "was changed after it was recorded" in document["first_broken"]["fault"]


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
    assert f"audit verify: evidence broken: evidence sha256:{file.stem[:12]}…" in result.stderr


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
    assert "bundles:     BROKEN: 1 fault in 2 registered versions, 2 files" in result.stdout
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
    assert "bundles:     NOT CHECKED: churn version 2: " in alone.stdout
    (registry.download(MODEL, "1") / "model.txt").write_bytes(b"another model")
    result = run("audit", "verify", code=4)
    assert "bundles:     BROKEN: 2 faults in 2 registered versions" in result.stdout
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
    assert "bundles:     NOT CHECKED: http://127.0.0.1:9: the MLflow store does not open" in result.stdout
    assert "aliases:     NOT CHECKED: for the same reason as bundles" in result.stdout
    assert "audit verify: bundles, aliases, anchors: could not be verified" in result.stderr
    document = parsed(run("audit", "verify", "--json", code=3, **deaf))
    assert (document["holds"], document["parts"][NAMES.index("bundles")]["holds"]) == (False, None)


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


def test_a_home_that_was_only_half_copied_is_not_verified(run: Run, ramping: World) -> None:
    """The bundles' files are gone, the registry still names them."""
    shutil.rmtree(ramping.home.mlflow_artifacts)
    result = run("audit", "verify", code=4)
    assert "the bundle of churn version 1 is gone; restore the artifacts from a backup" in result.stdout


def test_a_checkpoint_can_be_made_at_any_time_and_is_made_once(run: Run, ramping: World) -> None:
    made = parsed(run("audit", "checkpoint", "--json"))
    sequence, head = ramping.controller.ledger.head()
    assert made["anchor"] == f"{sequence}:{head}"
    assert (made["statement"]["sequence"], made["statement"]["head"]) == (sequence, head)
    again = run("audit", "checkpoint").stdout
    assert f"checkpoint: event {sequence}, head {head}" in again
    assert f"keep elsewhere: {sequence}:{head}" in again
    assert [one.sequence for one in ramping.controller.ledger.checkpoints()][-1:] == [sequence]
    assert f"2 checkpoints, the last at event {sequence}" in run("audit", "verify").stdout


def test_a_key_known_from_elsewhere_pins_the_newest_checkpoint(run: Run, ramping: World, tmp_path: Path) -> None:
    own = f"{ramping.home.system_key_path}.pub"
    assert "--system-key" not in run("audit", "verify", "--system-key", own).stdout
    SystemKey.open(tmp_path / "stranger")
    result = run("audit", "verify", "--system-key", str(tmp_path / "stranger.pub"), code=4)
    assert "not with the system key given" in result.stdout
    assert "audit verify: checkpoints broken: " in result.stderr
    (tmp_path / "letter.txt").write_text("Dear auditor,")
    assert (
        "letter.txt: it is not a public SSH key"
        in run("audit", "verify", "--system-key", str(tmp_path / "letter.txt"), code=3).stderr
    )
    assert "cannot be read" in run("audit", "verify", "--system-key", str(tmp_path / "none.pub"), code=3).stderr


def test_a_checkpoint_of_another_key_than_the_homes_is_not_taken_for_its_own(run: Run, ramping: World, tmp_path: Path) -> None:
    """Whoever owns the database alone can name a key of their own in it and sign with that."""
    Ledger(ramping.home.ledger_url).add_checkpoint(SystemKey.open(tmp_path / "theirs"), datetime(2024, 5, 1, tzinfo=UTC))
    result = run("audit", "verify", code=3)
    assert "checkpoints: NOT CHECKED: the newest one is signed with key SHA256:" in result.stdout
    assert "otherwise somebody else signed" in result.stdout
    run("audit", "checkpoint")
    run("audit", "verify")


def test_from_a_checkpoint_on_nothing_before_it_is_read_and_that_is_said(run: Run, ramping: World) -> None:
    (checkpoint,) = ramping.controller.ledger.checkpoints()
    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("UPDATE events SET reason = 'something else' WHERE sequence = 2")
    result = run("audit", "verify", "--since-checkpoint")
    assert f"chain:       holds: events {checkpoint.sequence + 1} to " in result.stdout
    assert f"events 1 to {checkpoint.sequence} were not read again" in result.stdout
    assert "event 2 (" in run("audit", "verify", code=4).stdout
    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("UPDATE events SET reason = 'something else' WHERE sequence = ?", (checkpoint.sequence + 1,))
    assert f"event {checkpoint.sequence + 1} (" in run("audit", "verify", "--since-checkpoint", code=4).stderr


def test_before_anything_was_decided_nothing_has_to_be_signed_or_anchored(run: Run, candidates: World) -> None:
    result = run("audit", "verify")
    assert "checkpoints: holds: none, and nothing was decided yet" in result.stdout
    run("audit", "checkpoint")
    assert "checkpoints: holds: 1 checkpoint" in run("audit", "verify").stdout


def test_decisions_that_were_recorded_before_anchoring_began_are_anchored_by_the_next_reconciliation(
    run: Run, ramping: World
) -> None:
    """A home of an earlier version has neither key nor checkpoint."""
    from mlflow import MlflowClient

    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("DELETE FROM checkpoints")
        ledger.execute("DELETE FROM projections WHERE name IN ('anchors', 'checkpoints')")
    MlflowClient(ramping.home.mlflow_uri).delete_model_version_tag(MODEL, "1", HEAD_TAG)
    result = run("audit", "verify", code=3)
    assert "checkpoints: NOT CHECKED: there is none yet; retrain reconcile signs the head" in result.stdout
    assert "anchors:     NOT CHECKED: nothing is anchored yet" in result.stdout
    assert f"{MODEL}/1 anchored at event " in run("reconcile").stdout
    run("audit", "verify")


def test_a_head_that_the_ledger_does_not_contain_is_named_and_reconciling_does_not_hide_it(run: Run, ramping: World) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(ramping.home.mlflow_uri)
    carried = client.get_model_version(MODEL, "1").tags[HEAD_TAG]
    sequence = carried.partition(":")[0]
    client.set_model_version_tag(MODEL, "1", HEAD_TAG, f"{sequence}:{'f' * 64}")
    for _ in range(2):
        result = run("audit", "verify", code=4)
        assert (
            f"churn version 1 carries event {sequence} as ffffffffffff…, in the ledger it is {carried[-64:][:12]}…"
            in result.stdout
        )
        assert f"the first change lies in events 1 to {sequence}: nothing before it is anchored; keep all files" in result.stderr
        assert "it stays; run retrain audit verify" in run("reconcile", "--everything").stderr


def test_evidence_that_no_event_names_is_listed_and_is_no_fault(run: Run, ramping: World) -> None:
    digest = ramping.evidence.put({"left": "by a process that died"})
    (ramping.home.evidence_dir / "notes.txt").write_text("mine")
    result = run("audit", "verify")
    assert re.search(rf"no event names .*{digest[7:]}.json, notes.txt: ", result.stdout)
    path = ramping.evidence.path(digest)
    path.write_bytes(path.read_bytes() + b" ")
    assert f"evidence {digest[:19]}… was changed" in run("audit", "verify", code=4).stdout


def test_a_trigger_of_somebody_else_is_found(run: Run, ramping: World) -> None:
    """It could change what is recorded from now on."""
    with tampered(ramping.home.root / "ledger.db") as ledger:
        ledger.execute("CREATE TRIGGER quiet AFTER INSERT ON projections BEGIN DELETE FROM projections; END")
    told = run("audit", "verify", code=4).stdout
    assert "the trigger quiet is not the ledger's" in told
    assert told.count("quiet") == 1


def test_many_faults_are_cut_in_words_and_whole_in_json(run: Run, ramping: World) -> None:
    for number in range(15):
        path = ramping.evidence.path(ramping.evidence.put({"number": number}))
        path.write_bytes(b"something else")
    assert len(parsed(run("audit", "verify", "--json", code=4))["parts"][NAMES.index("evidence")]["faults"]) == 15
    text = run("audit", "verify", code=4).stdout
    assert (text.count("- evidence sha256:"), "- and 3 more; --json lists all" in text) == (12, True)


def test_a_head_kept_elsewhere_is_found_in_the_chain(run: Run, ramping: World) -> None:
    kept = run("audit", "checkpoint").stdout.split("keep elsewhere: ")[1].strip()
    told = " ".join(run("audit", "verify", "--anchor", kept).stdout.split())
    assert f"the head you kept of event {kept.split(':')[0]} is in it" in told


def test_a_tail_that_was_cut_off_with_its_checkpoints_is_told_by_a_kept_head(run: Run, ramping: World) -> None:
    """Without it nothing here knows what came after the last decision."""
    ledger = Ledger(ramping.home.ledger_url)
    sequence, digest = ledger.head()
    before = ledger.hash_of(sequence - 1)
    with tampered(ramping.home.root / "ledger.db") as database:
        database.execute("DELETE FROM events WHERE sequence = ?", (sequence,))
        database.execute("UPDATE head SET sequence = ?, hash = ?", (sequence - 1, before))
    told = run("audit", "verify", "--anchor", f"{sequence}:{digest}", code=4).stdout
    assert f"it ends at event {sequence - 1}, and you kept the head of event {sequence}: the end was cut off" in told


def test_a_kept_head_of_another_history_breaks_the_chain(run: Run, ramping: World) -> None:
    told = run("audit", "verify", "--anchor", f"2:{'ab' * 32}", "--json", code=4)
    assert "event 2 has hash" in parsed(told)["first_broken"]["fault"]


@pytest.mark.parametrize("written", ["2", "0:" + "ab" * 32, "2:AB", "2:" + "AB" * 32], ids=["bare", "zero", "short", "upper"])
def test_what_is_no_head_is_refused(run: Run, ramping: World, written: str) -> None:
    assert "is no head" in run("audit", "verify", "--anchor", written, code=3).stderr
