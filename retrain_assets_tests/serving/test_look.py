"""A look is refused in one line when the look before it is not what was recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.compute import LocalCompute, StageRequest, StageResult
from retrain_assets.contract import CustodyError, StageError
from retrain_assets.experiment import Action
from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore
from retrain_assets.release import ToggleState
from retrain_assets.release.state import LookRecord
from retrain_assets.serving.look import Elsewhere, look_at, look_before
from retrain_assets_tests.serving.test_canary_view import ARMED, look, toggle


def looked_at(home: Home, document: object) -> ToggleState:
    digest = EvidenceStore(home.evidence_dir).put(document)
    return replace(toggle(), last_look=LookRecord(digest, "hold", "too early", "50", 4, ARMED, 9))


def test_the_look_before_is_the_one_recorded(retrain_home: Path) -> None:
    home = Home(retrain_home)
    assert look_before(home, looked_at(home, look().to_json())) == look()
    assert look_before(home, toggle()) is None


@pytest.mark.parametrize("fault", ["missing", "changed", "no look"])
def test_a_look_before_that_is_not_what_was_recorded_is_refused_in_one_line(fault: str, retrain_home: Path) -> None:
    home = Home(retrain_home)
    seen = looked_at(home, {"at": "soon"} if fault == "no look" else look().to_json())
    assert seen.last_look is not None
    path = EvidenceStore(home.evidence_dir).path(seen.last_look.evidence)
    if fault == "missing":
        path.unlink()
    elif fault == "changed":
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(b"50", b"51"))
    with pytest.raises(CustodyError) as refusal:
        look_at(home, seen, ARMED)
    assert refusal.value.line.startswith(f"{path}: ")
    assert f"{seen.name} cannot be looked at again without its last look; " in refusal.value.line
    assert "\n" not in refusal.value.line


class Refusing(LocalCompute):
    """A place where nothing can be computed."""

    def run(self, request: StageRequest, **_: Any) -> StageResult:
        raise StageError("the cluster never started", where=request.stage, remedy="raise start_timeout")


def test_a_look_counted_elsewhere_is_the_look_counted_here(retrain_home: Path) -> None:
    home = Home(retrain_home)
    now = ARMED + timedelta(days=9)
    here = look_at(home, toggle(), now, keep=False)
    there = look_at(home, toggle(), now, elsewhere=Elsewhere(LocalCompute(), "single_node"))
    assert there.to_json() == here.to_json()
    assert (home.stage_dir(toggle().model, toggle().retrain, "canary") / "canary.json").is_file()


def test_a_place_that_cannot_count_gives_a_look_that_says_so(retrain_home: Path) -> None:
    found = look_at(Home(retrain_home), toggle(), ARMED + timedelta(days=9), elsewhere=Elsewhere(Refusing()))
    assert "the cluster never started" in json.dumps(found.to_json())
    assert found.action not in (Action.STEP, Action.ASK_APPROVAL)
