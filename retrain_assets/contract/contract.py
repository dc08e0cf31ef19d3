"""The release contract of one model: the ``attributes`` of its ``defs.yaml``, with the rules that cross its parts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, ValidationInfo, model_validator

from retrain_assets.contract.approval import Approval
from retrain_assets.contract.compute import LOCAL, Compute, DatabricksCompute, SparkSession
from retrain_assets.contract.control import Cadence, Owners, ToggleTerms
from retrain_assets.contract.data import DecisionRule, Source, Trainer, Window
from retrain_assets.contract.digests import digest_of
from retrain_assets.contract.economics import Economics
from retrain_assets.contract.environment_schema import with_environments
from retrain_assets.contract.environments import DEFAULT_ENVIRONMENT, EnvironmentName, Overlay, in_each
from retrain_assets.contract.errors import ContractError
from retrain_assets.contract.experiment import Experiment
from retrain_assets.contract.notify import Notify
from retrain_assets.contract.part import RECORDED, Part, rule
from retrain_assets.contract.quantities import ModelName, PythonPath, format_duration
from retrain_assets.contract.rehearsal import Rehearsal
from retrain_assets.contract.retention import Retention
from retrain_assets.contract.serving import Serving
from retrain_assets.contract.thresholds import GateThresholds

Task = Literal["binary_classification", "multiclass", "regression"]

DRIFT_METRICS = ("feature_psi", "prediction_psi", "label_share", "calibration_bias", "segment_loss")
"""Drift metrics every model has; ``estimated_METRIC`` of an offline metric of a classification is one too (how much worse the
metric is estimated to be, without labels), and a success measure's name (its relative worsening)."""

LABEL_METRICS = ("label_share", "calibration_bias")
"""Of these, the ones that need one number as label."""

ESTIMATED = "estimated_"
"""Prefix of a metric that is estimated without labels."""


