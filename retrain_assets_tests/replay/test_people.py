"""The demo's keys: everybody's, the ones its contract names, and enough for what its people say."""

from __future__ import annotations

from pathlib import Path

from retrain_assets.contract.duties import stakes
from retrain_assets.ledger import Actor, EventKind, Ledger
from retrain_assets.release.signing import SIGNED_KINDS, recorded_fault
from retrain_assets.replay import story
from retrain_assets.replay.demo import contract_of_flights
from retrain_assets.replay.people import demo_key, signed, signer_line
from retrain_assets_tests.release.world import World

PEOPLE = (story.RELEASE_OWNER, story.PRODUCT_OWNER, story.SCIENTIST)


def test_the_contract_names_the_keys_that_are_made_from_the_names() -> None:
    terms = contract_of_flights().approval
    assert [signer_line(person) for person in PEOPLE] == (terms.allowed_signers or "").splitlines()
    assert {person: [one.fingerprint for one in terms.signers_of(person)] for person in PEOPLE} == {
        person: [demo_key(person).get_fingerprint()] for person in PEOPLE
    }


def test_no_private_key_is_in_the_repository() -> None:
    package = Path(__file__).resolve().parents[2] / "retrain_assets"
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix in (".py", ".yaml", ".pub", ".pem", "")]
    assert files
    assert [path for path in files if b"PRIVATE KEY-----" in path.read_bytes()] == []


def test_the_approver_of_the_demo_has_no_stake_and_the_owner_of_its_toggle_is_known() -> None:
    found = stakes(contract_of_flights(), f"person:{story.SCIENTIST}")
    assert story.RELEASE_OWNER not in found
    assert found[story.PRODUCT_OWNER] == "owns its experiment and owns its toggle"
    assert found[story.SCIENTIST] == "launched the retrain and owns its training"


def test_what_is_signed_in_the_demos_way_counts(tmp_path: Path) -> None:
    ruth = Actor("person", story.RELEASE_OWNER)
    world = World(tmp_path / "home", contract=contract_of_flights())
    world.candidate("2013-04-01")
    controller = world.controller
    first = (world.contract, "2013-04-01", ruth, "first champion")
    controller.bootstrap(*first, signed=signed(controller.bootstrap_case(*first)))
    world.ramp("2013-07-01")
    world.look("2013-07-01", "step")
    world.look("2013-07-01", "ask_approval")
    word = (world.contract.model, "2013-07-01", ruth, "cheaper")
    controller.approve(*word, signed=signed(controller.approval_case(*word)))
    assert controller.decide(world.contract.model, "2013-07-01").decision == "promote"
    events = Ledger(world.home.ledger_url).events(kinds=[EventKind.APPROVED, EventKind.CHAMPION_BOOTSTRAPPED])
    assert len(events) == 2
    for event in events:
        assert event.kind in SIGNED_KINDS
        assert recorded_fault(event, world.contract.approval, world.ledger.identity) is None
