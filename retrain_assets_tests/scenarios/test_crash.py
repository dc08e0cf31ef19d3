"""A process killed between the ledger and what is derived from it: the next command repairs flag document and registry."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from retrain_assets.cli.app import app
from retrain_assets.ledger import EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.scenarios.story import MODEL, RETRAIN, Story

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
