"""One cluster: its states, events and end, as the Clusters API tells them. Nothing is really started."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from databricks.sdk.service.compute import (
    AutoScale,
    ClusterDetails,
    ClusterEvent,
    ClusterSize,
    ClusterSource,
    ClusterSpec,
    EventDetails,
    EventType,
    SparkNode,
    State,
    TerminationReason,
    TerminationReasonCode,
    TerminationReasonType,
)


@dataclass(frozen=True)
class ClusterStart:
    """One start of a cluster: which, for which run (None: not for a run) and job cluster key."""

    cluster_id: str
    run_id: int | None
    key: str | None


def now() -> int:
    """Milliseconds since 1970, as the REST API gives times."""
    return int(time.time() * 1000)


@dataclass
class Cluster:
    """A cluster that starts, runs and ends; ``changed`` is told of every change of its state."""

    cluster_id: str
    spec: ClusterSpec
    source: ClusterSource
    creator: str
    environment: Mapping[str, str] = field(default_factory=dict)
    state: State = State.PENDING
    message: str = ""
    reason: TerminationReason | None = None
    started_at: int = field(default_factory=now)
    ended_at: int | None = None
    events: list[ClusterEvent] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    spark_context: int = 0

    def begin(self) -> None:
        """A start was asked for."""
        with self.changed:
            self.state, self.message, self.reason, self.ended_at = State.PENDING, "Finding instances for new nodes", None, None
            self.started_at = now()
            self.spark_context = now() * 1000 + len(self.events)
            self._note(EventType.STARTING if self.events else EventType.CREATING, EventDetails(user=self.creator))
            self.changed.notify_all()

    def run(self) -> None:
        """The nodes are there."""
        with self.changed:
            if self.state is not State.PENDING:
                return
            self.state, self.message = State.RUNNING, ""
            self._note(EventType.RUNNING, EventDetails(current_num_workers=self.workers, target_num_workers=self.workers))
            self._note(EventType.DRIVER_HEALTHY, None)
            self.changed.notify_all()

    def end(
        self,
        code: TerminationReasonCode,
        kind: TerminationReasonType,
        parameters: Mapping[str, str] | None = None,
        *,
        before: EventType | None = None,
    ) -> None:
        """Terminate; ``before`` is an event that led to it. A cluster that ended already keeps its reason."""
        with self.changed:
            if self.ended:
                return
            self.reason = TerminationReason(code=code, type=kind, parameters=dict(parameters or {}) or None)
            if before is not None:
                self._note(before, EventDetails(reason=self.reason, current_num_workers=0))
            self._note(EventType.TERMINATING, EventDetails(reason=self.reason))
            self.state, self.message, self.ended_at = State.TERMINATED, self.told_end(), now()
            self.changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether the cluster is gone."""
        return self.state in (State.TERMINATED, State.ERROR)

    @property
    def workers(self) -> int:
        """How many workers it has."""
        if self.spec.autoscale is not None:
            return self.spec.autoscale.min_workers or 0
        return self.spec.num_workers or 0

    def told_end(self) -> str:
        """Why it ended, as messages of runs word it; empty while it lives."""
        if self.reason is None or self.reason.code is None or self.reason.type is None:
            return ""
        told = f"Cluster '{self.cluster_id}' was terminated. Reason: {self.reason.code.value} ({self.reason.type.value})."
        parameters = ", ".join(f"{name}:{value}" for name, value in (self.reason.parameters or {}).items())
        return f"{told} Parameters: {parameters}." if parameters else told

    def details(self) -> ClusterDetails:
        """The cluster as clusters/get gives it."""
        given = ClusterDetails.from_dict(self.spec.as_dict())
        alive = self.state is State.RUNNING
        given.cluster_id, given.creator_user_name, given.cluster_source = self.cluster_id, self.creator, self.source
        given.spec = self.spec
        given.state, given.state_message, given.termination_reason = self.state, self.message, self.reason
        given.start_time, given.terminated_time = self.started_at, self.ended_at
        given.driver_node_type_id = self.spec.driver_node_type_id or self.spec.node_type_id
        given.default_tags = {"Vendor": "Databricks", "Creator": self.creator, "ClusterId": self.cluster_id}
        given.spark_context_id = self.spark_context if alive else None
        if alive:
            given.driver = SparkNode(node_id=f"{self.cluster_id}-driver", instance_id="i-0driver", private_ip="10.0.0.4")
            given.executors = [SparkNode(node_id=f"{self.cluster_id}-{n}") for n in range(self.workers)] or None
            given.cluster_cores, given.cluster_memory_mb = 4.0 * (1 + self.workers), 31232 * (1 + self.workers)
        return given

    def note(self, kind: EventType, details: EventDetails | None = None) -> None:
        """Add an event."""
        with self.changed:
            self._note(kind, details)

    def _note(self, kind: EventType, details: EventDetails | None) -> None:
        if kind is EventType.CREATING and details is not None:
            scale = self.spec.autoscale
            size = AutoScale(min_workers=scale.min_workers, max_workers=scale.max_workers) if scale is not None else None
            details.cluster_size = ClusterSize(autoscale=size, num_workers=None if size else self.workers)
        self.events.append(ClusterEvent(cluster_id=self.cluster_id, timestamp=now(), type=kind, details=details))
