"""What a canary decision needs to know, counted and summed by whichever engine holds the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from retrain_assets.experiment.estimation.statistics import SHADOW, MeasureStatistics


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Units of one arm in one stage.

    Args:
        exposed: units with an exposure (challenger in shadow: shadow-scored units).
        matured: of these, units with a request whose outcome window has closed.
        with_outcome: of these, units that have every outcome measure.
        new: of the exposed ones, those whose first revision with traffic this is: their arm is drawn anew; None: all of them.
    """

    exposed: int
    matured: int
    with_outcome: int
    new: int | None = None


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Units of one toggle revision.

    Args:
        revision: revision of the toggle.
        stage: label of the ramp's stage.
        challenger_share: intended share of the challenger, 0..1.
        champion: units of the champion's arm.
        challenger: units of the challenger's arm.
        started_at: when the revision began, UTC.
    """

    revision: int
    stage: str
    challenger_share: float
    champion: ArmCounts
    challenger: ArmCounts
    started_at: datetime

    @property
    def is_shadow(self) -> bool:
        """Whether the challenger only scored along."""
        return self.stage == SHADOW

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return {**asdict(self), "started_at": self.started_at.isoformat()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StageCounts:
        """The inverse of :meth:`to_json`."""
        return cls(
            **{
                **value,
                "champion": ArmCounts(**value["champion"]),
                "challenger": ArmCounts(**value["challenger"]),
                "started_at": datetime.fromisoformat(value["started_at"]),
            }
        )


@dataclass(frozen=True, slots=True)
class CanaryData:
    """Everything the decision needs.

    Args:
        stages: counts per toggle revision.
        measures: per measure name its statistics, matured units only.
        segments: per segment (``column=value``) the same, over the units whose first exposure was in the segment.
        segment_stages: per segment the counts per toggle revision.
        first_traffic_at: when the first unit met real traffic of the experiment.
        last_matured_at: the latest exposure whose outcome window has closed.
        cross_arm_units: units seen in both arms under one revision, or that left the challenger while its share did not
            shrink; left out of every statistic.
        duplicate_outcomes: outcome rows replaced by a later one.
        unknown_outcomes: outcome rows whose request, or whose request's unit, is not among the exposures.
        outcomes_before_exposure: outcome rows observed before their exposure.
        late_outcomes: outcome rows observed after the outcome window.
        duplicate_exposures: exposure rows with a request id that was already there.
        future_rows: exposure and outcome rows dated after now by more than clocks differ.
        unknown_revisions: exposure rows of a revision the ledger does not know.
        exposures: exposure rows of the experiment that were read.
        outcomes: outcome rows that were read.
        problem: why the records could not be read or understood, in words; None when they could. Nothing else counts then.
    """

    stages: tuple[StageCounts, ...]
    measures: Mapping[str, MeasureStatistics]
    segments: Mapping[str, Mapping[str, MeasureStatistics]] = field(default_factory=dict)
    segment_stages: Mapping[str, tuple[StageCounts, ...]] = field(default_factory=dict)
    first_traffic_at: datetime | None = None
    last_matured_at: datetime | None = None
    cross_arm_units: int = 0
    duplicate_outcomes: int = 0
    unknown_outcomes: int = 0
    outcomes_before_exposure: int = 0
    late_outcomes: int = 0
    duplicate_exposures: int = 0
    future_rows: int = 0
    unknown_revisions: int = 0
    exposures: int = 0
    outcomes: int = 0
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict, from which the canary can be decided again; what is not finite is null."""
        return {
            **{one.name: getattr(self, one.name) for one in fields(self)},
            "stages": [one.to_json() for one in self.stages],
            "measures": {name: one.to_json() for name, one in self.measures.items()},
            "segments": {name: {key: one.to_json() for key, one in of.items()} for name, of in self.segments.items()},
            "segment_stages": {name: [one.to_json() for one in of] for name, of in self.segment_stages.items()},
            **{name: moment and moment.isoformat() for name in _MOMENTS for moment in [getattr(self, name)]},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CanaryData:
        """The inverse of :meth:`to_json`."""
        read = MeasureStatistics.from_json
        moments = {name: datetime.fromisoformat(value[name]) if value[name] else None for name in _MOMENTS}
        return cls(
            **{
                **value,
                **moments,
                "stages": tuple(map(StageCounts.from_json, value["stages"])),
                "measures": {name: read(one) for name, one in value["measures"].items()},
                "segments": {name: {key: read(one) for key, one in of.items()} for name, of in value["segments"].items()},
                "segment_stages": {name: tuple(map(StageCounts.from_json, of)) for name, of in value["segment_stages"].items()},
            }
        )


_MOMENTS = ("first_traffic_at", "last_matured_at")
