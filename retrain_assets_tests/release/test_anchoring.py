"""The head leaves the ledger's database at each decision: signed, and carried by the version that was decided about."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retrain_assets.contract import RegistryUnavailable
from retrain_assets.ledger import SYSTEM, EventKind, Ledger, checkpoint_faults, recorded_keys
from retrain_assets.release import ReleaseController, anchoring
from retrain_assets.release.anchoring import ANCHORS, DECISIONS, Anchor

from .world import MODEL, RUTH, World

KEY = "2013-07-01"


def last_decision(world: World) -> Anchor:
    return Anchor.of(world.ledger.events(kinds=DECISIONS)[-1])


def test_a_decision_is_signed_and_carried_by_the_version_it_is_about(world: World) -> None:
    world.promoted(KEY)
    decided = last_decision(world)
    (*_, signed) = world.ledger.checkpoints()
    assert signed.sequence >= decided.sequence
    assert checkpoint_faults(world.ledger) == []
    assert world.registry.heads[MODEL, "2"] == str(decided)
    (bootstrapped, *_) = world.ledger.events(kinds=[EventKind.RETRAIN_ENDED])
    assert world.registry.heads[MODEL, "1"] == str(Anchor.of(bootstrapped))
    assert world.ledger.projection(ANCHORS) == decided.sequence


def test_the_systems_key_is_on_record_once_and_a_new_one_replaces_it(world: World) -> None:
    name = world.promoted(KEY)
    first = recorded_keys(world.ledger.events(kinds=[EventKind.SYSTEM_KEY_ADDED]))
    assert [key.until for key in first] == [None]
    shutil.move(world.home.system_key_path, world.home.system_key_path.with_name("old"))
    world.controller.rollback(name, SYSTEM, "guardrail")
    old, new = world.ledger.events(kinds=[EventKind.SYSTEM_KEY_ADDED])
    assert (new.payload["replaces"], old.payload["replaces"]) == (first[0].fingerprint, None)
    assert world.ledger.checkpoints()[-1].key == new.payload["fingerprint"]


@pytest.mark.parametrize("fault", ["readable for others", "no key", "a folder"])
def test_a_key_that_cannot_be_used_keeps_nobody_from_rolling_back_and_the_next_reconciliation_signs(
    world: World, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    name, key = world.ramp(KEY), world.home.system_key_path
    whole = key.read_bytes()
    if fault == "a folder":
        key.unlink()
        key.mkdir()
    elif fault == "no key":
        key.write_bytes(b"nonsense")
    else:
        key.chmod(0o644)
    world.controller.rollback(name, SYSTEM, "guardrail")
    assert world.flags()["flags"][MODEL]["metadata"]["share"] == 0.0
    assert "the ledger's head is not signed" in caplog.text
    assert world.ledger.checkpoints()[-1].sequence < last_decision(world).sequence
    if fault == "a folder":
        key.rmdir()
    key.unlink(missing_ok=True)
    key.write_bytes(whole)
    key.chmod(0o600)
    world.another_controller().reconcile()
    assert world.ledger.checkpoints()[-1].sequence >= last_decision(world).sequence
    assert world.ledger.projection(ANCHORS) == last_decision(world).sequence


def test_a_registry_that_is_away_is_made_to_carry_the_head_when_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = world.ramp(KEY)

    def away(*_: object) -> None:
        raise RegistryUnavailable("nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "set_head", away)
        world.controller.rollback(name, SYSTEM, "guardrail")
        assert world.ledger.checkpoints()[-1].sequence >= last_decision(world).sequence
        assert (MODEL, "2") not in world.registry.heads
    done = world.another_controller().reconcile()
    assert done.registry == (f"{MODEL}/2 anchored at event {last_decision(world).sequence}",)
    assert world.registry.heads[MODEL, "2"] == str(last_decision(world))


def test_whoever_acts_without_anchoring_leaves_it_to_the_next_who_reconciles(world: World) -> None:
    """As the gateway does, whose workers must load neither the keys' library nor the registry's in the middle of a rollback."""
    name, before = world.ramp(KEY), len(world.ledger.checkpoints())
    door = ReleaseController(world.home, world.ledger, world.evidence, lambda: world.registry, world.clock, anchors=False)
    door.rollback(name, SYSTEM, "guardrail")
    assert (len(world.ledger.checkpoints()), (MODEL, "2") in world.registry.heads) == (before, False)
    world.another_controller().reconcile()
    assert len(world.ledger.checkpoints()) == before + 1
    assert world.registry.heads[MODEL, "2"] == str(last_decision(world))


def test_what_is_anchored_is_not_looked_at_again(world: World) -> None:
    world.promoted(KEY)
    calls, made = list(world.registry.calls), len(world.ledger.checkpoints())
    world.another_controller().reconcile()
    assert (world.registry.calls, len(world.ledger.checkpoints())) == (calls, made)


@pytest.mark.parametrize("carried", ["{sequence}:" + "f" * 64, "999:" + "a" * 64, "nonsense"])
def test_an_anchor_that_the_chain_does_not_contain_is_never_replaced(
    world: World, caplog: pytest.LogCaptureFixture, carried: str
) -> None:
    """It is the trace of a history that was rewritten or cut off, and verifying has to find it."""
    name = world.promoted(KEY)
    trace = carried.format(sequence=last_decision(world).sequence)
    world.registry.heads[MODEL, "2"] = trace
    world.controller.rollback(name, SYSTEM, "guardrail")
    world.controller.reconcile(everything=True)
    assert world.registry.heads[MODEL, "2"] == trace
    assert "which the ledger does not contain; it stays" in caplog.text


def test_a_ledger_restored_from_before_a_decision_does_not_set_an_earlier_anchor(world: World, tmp_path: Path) -> None:
    name = world.promoted(KEY)
    backup = tmp_path / "backup.db"
    shutil.copy(world.home.root / "ledger.db", backup)
    world.controller.rollback(name, SYSTEM, "guardrail")
    later = world.registry.heads[MODEL, "2"]
    restored = Ledger(f"sqlite:///{backup}")
    door = ReleaseController(world.home, restored, world.evidence, lambda: world.registry, world.clock)
    door.reconcile(everything=True)
    assert world.registry.heads[MODEL, "2"] == later


def test_a_later_place_in_the_chain_proves_more_and_stays(world: World) -> None:
    world.promoted(KEY)
    world.controller.record_audit(MODEL, KEY, world.evidence.put({"pack": 1}))
    later = world.registry.heads[MODEL, "2"] = anchoring.head_anchor(world.ledger)
    assert Anchor.parse(later) != last_decision(world)
    world.controller.reconcile(everything=True)
    assert world.registry.heads[MODEL, "2"] == later


def test_a_tag_that_somebody_took_away_is_set_again(world: World) -> None:
    world.promoted(KEY)
    head = world.registry.heads.pop((MODEL, "2"))
    world.controller.reconcile(everything=True)
    assert world.registry.heads[MODEL, "2"] == head


def test_a_retrain_that_was_stopped_is_anchored_too(world: World) -> None:
    world.bootstrap()
    world.candidate(KEY)
    world.controller.reject(MODEL, KEY, RUTH, "not now")
    assert world.registry.heads[MODEL, "2"] == str(last_decision(world))


def test_every_checkpoint_that_was_made_is_counted(world: World) -> None:
    world.promoted(KEY)
    assert world.ledger.projection(anchoring.MADE) == len(world.ledger.checkpoints()) > 1


@pytest.mark.parametrize("text", ["", "12", "0:" + "a" * 64, "1:abc", "1:" + "A" * 64, "1:" + "a" * 64 + "\n"])
def test_only_a_sequence_and_a_hash_are_a_place_in_the_chain(text: str) -> None:
    assert Anchor.parse(text) is None
    assert Anchor.parse("12:" + "a" * 64) == Anchor(12, "a" * 64)
