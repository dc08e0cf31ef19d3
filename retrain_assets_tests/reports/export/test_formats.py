"""The documents in an export are what their specifications say, read by the tools that implement them."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from retrain_assets.contract import sha256_hex
from retrain_assets.ledger import EventKind
from retrain_assets.reports.export import Export

from .world import FILES, FIRST, SignedSample, document, exported

ATTESTATIONS = ("decision", "provenance")


def envelope_of(folder: Path, name: str) -> Envelope:
    return Envelope.from_dict(document(folder, f"{name}.dsse.json"))


def statement_of(folder: Path, name: str) -> dict[str, Any]:
    value = json.loads(envelope_of(folder, name).payload)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("name", ATTESTATIONS)
class TestAttestations:
    def test_a_dsse_tool_verifies_the_envelope_with_the_public_key_in_the_export(self, pristine: Path, name: str) -> None:
        key = SSlibKey.from_crypto(load_pem_public_key((pristine / "system.pem").read_bytes()))  # type: ignore[arg-type]
        envelope = envelope_of(pristine, name)
        assert envelope.verify([key], threshold=1) == {key.keyid: key}
        envelope.payload += b" "
        with pytest.raises(VerificationError):
            envelope.verify([key], threshold=1)

    def test_ssh_keygen_verifies_the_other_signature_which_names_its_key(self, pristine: Path, name: str) -> None:
        envelope = document(pristine, f"{name}.dsse.json")
        system = (pristine / "allowed_signers").read_text().split()[0]
        command = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", system]
        command += ["-n", "export@retrain-assets", "-s", f"{name}.dsse.sig"]
        signed = (pristine / f"{name}.dsse").read_bytes()
        said = subprocess.run(command, cwd=pristine, input=signed, capture_output=True, check=True).stdout.decode()
        first = envelope["signatures"][0]
        assert said.split()[-1] == first["keyid"]
        assert base64.b64decode(first["sig"]) == (pristine / f"{name}.dsse.sig").read_bytes()
        assert (pristine / f"{name}.dsse").read_bytes() == envelope_of(pristine, name).pae()

    def test_it_is_an_in_toto_statement_about_the_files_of_the_bundle(self, pristine: Path, name: str) -> None:
        read = json_format.Parse(envelope_of(pristine, name).payload, statement_pb2.Statement())
        Statement.copy_from_pb(read).validate()
        assert {one.name: one.digest["sha256"] for one in read.subject} == {
            f"bundle/{file}": sha256_hex((pristine / "bundle" / file).read_bytes()) for file in (*FILES, "manifest.json")
        }


def test_the_decision_says_what_was_decided_by_whom_on_which_verdicts(pristine: Path, signed_home: SignedSample) -> None:
    statement, promoted = statement_of(pristine, "decision"), signed_home.event(EventKind.PROMOTED)
    predicate = statement["predicate"]
    assert statement["predicateType"] == "urn:retrain-assets:release-decision:1"
    assert (predicate["decision"], predicate["ending"]) == ("promote", "promoted")
    assert [gate["outcome"] for gate in predicate["gates"]] == ["pass"] * 5
    assert predicate["championReplaced"] == promoted.payload["previous_champion"]
    (approval,) = predicate["approvals"]
    approved = signed_home.event(EventKind.APPROVED)
    assert (approval["event"], approval["signed"], approval["counted"]) == (approved.sequence, True, True)
    assert approval["statement"]["sha256"] == sha256_hex((pristine / f"approvals/{approved.sequence:03}.json").read_bytes())
    assert predicate["policy"]["contract"]["sha256"] == sha256_hex((pristine / "contract.json").read_bytes())
    assert predicate["ledger"]["root"] == document(pristine, "checkpoint.json")["root"]


def test_the_provenance_is_slsa_v1_with_everything_that_went_in(pristine: Path) -> None:
    statement = statement_of(pristine, "provenance")
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    read = json_format.ParseDict(statement["predicate"], provenance_pb2.Provenance())
    assert read.build_definition.build_type == "urn:retrain-assets:retrain:1"
    assert read.run_details.builder.id == "urn:retrain-assets:builder"
    assert read.run_details.metadata.started_on.ToDatetime() < read.run_details.metadata.finished_on.ToDatetime()
    named = {one.name: dict(one.digest) for one in read.build_definition.resolved_dependencies}
    manifest = document(pristine, "bundle/manifest.json")
    assert named["data set"] == {"sha256": manifest["dataset"].removeprefix("sha256:")}
    assert named["code"] == {"gitCommit": manifest["code"]["commit"]}


class TestMlBom:
    def test_it_is_valid_against_the_official_schema(self, export: Export) -> None:
        text = export.files["mlbom.cdx.json"].decode()
        validator = JsonStrictValidator(SchemaVersion.V1_6)
        assert validator.validate_str(text) is None
        assert validator.validate_str(text.replace('"machine-learning-model"', '"model"')) is not None

    def test_it_has_metrics_with_intervals_slices_fairness_data_owner_and_hashes(self, pristine: Path) -> None:
        bom = document(pristine, "mlbom.cdx.json")
        model = bom["metadata"]["component"]
        card = model["modelCard"]
        metrics = card["quantitativeAnalysis"]["performanceMetrics"]
        assert model["type"] == "machine-learning-model"
        assert any("confidenceInterval" in one and "slice" in one for one in metrics)
        assert any(one["type"].endswith("on live traffic") for one in metrics)
        assert card["considerations"]["useCases"]
        assert card["considerations"]["fairnessAssessments"]
        assert {one["name"]: one["hashes"][0]["content"] for one in model["components"]} == {
            name: sha256_hex(data) for name, data in FILES.items()
        }
        (data, *_), purls = bom["components"], {one.get("purl") for one in bom["components"]}
        assert data["data"][0]["governance"] == {"owners": [{"organization": {"name": "team:data-engineering"}}]}
        assert "pkg:pypi/lightgbm@4.6.0" in purls

    def test_its_serial_number_is_the_bundles(self, signed_home: SignedSample, pristine: Path) -> None:
        first = json.loads(exported(signed_home, FIRST).files["mlbom.cdx.json"])
        assert first["serialNumber"] != document(pristine, "mlbom.cdx.json")["serialNumber"]
        assert UUID(first["serialNumber"].removeprefix("urn:uuid:")).version == 5


class TestLineage:
    def test_each_run_starts_and_ends_once_in_its_order_of_time(self, pristine: Path) -> None:
        runs: dict[str, list[dict[str, Any]]] = {}
        for event in events_of(pristine):
            runs.setdefault(event["run"]["runId"], []).append(event)
        assert {found[0]["job"]["name"].rpartition(".")[2] for found in runs.values()} == {
            "retrain", "dataset", "features", "training", "evaluation",
        }  # fmt: skip
        for found in runs.values():
            assert [one["eventType"] for one in found] == ["START", "COMPLETE"]
            assert found[0]["eventTime"] <= found[1]["eventTime"]

    def test_stages_name_their_parent_what_they_read_and_made_and_how_it_was_judged(self, pristine: Path) -> None:
        ends = {one["job"]["name"].rpartition(".")[2]: one for one in events_of(pristine) if one["eventType"] == "COMPLETE"}
        parent = ends["retrain"]["run"]["runId"]
        manifest = document(pristine, "bundle/manifest.json")
        training, features = ends["training"], ends["features"]
        assert training["run"]["facets"]["parent"]["run"]["runId"] == parent
        assert training["outputs"][0]["facets"]["version"]["datasetVersion"].startswith("sha256:")
        assert {one["name"] for one in training["run"]["facets"]["test"]["tests"]} >= {"refit_reproduces"}
        assert training["job"]["facets"]["sourceCodeLocation"]["version"] == manifest["code"]["commit"]
        (read,) = features["inputs"]
        assert read["facets"]["version"]["datasetVersion"] == manifest["dataset"]
        assert all(one["success"] for one in read["inputFacets"]["dataQualityAssertions"]["assertions"])
        (made,) = features["outputs"]
        assert [one["name"] for one in made["facets"]["schema"]["fields"]] == manifest["feature_names"]


def events_of(folder: Path) -> Iterator[dict[str, Any]]:
    for line in (folder / "openlineage.jsonl").read_text().splitlines():
        yield json.loads(line)
