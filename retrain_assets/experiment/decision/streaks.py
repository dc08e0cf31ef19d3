"""What a look carries over from the looks before it: harm seen in a row, and since when nothing could be judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from retrain_assets.experiment.look import Look
from retrain_assets.experiment.plan import Plan


@dataclass(frozen=True, slots=True)
class Streaks:
    """Looks in a row, up to the present one.

    Args:
        harm_looks: looks that showed harm, each at least the plan's ``confirm_after`` after the one before.
        harm_at: the latest of them; None when there is none.
        unusable_since: the first look of those that could not be judged; None when the present one could.
    """

    harm_looks: int = 0
    harm_at: datetime | None = None
    unusable_since: datetime | None = None

    @classmethod
    def of(cls, look: Look | None) -> Streaks:
        """As the last recorded look left them; none before the first one."""
        return cls() if look is None else cls(look.harm_looks, look.harm_at or _if_any(look), look.unusable_since)

    def after(self, plan: Plan, *, now: datetime, harm: bool | None, usable: bool) -> Streaks:
        """With the present look.

        A look that shows harm counts when it is ``confirm_after`` later than the one before: the same records read twice in a
        minute are one piece of evidence. A sound look without harm clears what the looks before had seen. A look that could not
        be judged does neither. Looks dated after this one, by a clock that has been set back since, count as of now.

        Args:
            plan: the time between two looks of which one confirms the other.
            now: the time of the look.
            harm: whether it shows harm; None when its numbers mean nothing.
            usable: whether the look could be judged.
        """
        looks, at = self.harm_looks, _not_after(now, self.harm_at)
        if harm and (at is None or (now > at and now - at >= plan.confirm_after)):
            looks, at = looks + 1, now
        elif harm is False and usable:
            looks, at = 0, None
        return Streaks(looks, at, None if usable else _not_after(now, self.unusable_since) or now)


def _not_after(now: datetime, at: datetime | None) -> datetime | None:
    return None if at is None else min(at, now)


def _if_any(look: Look) -> datetime | None:
    return look.at if look.harm_looks else None
