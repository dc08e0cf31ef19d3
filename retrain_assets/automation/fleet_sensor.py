"""One sensor of a kind for all models of a code location: it looks at each that may have changed, and one that fails stops no
other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from retrain_assets.assets import Platform, Road
from retrain_assets.automation.memory import Memory, Remembered
from retrain_assets.automation.sensor_faults import SensorFaults
from retrain_assets.automation.tick_metrics import counted_tick
from retrain_assets.automation.tick_words import said_of
from retrain_assets.contract import RetrainError
from retrain_assets.observability import span
from retrain_assets.release import ModelState, PlatformState

SECONDS = 40.0
"""How long a tick goes on to the next model. Dagster gives it 60 s, sending messages takes up to 10, and a tick that is cut off
has asked for nothing."""
LONGEST = timedelta(hours=1)
"""How long a model is left alone at most, whatever was computed."""

AssetEvent = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation


@dataclass(frozen=True)
class Tick:
    """One tick of one sensor.

    Args:
        instance: Dagster's record.
        platform: the home.
        now: the clock's time.
        states: every model, as the tick began.
        beyond: what holds for all models, as the tick began.
        log: of the tick, as the UI shows it.
    """

    instance: dg.DagsterInstance
    platform: Platform
    now: datetime
    states: Mapping[str, ModelState]
    beyond: PlatformState
    log: Any

    def state(self, model: str) -> ModelState:
        """A model's state; an empty one when nothing is recorded about it."""
        return self.states.get(model) or ModelState(model)

    def renewed(self) -> Tick:
        """With what was recorded since it began."""
        states, beyond = self.platform.controller.snapshot()
        return replace(self, states=states, beyond=beyond)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look at one model gives.

    Args:
        about: what holds, in words that many models share.
        said: what holds, in full.
        matters: whether that is worth a line of its own among a hundred models.
        did: what this look did, if anything.
        requests: runs to launch; each names its job.
        partitions: partitions to add.
        events: what to record about assets without a run.
        again_at: from when on the answer may be another though nothing is recorded; None: at the next tick already.
        kept: what the next look wants to know, as JSON.
        pending: what is finished for all answers at once.
    """

    about: str
    said: str = ""
    matters: bool = False
    did: str = ""
    requests: Sequence[dg.RunRequest] = ()
    partitions: Sequence[Any] = ()
    events: Sequence[AssetEvent] = ()
    again_at: datetime | None = None
    kept: Any = None
    pending: Any = None


Jobs = Mapping[str, dg.JobDefinition]
Look = Callable[[Tick, Road, Any], Answer]
Answers = Mapping[str, Answer]


@dataclass(frozen=True)
class SensorKind:
    """One kind of sensor.

    Args:
        name: the sensor is ``retrain_{name}_sensor``.
        description: what it does, as its page says it.
        look: from the tick, a model and what was kept to the answer; may raise.
        job: the job of a model it launches; None where it launches none.
        catches_up: whether what serves and the registry are first brought up to the ledger.
        woken: from the tick and the mark to the next mark and the models that something outside the ledger is new about; None
            instead of models: all.
        finish: what is done for all answers at once, after every look.
    """

    name: str
    description: str
    look: Look
    job: Callable[[Road], str] | None = None
    catches_up: bool = False
    woken: Callable[[Tick, Any], tuple[Any, frozenset[str] | None]] = field(default=lambda tick, mark: (mark, frozenset()))
    finish: Callable[[Tick, Sequence[Road], Answers], Answers] = field(default=lambda tick, roads, answers: answers)


def fleet_sensor(
    kind: SensorKind, roads: Sequence[Road], jobs: Jobs | None = None, *, seconds: float = SECONDS
) -> dg.SensorDefinition:
    """The sensor of a kind for some models.

    Args:
        kind: what it does for each.
        roads: the models, sorted by name.
        jobs: their jobs, as the code location has them; None: as the models make them.
        seconds: after which the models not come to are left for the next tick, which begins with them.
    """

    launched = [(road, kind.job(road)) for road in roads] if kind.job is not None else []

    @dg.sensor(
        name=f"retrain_{kind.name}_sensor",
        jobs=[jobs[name] if jobs is not None else road.jobs[name] for road, name in launched] or None,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=kind.description,
    )
    def tick(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        with counted_tick(kind.name, platform.home) as count:
            deadline = time.monotonic() + seconds
            if kind.catches_up:
                platform.controller.catch_up()
            states, beyond = platform.controller.snapshot()
            begun = Tick(context.instance, platform, platform.clock.now(), states, beyond, context.log)
            looked = _looked(kind, roads, begun, Memory.read(context.cursor), deadline)
            result = _result(kind, begun, *looked)
            found = looked[-1]
            count(len(found.answers), len(found.faults), len(result.run_requests or ()), len(found.left))
            return result

    return tick


@dataclass
class _Found:
    """What the looks of one tick came to, by model."""

    answers: dict[str, Answer] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def _looked(
    kind: SensorKind, roads: Sequence[Road], tick: Tick, memory: Memory, deadline: float
) -> tuple[Sequence[Road], Memory, _Found]:
    mark, woken = kind.woken(tick, memory.mark)
    memory, found = memory.waking(frozenset(memory.models) if woken is None else woken), _Found()
    for road in memory.rotation(roads):
        known = memory.models.get(road.model)
        if known is not None and known.holds(road, tick.state(road.model), tick.beyond, tick.now):
            continue
        if (found.answers or found.faults) and time.monotonic() > deadline:
            found.left.append(road.model)
            continue
        try:
            with span(f"look {kind.name}", model=road.model, retrain=_retrain_of(tick, road)):
                found.answers[road.model] = kind.look(tick, road, known.kept if known else None)
        except Exception as error:
            found.faults[road.model] = _line(error)
            tick.log.exception(f"the {kind.name} sensor failed for {road.model}")
    found.answers = dict(kind.finish(tick, roads, found.answers))
    return roads, replace(memory, mark=mark, first=found.left[0] if found.left else ""), found


def _result(kind: SensorKind, tick: Tick, roads: Sequence[Road], memory: Memory, found: _Found) -> dg.SensorResult:
    SensorFaults(tick.platform.home, kind.name).note(found.faults, found.answers, tick.now)
    models = {road.model: after for road in roads if (after := _after(road, memory, found, tick)) is not None}
    answers = [found.answers[road.model] for road in roads if road.model in found.answers]
    requests = [request for answer in answers for request in answer.requests]
    did = {model: answer.did for model, answer in found.answers.items() if answer.did}
    said = said_of(kind.name, models, found.faults, found.left, did)
    if requests:
        tick.log.info(said)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else said,
        cursor=replace(memory, models=models).cursor(),
        dynamic_partitions_requests=[
            *(addition for answer in answers for addition in answer.partitions),
            *_missing_partitions(tick.instance, roads, found.answers),
        ],
        asset_events=[event for answer in answers for event in answer.events],
    )


def _missing_partitions(instance: dg.DagsterInstance, roads: Sequence[Road], answers: Answers) -> Iterator[Any]:
    """Partitions that runs are asked for and Dagster does not know, as it lost them: one such run would fail the whole tick."""
    for road in roads:
        answer = answers.get(road.model)
        if answer is not None and answer.requests:
            added = {key for addition in answer.partitions for key in addition.partition_keys}
            known = {*instance.get_dynamic_partitions(road.partitions.name or ""), *added}
            if missing := sorted({one.partition_key for one in answer.requests if one.partition_key} - known):
                yield road.partitions.build_add_request(missing)


def _after(road: Road, memory: Memory, found: _Found, tick: Tick) -> Remembered | None:
    """What is remembered of a model: the look's, else what was; of one that failed what the sensor keeps, and nothing rests."""
    known, answer = memory.models.get(road.model), found.answers.get(road.model)
    if answer is not None:
        seen = (tick.state(road.model).sequence, tick.beyond.sequence)
        rests = None if answer.again_at is None or answer.requests else min(answer.again_at, tick.now + LONGEST)
        return Remembered(
            seen, road.code_version, tick.now, rests, answer.about, answer.said, matters=answer.matters, kept=answer.kept
        )
    if known is not None and road.model in found.faults:
        return replace(known, again_at=None, about="", said="", matters=False)
    return known


def _retrain_of(tick: Tick, road: Road) -> str | None:
    """The retrain a look is about: that of the active toggle."""
    active = tick.state(road.model).active_toggle
    return active.retrain if active is not None else None


def _line(error: Exception) -> str:
    return error.line if isinstance(error, RetrainError) else " ".join(f"{type(error).__name__}: {error}".split())
