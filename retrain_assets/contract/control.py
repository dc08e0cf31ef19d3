"""Who controls a release and when one is due: owners, toggle, cadence. Who approves one is ``approval``'s."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal

from cronsim import CronSim
from pydantic import Field, StringConstraints

from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import Cron, Duration, MonthDay, Owner, Period, format_duration

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Owners(Part):
    """The role that answers for each gate: ``team:name`` or an e-mail address."""

    data: Owner = Field(description="Gate 1; fallback: block the retrain.")
    training: Owner = Field(description="Gate 2; fallback: discard the candidate, keep the record.")
    evaluation: Owner = Field(description="Gate 3; fallback: stays registered, is not activated.")
    experiment: Owner = Field(description="Gate 4; fallback: roll back to the champion.")
    release: Owner = Field(description="Gate 5; fallback: the champion stays.")


class ToggleTerms(Part):
    """The terms of the named release control of each challenger."""

    owner: Owner = Field(description="Who answers for the toggle while it is active.")
    purpose: Text = Field(description="Why the toggle exists, one sentence.")
    expires_after: Period = Field(description="Time from arming after which the toggle rolls back by itself.")
    remove_after: Period = Field(description="Time from arming after which the toggle must be gone.")
    rollback: Literal["previous_champion"] = Field(description="Where a rollback leads.")
    review_every: Period = Field(
        default=timedelta(days=14),
        description="How often somebody says that the toggle is still needed; later it counts as debt.",
    )
    alert_before: list[Period] = Field(
        default_factory=lambda: [timedelta(days=7), timedelta(days=1)], description="When to warn before the toggle expires."
    )

    @rule
    def _removed_after_expiry(self) -> ToggleTerms:
        if self.remove_after < self.expires_after:
            raise ValueError("toggle: remove_after must not be shorter than expires_after")
        return self


class DriftRule(Part):
    """When drift of the champion's live traffic launches a retrain."""

    window: Period = Field(description="Length of the live window that is compared with the training window.")
    limits: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(min_length=1)] = Field(
        default_factory=lambda: {"feature_psi": 0.1, "prediction_psi": 0.1},
        description="Limit per drift metric: feature_psi, prediction_psi, label_share, calibration_bias, segment_loss, "
        "estimated_METRIC for a metric of gates.offline.metrics, or regression of a success measure by its name.",
    )
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.01,
        description="Probability per window, over all columns, labels, estimates and segments together, that anything that has "
        "not changed is called drifted.",
    )
    at_least: Annotated[int, Field(ge=1)] = Field(default=2, description="Windows above the limit ...")
    of_last: Annotated[int, Field(ge=1)] = Field(default=3, description="... among this many, the latest included.")
    min_rows: Annotated[int, Field(gt=0)] = Field(default=1000, description="Live rows below which there is no verdict.")

    @rule
    def _k_of_n(self) -> DriftRule:
        if self.at_least > self.of_last:
            raise ValueError("on_drift: at_least must not be larger than of_last")
        return self


class Freeze(Part):
    """Days, in UTC, on which nothing goes forward: no retrain starts, no toggle is armed, stepped, resumed or extended, and
    nothing is promoted. Holding, rolling back and looking at the canary go on."""

    start: date = Field(description="First day.")
    end: date = Field(description="Last day.")
    reason: Text = Field(description="Why.")

    @rule
    def _ordered(self) -> Freeze:
        if self.end < self.start:
            raise ValueError("freeze: end is before start")
        return self


class Season(Part):
    """Days of every year on which the data is known to be unlike the rest; drift launches no retrain then."""

    start: MonthDay = Field(description="First day, MM-DD.")
    end: MonthDay = Field(description="Last day, MM-DD; before the first one when the season goes over the new year.")
    reason: Text = Field(description="Why.")

    def covers(self, day: date) -> bool:
        """Whether the day is in the season."""
        today = f"{day:%m-%d}"
        if self.start <= self.end:
            return self.start <= today <= self.end
        return today >= self.start or today <= self.end


class Cadence(Part):
    """When retrains are launched."""

    cron: Cron | None = Field(default=None, description="Business cadence; five cron fields, UTC. None: only drift.")
    drift_cron: Cron = Field(default="0 6 * * 1", description="When the drift report is made.")
    on_drift: DriftRule | None = Field(default=None, description="Retrain on drift.")
    min_interval: Period = Field(description="Shortest time between the starts of two retrains launched by the system.")
    freeze: list[Freeze] = Field(default_factory=list, description="Change freezes.")
    seasons: list[Season] = Field(
        default_factory=list, description="Days of every year on which drift launches no retrain; cron goes on."
    )
    wait_for_cron: Duration = Field(
        default=timedelta(days=1),
        description="Drift launches no retrain when cron launches one within this time.",
    )

    @rule
    def _drift_can_launch(self) -> Cadence:
        if self.on_drift is None:
            if self.seasons:
                raise ValueError("seasons hold back drift only, and on_drift is not set; set on_drift or write a freeze")
            return self
        if all(any(season.covers(day) for season in self.seasons) for day in _LEAP_YEAR):
            raise ValueError("the seasons cover the whole year, so drift would never launch a retrain; shorten one")
        if self.cron is not None and not _pauses_longer(self.cron, self.wait_for_cron):
            wait = format_duration(self.wait_for_cron)
            raise ValueError(
                f"cron {self.cron!r} is due at least every {wait}, so with wait_for_cron {wait} drift would never launch a "
                "retrain; shorten wait_for_cron or remove on_drift"
            )
        return self

    def season_at(self, moment: datetime) -> Season | None:
        """The season in force on the UTC day of an aware moment."""
        today = moment.astimezone(UTC).date()
        return next((season for season in self.seasons if season.covers(today)), None)

    def freeze_at(self, moment: datetime) -> Freeze | None:
        """The first change freeze in force on the UTC day of an aware moment."""
        return next(iter(self.freezes_at(moment)), None)

    def freezes_at(self, moment: datetime) -> list[Freeze]:
        """Every change freeze in force on the UTC day of an aware moment."""
        today = moment.astimezone(UTC).date()
        return [freeze for freeze in self.freeze if freeze.start <= today <= freeze.end]


_LEAP_YEAR = [date(2000, 1, 1) + timedelta(days=day) for day in range(366)]
_PAUSES_LOOKED_AT = 1000


@lru_cache(maxsize=64)
def _pauses_longer(cron: str, period: timedelta) -> bool:
    """Whether two neighbouring ticks of a cron expression are ever further apart than a period.

    Between a tick and the last tick within a period after it no such pause can begin and end, so it is enough to look at the
    pause after that last one.
    """
    at = next(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)))
    for _ in range(_PAUSES_LOOKED_AT):
        within = (at + period).replace(second=0, microsecond=0)
        last = next(CronSim(cron, within + timedelta(minutes=1), reverse=True))
        at, before = next(CronSim(cron, last)), last
        if at - before > period:
            return True
    return False


__all__ = ["Cadence", "DriftRule", "Freeze", "Owners", "Season", "ToggleTerms"]
