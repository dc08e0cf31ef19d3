"""A canary whose last look is not what was recorded."""

from __future__ import annotations

from datetime import timedelta

from retrain_assets_tests.scenarios.story import BETTER, Story
from retrain_assets_tests.simulation.traffic import outcomes_of


def test_a_look_fails_in_one_line_when_the_look_before_was_changed_and_nothing_is_acted_on(evaluated: Story) -> None:
    evaluated.look()
    evaluated.serve_days(1, BETTER)
    last = evaluated.toggle().last_look
    assert last is not None
    path = evaluated.evidence.path(last.evidence)
    path.chmod(0o644)
    path.write_text("{}")
    before, events = evaluated.activation, evaluated.events()
    evaluated.record(outcomes_of(evaluated.serve(), BETTER))
    evaluated.travel(timedelta(hours=25))
    evaluated.look()
    line = evaluated.failed_step()
    assert line.startswith(f"{path}: ")
    assert "cannot be looked at again without its last look; restore the file from a backup" in line
    assert (evaluated.activation, evaluated.events()) == (before, events)
