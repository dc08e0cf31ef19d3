"""What must be seen before anything else: an engaged kill switch, a freeze in force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from retrain_assets.cli.show import moment, say
from retrain_assets.ledger import EVERY_MODEL, named

if TYPE_CHECKING:
    from datetime import datetime

    from retrain_assets.release import PlatformState


def banners(platform: PlatformState, now: datetime, models: Iterable[str] | None = None) -> list[str]:
    """One line for each switch and each declared freeze that concerns some models now.

    Args:
        platform: what holds.
        now: aware.
        models: the models that are shown; None for all.
    """
    from retrain_assets.release.commands import lift_of, release_of

    shown = None if models is None else {EVERY_MODEL, *models}
    lines = [
        f"KILL SWITCH of {one.scope} ENGAGED since {moment(one.engaged_at)} by {named(one.by)}: {one.reason}; "
        f"when its cause is gone: {release_of(one)}"
        for one in platform.kill_switches.values()
        if shown is None or one.model in shown
    ]
    return lines + [
        f"CHANGE FREEZE of {one.scope} until {one.end} is over: {one.reason}; to lift it: {lift_of(one)}"
        for one in platform.freezes_in_force(now)
        if shown is None or one.model in shown
    ]


def say_banners(platform: PlatformState, now: datetime, models: Iterable[str] | None = None) -> None:
    """Print them, an empty line after them; nothing when there are none."""
    if lines := banners(platform, now, models):
        for line in lines:
            say(line)
        say()