class Contract(Part):
    """One model's release contract."""

    model: ModelName = Field(description="Name of the model: asset key prefix, registry name and flag key.")
    task: Task = Field(description="What is predicted.")
    purpose: str = Field(min_length=1, description="What the model is for, one sentence a customer would understand.")
    owners: Owners = Field(description="Who answers for each gate.")
    source: Source = Field(description="Where the rows come from.")
    window: Window = Field(description="How much history a retrain uses.")
    features: PythonPath = Field(description="Function from source rows to unit key and features, e.g. .features.build.")
    trainer: Trainer = Field(description="What is fitted.")
    decision: DecisionRule | None = Field(default=None, description="From score to decision (binary classification).")
    gates: GateThresholds = Field(description="Thresholds of the gates before traffic.")
    experiment: Experiment = Field(description="Champion against challenger on live traffic.")
    toggle: ToggleTerms = Field(description="Terms of the release control of each challenger.")
    approval: Approval = Field(description="Who approves a promotion.")
    economics: Economics | None = Field(default=None, description="What an effect is worth, and what a promotion costs.")
    cadence: Cadence = Field(description="When retrains are launched.")
    serving: Serving = Field(default_factory=Serving, description="How the gateway answers for the model.")
    notify: Notify = Field(default_factory=Notify, description="Services that are told what happens, in one list or by role.")
    retention: Retention = Field(default_factory=Retention, description="How long records and traffic are kept.")
    rehearsal: Rehearsal | None = Field(default=None, description="How `retrain rehearse` plays the source's own history.")
    compute: Compute = Field(
        default_factory=lambda: Compute.model_validate(LOCAL),
        description="Where heavy stages run: local, {spark: ...} or {databricks: ...}.",
    )
    promoted_from: EnvironmentName | None = Field(
        default=None,
        description="The environment whose contract has to be promoted into this one before a retrain is launched or armed here; "
        "written below environments.",
    )
    environments: dict[EnvironmentName, Overlay] = Field(
        default_factory=dict,
        exclude=True,
        description="What differs by environment (RETRAIN_ENVIRONMENT): parts of a contract, laid over this one.",
    )
    _in_environments: dict[str, Contract] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _calibration_is_for_classification(cls, values: Any) -> Any:
        """A regression has no calibration limits by default; a classification has the default ones."""
        if not isinstance(values, dict) or values.get("task") != "regression":
            return values
        gates = values.get("gates")
        offline = gates.get("offline") if isinstance(gates, dict) else None
        if not isinstance(gates, dict) or not isinstance(offline, dict) or "calibration" in offline:
            return values
        return {**values, "gates": {**gates, "offline": {**offline, "calibration": None}}}

    @rule
    def _expires_after_the_experiment(self) -> Contract:
        if self.toggle.expires_after <= self.experiment.longest:
            field = "max_duration" if self.experiment.extend_to is None else "extend_to"
            raise ValueError(
                f"toggle.expires_after must be longer than experiment.{field}, or the toggle would expire "
                f"before the experiment can end; lengthen expires_after or shorten {field}"
            )
        return self

    @rule
    def _value_is_measured(self) -> Contract:
        named = self.economics.measure if self.economics else None
        if named is not None and named not in self.experiment.success:
            known = ", ".join(self.experiment.success)
            raise ValueError(f"economics.measure: {named!r} is not a success measure; write one of {known}, or remove it")
        carrier = self.experiment.success[named or next(iter(self.experiment.success))]
        if self.economics is not None and carrier.quantile is not None:
            raise ValueError("economics: a quantile carries no value per unit; name a mean in economics.measure")
        if self.economics is not None and carrier.aggregate == "sum":
            raise ValueError(
                "economics: a unit's total grows with the time it is watched, so it has no value per unit; name a mean in "
                "economics.measure"
            )
        return self

    @rule
    def _labels_come_in_time(self) -> Contract:
        delay = self.source.label_delay
        if self.window.holdout <= delay:
            raise ValueError(
                f"window.holdout must be longer than source.label_delay ({format_duration(delay)}): rows are used once their "
                "label is known, so gate data could never pass; lengthen window.holdout"
            )
        return self

    @rule
    def _units_are_nowhere_shown(self) -> Contract:
        offline, experiment = self.gates.offline, self.experiment
        shown: dict[str, list[str]] = {
            "gates.offline.slices.columns": offline.slices.columns if offline.slices else [],
            "gates.offline.fairness": [one.column for one in offline.fairness],
            "experiment.segments": list(experiment.segments),
            "experiment.cohort": list(experiment.cohort),
        }
        for field, columns in shown.items():
            if named := [column for column in columns if column in (self.source.unit, "unit_id")]:
                raise ValueError(
                    f"{field}: {named[0]} is the unit, whose ids must not stand in records; name what many units share"
                )
        return self

    @rule
    def _backtests_can_spread(self) -> Contract:
        rule = self.gates.offline.backtests
        if rule is not None and rule.max_spread is not None and self.window.backtests < 2:
            raise ValueError("gates.offline.backtests.max_spread needs two back-tests; set window.backtests to 2 or more")
        return self

    @rule
    def _task_fits(self) -> Contract:
        offline = self.gates.offline
        if self.task == "binary_classification" and self.decision is None:
            raise ValueError("decision is required for binary_classification; write decision: {threshold: 0.5}")
        if self.task != "binary_classification" and self.decision is not None:
            raise ValueError(f"decision is a rule for binary_classification, not for {self.task}; remove it")
        if self.task == "regression" and (offline.calibration is not None or self.trainer.calibration != "none"):
            raise ValueError("calibration is for classification; remove gates.offline.calibration and trainer.calibration")
        if (stability := offline.stability) is not None:
            flips, shift = (stability.max_flips, stability.max_slice_flips), stability.max_shift
            if self.task == "regression" and flips != (None, None):
                raise ValueError("gates.offline.stability: a regression takes no decisions that could flip; write max_shift")
            if self.task != "regression" and shift is not None:
                raise ValueError("gates.offline.stability.max_shift is for regression; write max_flips")
        if offline.fairness and self.decision is None:
            raise ValueError(f"gates.offline.fairness is judged on binary decisions, and {self.task} takes none; remove it")
        shipped = {name for names in METRICS.values() for name in names}
        if taken := [name for name in offline.own_metrics if name in shipped]:
            raise ValueError(
                f"gates.offline.own_metrics: {taken[0]!r} is a metric that ships with the product; take another name"
            )
        known = (*METRICS[self.task], *offline.own_metrics)
        for name in offline.metrics:
            if name not in known:
                raise ValueError(
                    f"gates.offline.metrics: {name!r} is not a metric of {self.task}; write one of {', '.join(known)}"
                )
        return self

    @rule
    def _drift_metrics_exist(self) -> Contract:
        rule = self.cadence.on_drift
        for name in rule.limits if rule else ():
            metrics = () if self.task == "regression" else self.gates.offline.metrics
            estimated = [ESTIMATED + metric for metric in metrics if metric in ESTIMATED_METRICS]
            if name not in (*DRIFT_METRICS, *estimated, *self.experiment.success):
                known = ", ".join((*DRIFT_METRICS, *estimated, *self.experiment.success))
                why = (
                    self._why_not_estimated(name.removeprefix(ESTIMATED))
                    if name.startswith(ESTIMATED)
                    else "is not a drift metric"
                )
                raise ValueError(f"cadence.on_drift.limits: {name!r} {why}; write one of {known}")
            if name == "segment_loss" and not self.experiment.segments and self.gates.offline.slices is None:
                raise ValueError(
                    "cadence.on_drift.limits: 'segment_loss' needs segments, and there are none; "
                    "set experiment.segments or gates.offline.slices, or remove the limit"
                )
            if self.task == "multiclass" and name in LABEL_METRICS:
                raise ValueError(f"cadence.on_drift.limits: {name!r} is not defined for multiclass; remove it")
            measure = self.experiment.success.get(name)
            if measure is not None and measure.column_of(name) not in self.experiment.outcomes:
                raise ValueError(f"cadence.on_drift.limits: {name!r} is not read from an outcome; remove it")
        return self

    def _why_not_estimated(self, metric: str) -> str:
        if self.task == "regression":
            return "is estimated from calibrated probabilities, and regression has none"
        if metric not in METRICS[self.task]:
            return f"is no estimate: {metric!r} is not a metric of {self.task}"
        if metric not in ESTIMATED_METRICS:
            return f"is no estimate: {metric} cannot be estimated from scores alone"
        return f"is estimated only where gates.offline.metrics has {metric}"

    @model_validator(mode="wrap")
    @classmethod
    def _holds_in_every_environment(
        cls, values: Any, handler: ModelWrapValidatorHandler[Contract], info: ValidationInfo
    ) -> Contract:
        """The contract of each environment is validated whole, with its own part laid over the rest."""
        contract = handler(values)
        if isinstance(values, dict) and contract.environments:
            names = list(contract.environments)
            contract._in_environments = in_each(values, names, lambda own: cls.model_validate(own, context=info.context))
        return contract

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """The JSON schema for editors and ``dg check yaml``; see :meth:`pydantic.BaseModel.model_json_schema`."""
        return with_environments(super().model_json_schema(*args, **options))

    def in_environment(self, name: str) -> Contract:
        """The contract as it holds in an environment; as it is written where it names no environments, or ``name`` is `default`.

        Raises:
            ContractError: it names environments, and not this one.
        """
        if not self.environments or name == DEFAULT_ENVIRONMENT:
            return self if not self.environments else Contract.model_validate(self.to_json())
        if name not in self._in_environments:
            known = ", ".join(self.environments)
            raise ContractError(
                f"there is no environment {name!r}",
                where=f"{self.model}: environments",
                remedy=f"set RETRAIN_ENVIRONMENT to one of {known}, or add {name}: {{}} there",
            )
        return self._in_environments[name]

    @classmethod
    def recorded(cls, value: Any) -> Contract:
        """A contract on record, read without the rules across fields: they are asked when it is written.

        Raises:
            pydantic.ValidationError: when it has not the shape of a contract.
        """
        return cls.model_validate(value, context=RECORDED)

    def to_json(self) -> dict[str, Any]:
        """The contract as JSON-able values, field names as in the YAML."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def digest(self) -> str:
        """Digest of the whole contract: the version of the policy a retrain was judged by."""
        return digest_of(self.to_json())

    @property
    def spark(self) -> SparkSession | None:
        """The Spark session that heavy stages run on; None where they run elsewhere."""
        return self.compute.spark

    @property
    def databricks(self) -> DatabricksCompute | None:
        """The Databricks settings; None where heavy stages run elsewhere."""
        return self.compute.databricks

    @property
    def limits_digest(self) -> str:
        """Digest of what the gates before traffic judge by: thresholds, own checks and metrics with their code.

        Without own checks and metrics it is that of contracts from before there were any.
        """
        gates = self.to_json()["gates"]
        if not gates["own"]:
            del gates["own"]
        if not gates["offline"]["own_metrics"]:
            del gates["offline"]["own_metrics"]
        return digest_of(gates)


METRICS: dict[str, tuple[str, ...]] = {
    "binary_classification": (
        "roc_auc",
        "average_precision",
        "log_loss",
        "brier_score",
        "accuracy",
        "balanced_accuracy",
        "matthews_corrcoef",
        "f1",
        "precision",
        "recall",
    ),
    "multiclass": (
        "roc_auc_ovr",
        "log_loss",
        "accuracy",
        "balanced_accuracy",
        "matthews_corrcoef",
        "f1_macro",
        "f1_weighted",
        "precision_macro",
        "recall_macro",
    ),
    "regression": (
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "median_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "explained_variance",
        "r2",
    ),
}
"""Offline metrics by task; names follow scikit-learn."""

LOWER_IS_BETTER = frozenset(
    {
        "log_loss",
        "brier_score",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "median_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
    }
)
"""Offline metrics of which a smaller value is better."""

ESTIMATED_METRICS = frozenset({"roc_auc", "log_loss", "brier_score", "accuracy", "f1", "precision", "recall"})
"""Offline metrics that can be estimated from calibrated scores alone."""
