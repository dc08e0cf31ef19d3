"""What a look leaves behind in the ledger besides its action: why it ended the experiment, and when it wants another one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from retrain_assets.experiment import Cause
from retrain_assets.ledger import EventKind
from retrain_assets.release import ToggleStatus
from retrain_assets_tests.release.world import MODEL, World

KEY = "2013-07-01"


def rolled_back_because(world: World) -> str:
    return next(iter(world.ledger.events(model=MODEL, kinds=[EventKind.ROLLED_BACK]))).payload["cause"]


@pytest.mark.parametrize(
    ("action", "cause"),
    [
        ("roll_back", Cause.HARM),
        ("roll_back", Cause.MISSING_DATA),
        ("reject", Cause.INCONCLUSIVE),
        ("reject", Cause.NOT_WORTH_IT),
    ],
)
def test_the_ledger_says_why_a_look_took_the_traffic_back(world: World, action: str, cause: Cause) -> None:
    world.ramp(KEY)
    after = world.look(KEY, action, "as measured", cause=cause.value)
    assert after.state is (ToggleStatus.ROLLED_BACK if action == "roll_back" else ToggleStatus.REJECTED)
    assert rolled_back_because(world) == cause.value
    looked = list(world.ledger.events(model=MODEL, kinds=[EventKind.CANARY_LOOKED]))
    assert looked[-1].payload["cause"] == cause.value


def test_a_look_without_a_cause_is_harm_or_inconclusive_by_its_action(world: World) -> None:
    """Looks recorded before causes were."""
    world.ramp(KEY)
    world.look(KEY, "roll_back")
    assert rolled_back_because(world) == "harm"


def test_the_next_look_a_look_wants_is_known_until_it_is_made(world: World) -> None:
    world.ramp(KEY)
    again = world.clock.now() + timedelta(hours=3)
    held = world.look(KEY, "hold", "harm is shown at 1 of 2 looks", again_at=again.isoformat())
    assert held.last_look is not None
    assert held.last_look.again_at == again
    after = world.look(KEY, "hold")
    assert after.last_look is not None
    assert after.last_look.again_at is None
