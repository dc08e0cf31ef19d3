"""The pack as a record: same ledger, same bytes; its digest is the file's; what is missing or changed is said."""

from __future__ import annotations

import hashlib
import json

import pytest

from retrain_assets.contract import Gate, RetrainError, canonical_json
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import retrains
from retrain_assets.reports import pack_page, write_pack
from retrain_assets_tests.reports.conftest import packed
from retrain_assets_tests.reports.sample import DORA, MODEL, Sample


@pytest.mark.parametrize("retrain", ["2013-04-01", "2013-07-01", "2013-08-01", "2013-11-01"])
def test_the_same_ledger_gives_the_same_bytes(lived: Sample, retrain: str) -> None:
    first, second = packed(lived, retrain), packed(lived, retrain)
    assert canonical_json(first) == canonical_json(second)
    assert pack_page(first, "sha256:0") == pack_page(second, "sha256:0")


def test_the_page_is_made_from_the_json_alone(lived: Sample) -> None:
    """What comes back from the JSON file gives the same page, so nothing on it has another source."""
    pack = packed(lived, "2013-07-01")
    again = json.loads(json.dumps(pack))
    assert pack_page(again, "sha256:0") == pack_page(pack, "sha256:0")


def test_the_digest_is_that_of_the_file_and_the_json_is_kept_as_evidence(lived: Sample) -> None:
    paths = write_pack(lived.home, MODEL, "2013-07-01")
    assert paths.digest == "sha256:" + hashlib.sha256(paths.json.read_bytes()).hexdigest()
    assert lived.evidence.get(paths.digest) == json.loads(paths.json.read_bytes())
    assert paths.digest in paths.html.read_text()
    assert paths.html == lived.home.reports_dir(MODEL) / "2013-07-01.html"
    assert not list(paths.html.parent.glob(".*"))


def test_recording_the_pack_does_not_change_the_pack(fresh: Sample) -> None:
    fresh.bootstrap()
    before = write_pack(fresh.home, MODEL, "2013-04-01").digest
    fresh.do(SYSTEM, "evidence pack made", lambda drafts: retrains.audit_recorded(drafts, "2013-04-01", before, {}))
    assert write_pack(fresh.home, MODEL, "2013-04-01").digest == before


def test_later_events_of_other_retrains_do_not_change_the_pack(fresh: Sample) -> None:
    fresh.bootstrap()
    before = canonical_json(packed(fresh, "2013-04-01"))
    fresh.stopped_by_leak()
    assert canonical_json(packed(fresh, "2013-04-01")) == before


def test_an_unknown_retrain_is_refused_with_what_to_do(lived: Sample) -> None:
    with pytest.raises(RetrainError, match=r"no retrain 1999-01-01 .*audit list"):
        packed(lived, "1999-01-01")


def test_changed_evidence_is_named_and_its_tables_are_left_out(fresh: Sample) -> None:
    fresh.bootstrap()
    digest = fresh.state().retrains["2013-04-01"].verdicts[Gate.TRAINING].evidence
    path = fresh.evidence.path(digest)
    path.write_bytes(path.read_bytes().replace(b"0.5312", b"0.1312"))

    pack = packed(fresh, "2013-04-01")
    assert any(digest[:19] in fault and "was changed" in fault for fault in pack["faults"])
    training = next(gate for gate in pack["gates"] if gate["gate"] == "training")
    assert [check["evidence"] for check in training["checks"]] == [{}] * len(training["checks"])
    assert {one["digest"]: one["holds"] for one in pack["verification"]["evidence"]}[digest] is False
    assert "This record is not whole" in pack_page(pack, "sha256:0")


def test_missing_evidence_is_named(fresh: Sample) -> None:
    fresh.bootstrap()
    fresh.evidence.path(fresh.state().retrains["2013-04-01"].contract_digest).unlink()
    pack = packed(fresh, "2013-04-01")
    assert any("is missing" in fault for fault in pack["faults"])
    assert [gate["owner"] for gate in pack["gates"]] == [None] * 5
    assert "Owner: not recorded" in pack_page(pack, "sha256:0")


def test_a_manifest_that_is_not_the_registered_bundles_is_not_believed(fresh: Sample) -> None:
    fresh.bootstrap()
    path = fresh.home.stage_dir(MODEL, "2013-04-01", "training") / "result.json"
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
    pack = packed(fresh, "2013-04-01")
    assert any("manifest" in fault for fault in pack["faults"])
    assert custody(pack)["Seed"] == 7


def test_custody_holds_the_digests_of_the_ledger(lived: Sample) -> None:
    pack, known = packed(lived, "2013-07-01"), lived.state().retrains["2013-07-01"]
    rows = custody(pack)
    assert known.candidate is not None
    assert rows["Bundle manifest digest"] == known.candidate.bundle
    assert rows["Registry version"] == "2"
    assert rows["Data set digest"] == known.subjects["dataset"]
    assert rows["Feature pipeline digest"] == known.subjects["features"]
    assert rows["Contract digest (policy version)"] == known.contract_digest
    assert rows["Compared with champion version"] == "1"
    assert rows["Code commit"] == "5f1c0d2e9a7b4c3d8e6f1a2b3c4d5e6f70819203"
    assert rows["Working tree clean"] == "yes"
    assert rows["Training window starts"] == "2013-03-19T00:00:00+00:00"
    assert rows["Seed"] == 7
    assert rows["Rollback leads to"] == "version 1"


def test_custody_of_a_road_that_ended_early_claims_nothing(lived: Sample) -> None:
    rows = custody(packed(lived, "2013-08-01"))
    for field in (
        "Registry version",
        "Bundle manifest digest",
        "Seed",
        "Code commit",
        "Toggle",
        "Compared with champion version",
    ):
        assert rows[field] is None, field
    assert rows["Launched by"] == str(DORA)


def test_verification_names_the_commands_and_every_evidence_file(lived: Sample) -> None:
    pack = packed(lived, "2013-07-01")
    lines = [command["line"] for command in pack["verification"]["commands"]]
    assert "retrain audit verify" in lines
    assert f"retrain audit show {MODEL} 2013-07-01" in lines
    assert any(line.startswith('sha256sum "${RETRAIN_HOME:-.retrain}/evidence/') for line in lines)
    for one in pack["verification"]["evidence"]:
        data = (lived.home.root / one["file"]).read_bytes()
        assert one["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert one["holds"]


def test_every_recorded_check_is_in_the_pack_with_its_tables(lived: Sample) -> None:
    pack, known = packed(lived, "2013-08-01"), lived.state().retrains["2013-08-01"]
    data = pack["gates"][0]
    assert sorted(check["check"] for check in data["checks"]) == sorted(known.verdicts[Gate.DATA].checks)
    passed = [check["outcome"] == "pass" for check in data["checks"]]
    assert passed == sorted(passed), "what keeps the gate closed comes first"
    assert not passed[0]
    leak = next(check for check in data["checks"] if check["check"] == "no_single_feature_separates_label")
    assert leak["outcome"] == "fail"
    assert leak["evidence"]["features"][0] == {"feature": "dep_delay", "auc": 0.913, "auc_train": 0.913, "auc_holdout": 0.908}
    assert data["owner"] == "team:data-engineering"


def custody(pack: dict) -> dict:
    return {row["field"]: row["value"] for group in pack["custody"] for row in group["rows"]}
