"""The Clusters API, and how clusters of runs are started: slowly, never, or refused by the cloud where that was asked for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from databricks.sdk.service.compute import (
    ClusterDetails,
    ClustersAPI,
    ClusterSource,
    ClusterSpec,
    CreateClusterResponse,
    GetEventsResponse,
    ListClustersResponse,
    State,
    TerminationReasonCode,
    TerminationReasonType,
)

from .faults import NeverStarts, SlowStart
from .machines import Cluster, ClusterStart
from .references import with_secrets
from .routes import ApiError, Request
from .sizes import Sizes

if TYPE_CHECKING:
    from .workspace import Workspace

LARGEST_PAGE = 500


def register(workspace: Workspace) -> None:
    clusters = Clusters(workspace)
    workspace.parts["clusters"] = clusters
    api = ClustersAPI
    for version in ("2.0", "2.1"):
        base = f"/api/{version}/clusters"
        add = workspace.routes.add
        add("POST", f"{base}/create", clusters.create, accepts=api.create)
        add("GET", f"{base}/get", clusters.get, accepts=api.get, absent=_absent)
        add("GET", f"{base}/list", clusters.list_clusters)
        add("POST", f"{base}/start", clusters.start, accepts=api.start)
        add("POST", f"{base}/restart", clusters.restart, accepts=api.restart)
        add("POST", f"{base}/delete", clusters.delete, accepts=api.delete)
        add("POST", f"{base}/permanent-delete", clusters.permanent_delete, accepts=api.permanent_delete)
        add("POST", f"{base}/events", clusters.events, accepts=api.events)
        add("GET", f"{base}/list-node-types", clusters.sizes.node_types)
        add("GET", f"{base}/spark-versions", clusters.sizes.spark_versions)


class Clusters:
    """All clusters of the workspace; ``starts`` tells every start of one."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._numbers = itertools.count(1)
        self.all: dict[str, Cluster] = {}
        self.starts: list[ClusterStart] = []
        self.sizes = Sizes(workspace)

    def close(self) -> None:
        """End every cluster, so that nobody waits for one."""
        for cluster in list(self.all.values()):
            cluster.end(TerminationReasonCode.WORKSPACE_CANCELLED_ERROR, TerminationReasonType.SERVICE_FAULT)

    def make(
        self, spec: ClusterSpec, creator: str, *, source: ClusterSource, run_id: int | None = None, key: str | None = None
    ) -> Cluster:
        """A new cluster that is starting; refuses a specification that the real API refuses."""
        self.sizes.check(spec)
        cluster_id = f"1123-165{next(self._numbers):03d}-{self._workspace.token[-8:]}"
        cluster = Cluster(cluster_id, spec, source, creator)
        self.all[cluster_id] = cluster
        self.bring_up(cluster, run_id=run_id, key=key)
        return cluster

    def bring_up(self, cluster: Cluster, *, run_id: int | None = None, key: str | None = None) -> None:
        """Start a cluster that does not run; gives at once, the cluster tells when it runs."""
        self.starts.append(ClusterStart(cluster.cluster_id, run_id, key))
        cluster.begin()
        threading.Thread(target=self._start, args=(cluster, key or cluster.spec.cluster_name or ""), daemon=True).start()

    def wait_until_running(self, cluster: Cluster, stop: threading.Event) -> bool:
        """Wait for a cluster; False when it ended, or ``stop`` was set, before it ran."""
        with cluster.changed:
            while cluster.state is not State.RUNNING:
                if cluster.ended or stop.is_set():
                    return False
                cluster.changed.wait(0.02)
        return True

    def _start(self, cluster: Cluster, key: str) -> None:
        faults, closing = self._workspace.faults, self._workspace.closing
        never = faults.take(NeverStarts, key)
        if never is not None and never.refused:
            parameters = {"aws_api_error_code": "InsufficientInstanceCapacity"}
            code, kind = TerminationReasonCode.AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE, TerminationReasonType.CLOUD_FAILURE
            return cluster.end(code, kind, parameters)
        if never is not None:
            return None
        slow = faults.take(SlowStart, key)
        if slow is not None and closing.wait(slow.seconds):
            return None
        try:
            cluster.environment = with_secrets(cluster.spec.spark_env_vars or {}, self._workspace.parts["secrets"])
        except ApiError as error:
            parameters = {"databricks_error_message": error.message}
            return cluster.end(TerminationReasonCode.SECRET_RESOLUTION_ERROR, TerminationReasonType.CLIENT_ERROR, parameters)
        return cluster.run()

    def create(self, request: Request) -> CreateClusterResponse:
        """Make an all-purpose cluster."""
        return CreateClusterResponse(
            self.make(ClusterSpec.from_dict(request.body), request.user, source=ClusterSource.API).cluster_id
        )

    def get(self, request: Request) -> ClusterDetails:
        """One cluster."""
        return self.found(request.query.get("cluster_id", "")).details()

    def list_clusters(self, request: Request) -> ListClustersResponse:
        """All clusters, newest first."""
        return ListClustersResponse(clusters=[cluster.details() for cluster in reversed(list(self.all.values()))] or None)

    def start(self, request: Request) -> None:
        """Start a cluster that was terminated."""
        cluster = self.found(request.body["cluster_id"])
        if not cluster.ended:
            raise ApiError(
                400, "INVALID_STATE", f"Cluster {cluster.cluster_id} is in unexpected state {cluster.state.value.title()}."
            )
        self.bring_up(cluster)

    def restart(self, request: Request) -> None:
        """Terminate and start."""
        cluster = self.found(request.body["cluster_id"])
        if cluster.state is not State.RUNNING:
            raise ApiError(
                400, "INVALID_STATE", f"Cluster {cluster.cluster_id} is in unexpected state {cluster.state.value.title()}."
            )
        cluster.end(TerminationReasonCode.USER_REQUEST, TerminationReasonType.SUCCESS, {"username": request.user})
        self.bring_up(cluster)

    def delete(self, request: Request) -> None:
        """Terminate; the cluster stays listed."""
        cluster = self.found(request.body["cluster_id"])
        cluster.end(TerminationReasonCode.USER_REQUEST, TerminationReasonType.SUCCESS, {"username": request.user})

    def permanent_delete(self, request: Request) -> None:
        """Terminate and forget."""
        self.delete(request)
        del self.all[request.body["cluster_id"]]

    def events(self, request: Request) -> GetEventsResponse:
        """Events of a cluster, newest first unless asked otherwise, by pages."""
        body = request.body
        cluster = self.found(body["cluster_id"])
        events = [event for event in cluster.events if not body.get("event_types") or _is_of(event.type, body["event_types"])]
        begin, until = body.get("start_time", 0), body.get("end_time")
        events = [one for one in events if (one.timestamp or 0) >= begin and (until is None or (one.timestamp or 0) <= until)]
        if body.get("order", "DESC") == "DESC":
            events.reverse()
        offset = int(body.get("page_token") or body.get("offset") or 0)
        size = min(int(body.get("page_size") or body.get("limit") or 50), LARGEST_PAGE)
        more = str(offset + size) if len(events) > offset + size else None
        return GetEventsResponse(events=events[offset : offset + size] or None, total_count=len(events), next_page_token=more)

    def found(self, cluster_id: str) -> Cluster:
        """The cluster of an id; refuses one that is not there."""
        if cluster_id not in self.all:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Cluster {cluster_id} does not exist")
        return self.all[cluster_id]


def _absent(request: Request) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", f"Cluster {request.query.get('cluster_id')} does not exist")


def _is_of(kind: object, wanted: Mapping[str, object] | list[str]) -> bool:
    return getattr(kind, "value", None) in wanted
