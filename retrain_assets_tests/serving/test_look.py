"""A look is refused in one line when the look before it is not what was recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from retrain_assets.contract import CustodyError
from retrain_assets.home import Home
from retrain_assets.ledger import EvidenceStore
from retrain_assets.release import ToggleState
from retrain_assets.release.state import LookRecord
from retrain_assets.serving.look import look_at, look_before
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
