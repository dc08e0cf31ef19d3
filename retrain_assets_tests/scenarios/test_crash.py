"""A process killed between the ledger and what is derived from it: the next command repairs flag document and registry."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.ledger import EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.scenarios.story import BETTER, MODEL, RETRAIN, Story
from retrain_assets_tests.simulation.traffic import outcomes_of

DIES = """
import os
from retrain_assets.home import Home
from retrain_assets.ledger import Actor
from retrain_assets.release import ReleaseController

class Dies(ReleaseController):
    def project(self):
        os._exit(9)

controller = Dies.open(Home.from_environment())
"""
ROLLS_BACK = DIES + f"controller.rollback('{MODEL}-{RETRAIN}', Actor('person', 'ruth@example.org'), 'it hurts')"
ARMS = (
    DIES
    + f"""
from retrain_assets.ledger import SYSTEM
from retrain_assets_tests.simulation import contract_with

controller.register_and_arm(contract_with(), '{RETRAIN}', SYSTEM, 'gates passed')
"""
)
PROMOTES = DIES + f"controller.decide('{MODEL}', '{RETRAIN}')"


@pytest.mark.parametrize(
    ("script", "kind", "status"),
    [(ROLLS_BACK, EventKind.ROLLED_BACK, ToggleStatus.ROLLED_BACK), (PROMOTES, EventKind.PROMOTED, ToggleStatus.PROMOTED)],
    ids=["rollback", "promotion"],
)
def test_the_next_command_repairs_what_a_killed_process_left_behind(
    waiting: Story, script: str, kind: EventKind, status: ToggleStatus
) -> None:
    """The ledger has the event, flag document and aliases not yet; ``retrain status`` brings them up to it."""
    waiting.approve()
    first, challenger = waiting.state.champion, waiting.toggle().challenger
    flags, aliases = waiting.home.flags_path.read_bytes(), waiting.registry.aliases(MODEL)
    assert aliases == {"champion": first.version, "challenger": challenger.version}

    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # on the same RETRAIN_HOME

    assert died.returncode == 9, died.stderr
    assert len(waiting.events(kind)) == 1
    assert waiting.home.flags_path.read_bytes() == flags
    assert waiting.registry.aliases(MODEL) == aliases

    assert CliRunner().invoke(app, ["status", MODEL, "--json"]).exit_code == 0

    serving = first if kind is EventKind.ROLLED_BACK else challenger
    assert (waiting.rule.champion, waiting.rule.share) == (serving, 0)
    assert waiting.registry.aliases(MODEL) == {"champion": serving.version}
    assert waiting.toggle().state is status


def test_a_challenger_whose_run_died_after_arming_it_enters_its_ramp(evaluated: Story) -> None:
    """Armed at 0 per cent it gets no traffic that could mature, so nothing but its state says that there is something to do."""
    assert subprocess.run([sys.executable, "-c", ARMS], check=False).returncode == 9
    assert evaluated.toggle().state is ToggleStatus.ARMED

    assert len(evaluated.look()) == 1

    assert evaluated.toggle().state is ToggleStatus.SHADOW
    assert evaluated.rule.stage == "shadow"
    assert evaluated.look() == []


def test_a_look_at_a_damaged_file_holds_and_the_next_one_reads_what_is_there(evaluated: Story) -> None:
    """Unreadable records are recorded as such, decide nothing, and are no run that failed."""
    evaluated.look()
    assert len(evaluated.events(EventKind.CANARY_LOOKED)) == 1, "the look at a challenger that has just entered its ramp"
    evaluated.record(outcomes_of(evaluated.serve(), BETTER))
    evaluated.travel(timedelta(hours=25))
    damaged = evaluated.home.outcomes_dir(MODEL) / "zz.parquet"
    damaged.write_bytes(b"half a fi")
    looks = len(evaluated.events(EventKind.CANARY_LOOKED))

    assert len(evaluated.look()) == 1
    unread = evaluated.evidence.get(evaluated.toggle().last_look.evidence)
    assert unread["action"] == "hold"
    assert "zz.parquet" in unread["reason"]
    damaged.unlink()
    evaluated.travel(timedelta(hours=25))
    assert len(evaluated.look()) == 1

    assert len(evaluated.events(EventKind.CANARY_LOOKED)) == looks + 2
    read = evaluated.evidence.get(evaluated.toggle().last_look.evidence)
    assert "zz.parquet" not in read["reason"]
    assert read["unusable_since"] is None
