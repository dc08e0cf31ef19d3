"""The time of training that a net value counts, from what gate training recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.contract import Gate
from retrain_assets.gates.training.budget import within_budget
from retrain_assets.gates.training.evidence import TrainingEvidence
from retrain_assets.serving.look import training_hours
from retrain_assets_tests.release.world import MODEL, World

KEY = "2013-07-01"


@pytest.fixture
def measured(tmp_path: Path) -> World:
    """A retrain whose fit took one and a half hours."""
    world = World(tmp_path / "home")
    world.ramp(KEY)
    verdict = within_budget(TrainingEvidence(duration_s=5400.0, memory_mb=100.0), world.contract.gates.training)
    subjects = world.state.retrains[KEY].subjects
    world.controller.record_gate(MODEL, KEY, Gate.TRAINING, [verdict], subjects)
    return world


def test_the_time_of_the_fit_is_read_from_the_evidence_of_its_gate(measured: World) -> None:
    assert training_hours(measured.home, measured.state.retrains[KEY]) == 1.5


def test_a_time_that_was_not_measured_or_is_gone_is_not_known(measured: World) -> None:
    """A look goes on without it: only the net value depends on it, and says so."""
    before = measured.state.retrains["2013-04-01"]
    assert training_hours(measured.home, before) is None
    for path in measured.home.evidence_dir.rglob("*"):
        if path.is_file():
            path.unlink()
    assert training_hours(measured.home, measured.state.retrains[KEY]) is None
