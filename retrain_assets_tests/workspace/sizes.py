"""What clusters can be made of: node types, runtime versions, instance pools and policies; and what a specification must say."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from databricks.sdk.service.compute import (
    ClusterPoliciesAPI,
    ClusterSpec,
    GetInstancePool,
    GetSparkVersionsResponse,
    InstancePoolsAPI,
    InstancePoolState,
    ListNodeTypesResponse,
    NodeType,
    Policy,
    SparkVersion,
)

from .routes import ApiError, Request

if TYPE_CHECKING:
    from .workspace import Workspace

NODES = {
    "i3.xlarge": (31232, 4.0),
    "i3.2xlarge": (62464, 8.0),
    "m5d.large": (8192, 2.0),
    "m5d.xlarge": (16384, 4.0),
    "m6id.xlarge": (16384, 4.0),
    "r5d.xlarge": (32768, 4.0),
    "rd-fleet.xlarge": (32768, 4.0),
    "Standard_DS3_v2": (14336, 4.0),
    "Standard_D4ds_v5": (16384, 4.0),
    "n2-highmem-4": (32768, 4.0),
}
RUNTIMES = ("18.0", "17.3", "16.4", "15.4")


class Sizes:
    """Node types by id, pools and policies by id."""

    def __init__(self, workspace: Workspace) -> None:
        self.nodes = dict(NODES)
        self.pools: dict[str, GetInstancePool] = {}
        self.policies: dict[str, Policy] = {}
        workspace.routes.add("GET", "/api/2.0/instance-pools/get", self.get_pool, accepts=InstancePoolsAPI.get)
        workspace.routes.add("GET", "/api/2.0/policies/clusters/get", self.get_policy, accepts=ClusterPoliciesAPI.get)

    def add_pool(self, node_type: str = "i3.xlarge", name: str = "retrain") -> str:
        """Make an instance pool; gives its id."""
        pool_id = f"1123-pool-{secrets.token_hex(4)}"
        pool = GetInstancePool(pool_id, instance_pool_name=name, node_type_id=node_type, state=InstancePoolState.ACTIVE)
        self.pools[pool_id] = pool
        return pool_id

    def add_policy(self, definition: dict[str, object], name: str = "retrain") -> str:
        """Make a cluster policy; gives its id. Of its rules, ``fixed`` values are enforced."""
        policy_id = secrets.token_hex(8).upper()
        self.policies[policy_id] = Policy(policy_id=policy_id, name=name, definition=json.dumps(definition), is_default=False)
        return policy_id

    def check(self, spec: ClusterSpec) -> None:
        """Refuse a specification that no cluster can be made of."""
        if not spec.spark_version:
            raise _invalid("Missing required field: spark_version")
        if spec.spark_version not in {one.key for one in _runtimes()}:
            raise _invalid(f"Invalid spark version {spec.spark_version}.")
        if (spec.num_workers is None) == (spec.autoscale is None) and not spec.is_single_node:
            raise _invalid("Exactly one of num_workers and autoscale must be given.")
        if spec.instance_pool_id is not None:
            if spec.node_type_id is not None:
                raise _invalid("The field 'node_type_id' cannot be supplied when an instance pool ID is provided.")
            if spec.instance_pool_id not in self.pools:
                raise _invalid(f"Can't find an instance pool with id: {spec.instance_pool_id}.")
        elif spec.node_type_id not in self.nodes:
            raise _invalid(
                f"Node type {spec.node_type_id} is not supported. Supported node types: {', '.join(sorted(self.nodes))}."
            )
        if spec.policy_id is not None:
            self._check_policy(spec, spec.policy_id)

    def _check_policy(self, spec: ClusterSpec, policy_id: str) -> None:
        policy = self.policies.get(policy_id)
        if policy is None:
            raise _invalid(f"Can't find a cluster policy with id: {policy_id}.")
        said = spec.as_dict()
        for path, rule in json.loads(policy.definition or "{}").items():
            if rule.get("type") == "fixed" and path in said and said[path] != rule["value"]:
                raise _invalid(f"Validation failed for {path} from Cluster policy, the value must be {rule['value']}.")

    def node_types(self, request: Request) -> ListNodeTypesResponse:
        """All node types."""
        return ListNodeTypesResponse(
            node_types=[
                NodeType(name, memory, cores, description=name, instance_type_id=name, category="General Purpose")
                for name, (memory, cores) in self.nodes.items()
            ]
        )

    def spark_versions(self, request: Request) -> GetSparkVersionsResponse:
        """All runtime versions."""
        return GetSparkVersionsResponse(versions=_runtimes())

    def get_pool(self, request: Request) -> GetInstancePool:
        """One instance pool."""
        pool = self.pools.get(request.query.get("instance_pool_id", ""))
        if pool is None:
            raise ApiError(
                404, "RESOURCE_DOES_NOT_EXIST", f"Can't find an instance pool with id: {request.query.get('instance_pool_id')}."
            )
        return pool

    def get_policy(self, request: Request) -> Policy:
        """One cluster policy."""
        policy = self.policies.get(request.query.get("policy_id", ""))
        if policy is None:
            raise ApiError(
                404, "RESOURCE_DOES_NOT_EXIST", f"Can't find a cluster policy with id: {request.query.get('policy_id')}."
            )
        return policy


def _runtimes() -> list[SparkVersion]:
    return [
        SparkVersion(
            key=f"{runtime}.x-{flavour}scala2.{scala}", name=f"{runtime}{' LTS' if runtime != '18.0' else ''} {flavour}".strip()
        )
        for runtime in RUNTIMES
        for flavour in ("", "cpu-ml-", "gpu-ml-", "photon-")
        for scala in ("12", "13")
    ]


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)
