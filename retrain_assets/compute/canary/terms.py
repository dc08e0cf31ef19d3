"""What the sums of a canary are taken of: the measures, covariates and segments of a contract, the revisions of a toggle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from retrain_assets.contract import Contract, Guardrail, StageError, Success
from retrain_assets.contract.experiment import EXPOSURE_MEASURES

CHAMPION_SCORE = "champion_score"
PRE_PERIOD = "pre_period"
PARAMETERS = ("toggle", "stage_started", "shares", "armed_at")


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure as it is computed.

    Args:
        name: its name in the contract.
        terms: the contract's words on it.
        covariates: names of its covariate columns, each followed by one that says where it is missing.
    """

    name: str
    terms: Success | Guardrail
    covariates: tuple[str, ...]

    @property
    def is_ratio(self) -> bool:
        """Whether it is a ratio of two sums."""
        return self.terms.per is not None

    @property
    def is_quantile(self) -> bool:
        """Whether it is a quantile of the requests' values."""
        return self.terms.quantile is not None

    @property
    def from_outcomes(self) -> bool:
        """Whether an outcome is needed to compute it."""
        return any(column not in EXPOSURE_MEASURES for column in self.terms.columns_of(self.name))

    @property
    def columns(self) -> tuple[str, ...]:
        """What the numbers per unit are: ``value``, ``per`` for a ratio, the covariates."""
        return ("value", *(("per",) if self.is_ratio else ()), *self.covariates)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is counted and summed.

    Args:
        contract: names the measures, the outcome window, the cohort and the segments.
        toggle: the toggle whose experiment it is.
        stage_started: when each revision of the toggle began.
        shares: intended share of the challenger per revision, 0..1.
        armed_at: when the toggle was armed; what comes before is the time before the experiment.

    Raises:
        StageError: for a time without a zone, or a revision without a share.
    """

    contract: Contract
    toggle: str
    stage_started: Mapping[int, datetime]
    shares: Mapping[int, float]
    armed_at: datetime

    def __post_init__(self) -> None:
        if any(moment.tzinfo is None for moment in (self.armed_at, *self.stage_started.values())):
            raise StageError("a time has no time zone", where="canary", remedy="pass timezone-aware UTC times")
        if missing := sorted(set(self.stage_started) - set(self.shares)):
            raise StageError(f"revision {missing[0]} has no share", where="canary shares", remedy="pass one share per revision")

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return {"contract": self.contract.to_json(), **self.parameters}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Terms:
        """The inverse of :meth:`to_json`.

        Raises:
            StageError: for a revision or time that is none.
        """
        return cls.of(Contract.recorded(value["contract"]), value)

    @property
    def parameters(self) -> dict[str, Any]:
        """What of them a stage request says beside its contract, JSON-able."""
        return {
            "toggle": self.toggle,
            "stage_started": {str(revision): moment.isoformat() for revision, moment in sorted(self.stage_started.items())},
            "shares": {str(revision): share for revision, share in sorted(self.shares.items())},
            "armed_at": self.armed_at.isoformat(),
        }

    @classmethod
    def of(cls, contract: Contract, parameters: Mapping[str, Any]) -> Terms:
        """The terms of a contract and of :attr:`parameters`.

        Raises:
            StageError: for a parameter that is missing, a revision or time that is none.
        """
        try:
            return cls(
                contract,
                parameters["toggle"],
                {int(revision): datetime.fromisoformat(moment) for revision, moment in parameters["stage_started"].items()},
                {int(revision): float(share) for revision, share in parameters["shares"].items()},
                datetime.fromisoformat(parameters["armed_at"]),
            )
        except KeyError as error:
            raise StageError(f"{error} is missing", where="canary parameters", remedy=f"pass {', '.join(PARAMETERS)}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise StageError(
                f"cannot be read ({error})", where="canary parameters", remedy="write revisions as numbers, times as ISO-8601"
            ) from error

    @property
    def window(self) -> timedelta:
        """Time after an exposure in which its outcome counts."""
        return self.contract.experiment.outcome_window

    @property
    def segments(self) -> tuple[str, ...]:
        """Columns the sums are split by."""
        return tuple(self.contract.experiment.segments)

    @property
    def measures(self) -> tuple[Measured, ...]:
        """Success measures, then guardrails."""
        experiment = self.contract.experiment
        measures: dict[str, Success | Guardrail] = {**experiment.success, **experiment.guardrails}
        return tuple(Measured(name, one, () if one.quantile is not None else self._covariates) for name, one in measures.items())

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """Columns of the outcomes that a measure needs."""
        return tuple(column for column in self._read if column not in EXPOSURE_MEASURES)

    @property
    def exposure_columns(self) -> tuple[str, ...]:
        """Columns of the exposures that a measure needs."""
        return tuple(column for column in self._read if column in EXPOSURE_MEASURES)

    @property
    def covariate_columns(self) -> tuple[str, ...]:
        """Exposure columns that are covariates."""
        adjustment = self.contract.experiment.adjust_for
        return tuple(adjustment.columns) if adjustment else ()

    @property
    def uses_champion_score(self) -> bool:
        """Whether the champion's score is a covariate."""
        adjustment = self.contract.experiment.adjust_for
        return bool(adjustment and adjustment.champion_score)

    @property
    def recorded_covariates(self) -> int:
        """How many covariates exposures carry."""
        return len(self.covariate_columns) + self.uses_champion_score

    @property
    def pre_period(self) -> timedelta | None:
        """How long before arming a unit's own values count as a covariate."""
        adjustment = self.contract.experiment.adjust_for
        return adjustment.pre_period if adjustment else None

    @property
    def pre_period_from(self) -> datetime:
        """Begin of the time before the experiment, UTC; the arming where there is none."""
        return (self.armed_at - (self.pre_period or timedelta(0))).astimezone(UTC)

    @property
    def _read(self) -> list[str]:
        columns = [column for measure in self.measures for column in measure.terms.columns_of(measure.name)]
        return list(dict.fromkeys(columns))

    @property
    def _covariates(self) -> tuple[str, ...]:
        names = [*self.covariate_columns]
        names += [CHAMPION_SCORE] if self.uses_champion_score else []
        names += [PRE_PERIOD] if self.pre_period else []
        return tuple(column for name in names for column in (name, f"{name} missing"))
