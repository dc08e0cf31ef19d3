"""What requests and answers look like, for the OpenAPI document and for the tests that hold the gateway to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel
from pydantic.json_schema import models_json_schema

from retrain_assets.routing import Arm, Reason

Scalar = str | float | bool | None
Id = Annotated[str, Field(min_length=1, max_length=1024)]
Unit = Annotated[
    Id, Field(description="What stays sticky: user, account, aircraft. Without one the champion answers, outside the experiment.")
]
Identified = Annotated[Id, Field(description="Identifies the request in exposures and outcomes; unique.")]
Attributes = Annotated[
    dict[str, Scalar | list[str]],
    Field(
        description="What cohort, segments and covariates of the contract are about. "
        "One that is not given is taken from the feature of the same name."
    ),
]


class Part(BaseModel):
    """Nothing that is not described here is accepted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PredictRow(Part):
    """One row to be scored."""

    request_id: Identified | None = None
    unit: Unit | None = None
    attributes: Attributes | None = None
    features: Annotated[
        dict[str, Scalar],
        Field(description="Every feature of the model by name, none else; null for a missing value."),
    ]


class PredictRows(Part):
    """Several rows, answered in their order."""

    rows: Annotated[list[PredictRow], Field(min_length=1)]


class PredictRequest(RootModel[PredictRow | PredictRows]):
    """One row, or several."""


class PredictionAnswer(Part):
    """The answer for one row."""

    request_id: Identified
    unit: Unit | None
    score: Annotated[
        float | list[float],
        Field(description="Probability of the positive class or regression value; of several classes one probability each."),
    ]
    decision: Annotated[bool | None, Field(description="The positive decision; null without a decision rule.")]
    arm: Annotated[
        Arm, Field(description="The arm the unit is in, also where the champion answered for a challenger that failed.")
    ]
    version: Annotated[str, Field(description="Registered version of that arm.")]
    revision: Annotated[int, Field(description="Revision of the toggle; 0 outside the experiment.")]
    stage: Annotated[str | None, Field(description="Stage of the ramp; null outside the experiment.")]
    reason: Annotated[Reason, Field(description="Why this arm.")]
    error: Annotated[bool, Field(description="Whether the challenger failed, so that this is the champion's answer.")]


class PredictAnswer(Part):
    """One prediction a row, in the order of the rows."""

    predictions: list[PredictionAnswer]


class OutcomeRow(Part):
    """What happened to the unit of one request."""

    request_id: Identified
    unit: Annotated[Id, Field(description="The request's unit.")]
    observed_at: Annotated[
        AwareDatetime | None, Field(description="When it was known, ISO 8601 with a time zone; now, where it is not given.")
    ] = None
    measures: Annotated[
        dict[str, float | bool | None],
        Field(description="Outcome measures of the contract; a later observation of the same one corrects it.", min_length=1),
    ]


class OutcomeRows(Part):
    """Several outcomes."""

    rows: Annotated[list[OutcomeRow], Field(min_length=1)]


class OutcomeRequest(RootModel[OutcomeRow | OutcomeRows]):
    """One outcome, or several."""


class ExposureRow(Part):
    """Which arm answered one request of a service that scores with models of its own."""

    request_id: Identified
    unit: Unit | None = None
    attributes: Attributes | None = None
    arm: Arm
    version: Annotated[Id, Field(description="Registered version of that arm, as the toggle said it.")]
    bundle: Annotated[Id, Field(description="Digest of its bundle, as the toggle said it.")]
    toggle: Annotated[Id | None, Field(description="The toggle; null outside the experiment.")] = None
    revision: Annotated[int | None, Field(ge=0, le=2**63 - 1, description="Its revision; 0 outside the experiment.")] = None
    stage: Annotated[Id | None, Field(description="Its stage; null outside the experiment.")] = None
    exposed_at: Annotated[
        AwareDatetime | None, Field(description="The moment of the request, ISO 8601 with a time zone; now, if not given.")
    ] = None
    latency_ms: Annotated[float | None, Field(ge=0, description="Time of the scoring call.")] = None
    error: Annotated[bool | None, Field(description="Whether the arm's model failed.")] = None
    score: float | None = None
    decision: bool | None = None


class ExposureRows(Part):
    """Several exposures."""

    rows: Annotated[list[ExposureRow], Field(min_length=1)]


class ExposureRequest(RootModel[ExposureRow | ExposureRows]):
    """One exposure, or several."""


class Recorded(Part):
    """The rows survive what the contract's ``serving.durability`` says."""

    recorded: Annotated[int, Field(description="Rows of the request, all of them recorded.")]


class ArmAnswer(Part):
    """One arm of a model."""

    version: str
    bundle: Annotated[str, Field(description="Digest of its manifest.")]
    loaded: Annotated[bool, Field(description="Whether this process has it in memory, verified.")]
    problem: Annotated[str | None, Field(description="Why it is not loaded, in words.")] = None


class ToggleAnswer(Part):
    """How one model's traffic is divided now, as this process does it."""

    model: str
    toggle: Annotated[str | None, Field(description="Name of the toggle; null where nothing is being tried.")]
    state: Annotated[str, Field(description="State of the toggle; none without one.")]
    revision: int
    stage: str | None
    share: Annotated[float, Field(description="Part of the cohort that the challenger answers now, 0..1.")]
    expires_at: AwareDatetime | None
    cohort: Annotated[dict[str, Any], Field(description="Condition per attribute.")]
    cohort_share: Annotated[float, Field(description="Part of those who meet the conditions that takes part at all, 0..1.")]
    champion: ArmAnswer | None
    challenger: ArmAnswer | None


class ModelAnswer(Part):
    """One model the gateway knows."""

    model: str
    ready: Annotated[bool, Field(description="Whether requests are answered.")]
    version: Annotated[str | None, Field(description="Version of the champion.")]
    toggle: str | None
    stage: str | None
    share: float


class ModelsAnswer(Part):
    """Every model the gateway knows, by name."""

    models: list[ModelAnswer]


class Alive(Part):
    """The process runs and its event loop turns."""

    status: Literal["alive"]


class Readiness(Part):
    """Whether every model can answer."""

    ready: bool
    problems: Annotated[list[str], Field(description="What keeps it from being ready.")]
    warnings: Annotated[list[str], Field(description="What should be looked at while requests are answered.")]


class Fault(Part):
    """What is wrong, where, and what to do."""

    code: Annotated[str, Field(description="One per kind of fault; a program may rely on it.")]
    message: str
    where: str
    remedy: str


class FaultAnswer(Part):
    """A request that was not answered."""

    error: Fault


REQUESTS: tuple[type[BaseModel], ...] = (PredictRequest, OutcomeRequest, ExposureRequest)
"""Bodies that are checked by hand and stand in the document all the same."""


def request_schemas() -> dict[str, Any]:
    """JSON schemas of the bodies in :data:`REQUESTS` and what they are made of, for the document's components."""
    made = [(model, "validation") for model in REQUESTS]
    _, document = models_json_schema(made, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return dict(document["$defs"])
