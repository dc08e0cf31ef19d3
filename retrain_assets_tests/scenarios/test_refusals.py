"""What people and other systems get wrong while a challenger is on its road, and what is refused or left out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import polars as pl
import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.contract import Refused, RetrainError, StaleRevision
from retrain_assets.ledger import EventKind
from retrain_assets.release import ToggleState, ToggleStatus
from retrain_assets_tests.scenarios.story import BETTER, DANA, FIRST, MODEL, RETRAIN, RUTH, Story
from retrain_assets_tests.simulation import contract_with
from retrain_assets_tests.simulation.traffic import outcomes_of


def test_outcomes_that_cannot_belong_are_counted_and_promote_nothing(evaluated: Story) -> None:
    """Outcomes of unknown requests, repeated ones and ones from before their exposure are counted by the look, not believed."""
    evaluated.look()
    evaluated.serve_days(1, BETTER)
    exposures = evaluated.serve(1000)
    honest = outcomes_of(exposures, BETTER)
    unknown = honest.head(700).with_columns(request_id=pl.format("nobody-{}", "request_id"))
    early = honest.with_columns(observed_at=pl.col("observed_at") - timedelta(hours=24))
    evaluated.record(pl.concat([unknown, early]), "impossible")
    evaluated.record(honest.head(30), "first")
    evaluated.record(honest.head(30).with_columns(observed_at=pl.col("observed_at") + timedelta(hours=1)), "again")
    evaluated.travel(timedelta(hours=25))
    evaluated.look()

    toggle = evaluated.toggle()
    look = evaluated.evidence.get(toggle.last_look.evidence)
    health = {check["name"]: check for check in look["health"]}
    assert health["unknown_outcomes"]["observed"] == 700
    assert health["outcomes_before_exposure"]["message"].startswith("1000 ")
    assert not health["outcomes_before_exposure"]["ok"]
    assert health["duplicate_outcomes"]["message"].startswith("30 ")
    assert not health["missing_outcomes"]["ok"]
    assert (look["action"], toggle.state) == ("hold", ToggleStatus.RAMPING)
    assert evaluated.decide() == []
    with pytest.raises(Refused, match="approve is not possible while the toggle is ramping"):
        evaluated.approve()


def test_an_approval_for_a_version_that_failed_a_gate_is_refused(road: Story) -> None:
    """Nobody can approve past a closed gate."""
    road.retrain(contract=contract_with(gates__offline__metrics__roc_auc={"min": 0.99}))
    before = road.events()
    with pytest.raises(Refused, match="gate offline did not pass"):
        road.approve()
    assert road.events() == before


def test_a_second_challenger_is_not_armed_while_one_is_active(evaluated: Story) -> None:
    """One challenger at a time: the sensor looks at the active one only, the asset alone is refused."""
    evaluated.look()
    assert evaluated.retrain("2024-03-02")

    assert all(key.startswith(f"{MODEL}-{RETRAIN}:") for key in evaluated.look())
    assert not evaluated.materialize("canary_report", "2024-03-02").success

    assert "a model has one active challenger at a time" in evaluated.failed_step()
    assert list(evaluated.state.toggles) == [f"{MODEL}-{RETRAIN}"]


def test_of_several_flips_of_the_same_revision_exactly_one_wins(waiting: Story) -> None:
    """Each of four people acts on the revision all of them saw; compare-and-set lets one through."""
    toggle = waiting.toggle()
    controllers = [waiting.controller for _ in range(4)]
    barrier = Barrier(len(controllers))

    def flip(number: int) -> ToggleState | RetrainError:
        barrier.wait()
        try:
            verb = controllers[number].hold if number % 2 else controllers[number].rollback
            return verb(toggle.name, RUTH, f"flip {number}", revision=toggle.revision)
        except RetrainError as error:
            return error

    with ThreadPoolExecutor(len(controllers)) as pool:
        answers = list(pool.map(flip, range(len(controllers))))

    winners = [answer for answer in answers if isinstance(answer, ToggleState)]
    assert len(winners) == 1
    assert {type(answer) for answer in answers if answer not in winners} == {StaleRevision}
    assert len(waiting.events(EventKind.TOGGLE_HELD, EventKind.ROLLED_BACK)) == 1
    assert waiting.toggle().revision == toggle.revision + 1
    assert waiting.ledger.verify() == []


@pytest.mark.parametrize("repair", ["decision_sensor", "canary_sensor", "command"])
def test_a_deleted_flag_document_is_rebuilt_byte_for_byte(waiting: Story, repair: str) -> None:
    """The flag document is derived: the next tick or command writes the same bytes from the ledger."""
    waiting.look()
    before = waiting.home.flags_path.read_bytes()
    waiting.home.flags_path.unlink()

    if repair == "command":
        assert CliRunner().invoke(app, ["status", MODEL]).exit_code == 0
    else:
        waiting.engine.tick(repair)

    assert waiting.home.flags_path.read_bytes() == before


def test_a_retrain_key_that_exists_is_refused_with_the_one_to_use(road: Story) -> None:
    """A key names one attempt for good."""
    before = road.events()
    with pytest.raises(Refused, match=rf"a retrain with this key exists.*use {FIRST}\.2"):
        road.controller.launch_retrain(road.contract, FIRST, {"kind": "person"}, DANA)
    assert road.events() == before
