"""On the real road the ledger's head reaches MLflow and Dagster, and a ledger that was rewritten does not fit there any more."""

from __future__ import annotations

import dagster as dg
from mlflow import MlflowClient

from retrain_assets.cli.verify import NAMES, verify_home
from retrain_assets.registry import HEAD_TAG
from retrain_assets.release.anchoring import DECISIONS, HEAD_METADATA, Anchor
from retrain_assets.replay.engine import persistent_instance
from retrain_assets_tests.scenarios import forging
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, Story


def carried(story: Story, asset: str) -> list[str]:
    """The heads of an asset's materialisations of the retrain, newest first."""
    records = dg.AssetRecordsFilter(dg.AssetKey([MODEL, asset]), asset_partitions=[RETRAIN])
    found = [one.asset_materialization for one in story.instance.fetch_materializations(records, limit=50).records]
    return [str(one.metadata[HEAD_METADATA].value) for one in found if one is not None]


def test_every_look_decision_and_audit_record_carries_the_head_of_its_time(evaluated: Story) -> None:
    evaluated.ramp_to_approval()
    evaluated.approve()
    evaluated.decide()
    chain = {event.sequence: event.hash for event in evaluated.events()}
    for asset in ("canary_report", "promotion_decision", "audit_record"):
        heads = carried(evaluated, asset)
        assert heads
        for text in heads:
            place = Anchor.parse(text)
            assert place is not None
            assert chain[place.sequence] == place.hash
    decided = Anchor.of(evaluated.events(*DECISIONS)[-1])
    last = Anchor.parse(carried(evaluated, "audit_record")[0])
    assert last is not None
    assert last.sequence > decided.sequence
    version = evaluated.retrain_state().candidate
    assert version is not None
    assert MlflowClient(evaluated.home.mlflow_uri).get_model_version(MODEL, version.version).tags[HEAD_TAG] == str(decided)


def test_a_ledger_rewritten_with_its_checkpoints_and_the_registrys_tags_still_does_not_fit_dagster(waiting: Story) -> None:
    """Rewriting history takes three stores."""
    waiting.approve()
    waiting.decide()
    with persistent_instance(waiting.home) as kept:
        (head, *_) = carried(waiting, "audit_record")
        made = dg.AssetMaterialization([MODEL, "audit_record"], partition=RETRAIN, metadata={HEAD_METADATA: head})
        kept.report_runless_asset_event(made)
    assert not verify_home(waiting.home, only=("chain", "checkpoints", "approvals", "anchors")).broken
    with forging.database(waiting.home.root / "ledger.db") as connection:
        events = forging.rows(connection)
        approved = next(row for row in events if row["kind"] == "approved")
        approved["reason"] = "nobody read it"
        forging.replace_events(connection, events, fitting=True)
        forging.hide(connection, 1)
    chain = {row["sequence"]: row["hash"] for row in events}
    client = MlflowClient(waiting.home.mlflow_uri)
    for version in client.search_model_versions(f"name = '{MODEL}'"):
        sequence = int(version.tags[HEAD_TAG].partition(":")[0])
        client.set_model_version_tag(MODEL, version.version, HEAD_TAG, f"{sequence}:{chain[sequence]}")
    found = verify_home(waiting.home, only=NAMES)
    (fault,) = (fault for part in found.parts if part.name == "anchors" for fault in part.faults)
    assert fault.startswith(f"the materialisation of {MODEL}/audit_record {RETRAIN} carries event ")
    assert fault.endswith("or one before it was rewritten")
