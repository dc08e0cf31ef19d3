"""A Databricks Model Serving endpoint that serves the ledger's split: read, compared, updated, waited for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta

from databricks.sdk import WorkspaceClient  # noqa: TID253 (this file is only about Databricks, and imported on use)
from databricks.sdk.errors import InternalError, NotFound, ResourceConflict, TemporarilyUnavailable  # noqa: TID253
from databricks.sdk.errors.base import DatabricksError  # noqa: TID253
from databricks.sdk.service import serving  # noqa: TID253

from retrain_assets.contract import Refused, RetrainError, first_line
from retrain_assets.serving.databricks_split import ServedVersion, Split

WAIT = timedelta(minutes=30)
SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds between two looks at an endpoint; each pause is twice the one before."""
AGAIN = (ResourceConflict, InternalError, TemporarilyUnavailable)
"""Faults after which the endpoint is read again and, where still due, the call is repeated: an update in progress, a 5xx."""


@dataclass(frozen=True, slots=True)
class Compute:
    """What a served version gets where the endpoint serves none yet that it could take it from."""

    workload_size: str = "Small"
    scale_to_zero: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export changed, a line per version; none where the endpoint served the split already."""

    differences: tuple[str, ...]
    created: bool


def export_split(
    workspace: WorkspaceClient,
    endpoint: str,
    split: Split,
    *,
    tags: Mapping[str, str] | None = None,
    compute: Compute | None = None,
    dry_run: bool = False,
    wait: timedelta = WAIT,
    pause: Callable[[float], None] = time.sleep,
    accepted_as: Callable[[Exported], object] | None = None,
) -> Exported:
    """Make an endpoint serve the split; makes no call that changes anything where it does so already.

    An endpoint that does not exist is created. Settings of served versions stay as they are, and a version that is new takes the
    champion's. An update that is in progress is waited for, and what Databricks refuses because of one is repeated.

    Args:
        workspace: the Databricks workspace.
        endpoint: name of the endpoint.
        split: what it is to serve.
        tags: tags of the endpoint that say where its split comes from; set where something is changed.
        compute: what served versions get on a new endpoint.
        dry_run: only say what would change.
        wait: how long, in all, the endpoint may take; 0 does not wait for the update to end.
        pause: how seconds are waited.
        accepted_as: told once what Databricks accepted, before the end of the update is waited for.

    Raises:
        Refused: where the endpoint serves another model.
        RetrainError: where Databricks refuses, the update fails, or the time is over.
    """
    deadline = time.monotonic() + wait.total_seconds()
    intended: Exported | None = None
    accepted, seconds = False, SHORTEST_PAUSE
    while True:
        with _answered(endpoint):
            try:
                found = _endpoint(workspace, endpoint)
                updating, differences = _is_updating(found), _differences(found, split, endpoint)
                if accepted and _has_failed(found):
                    remedy = "mend it on Databricks, then export again"
                    raise RetrainError(f"the update failed{_why(found)}", where=endpoint, remedy=remedy)
                if not differences and not updating:
                    return intended or Exported((), created=False)
                if dry_run:
                    return Exported(differences, created=found is None)
                if not updating:
                    intended = intended or Exported(differences, created=found is None)
                    _ask(workspace, endpoint, found, split, tags or {}, compute or Compute())
                    if not accepted and accepted_as is not None:
                        accepted_as(intended)
                    accepted = True
                    if not wait:
                        return intended
            except AGAIN as fault:
                if time.monotonic() >= deadline:
                    what = f"Databricks still refuses ({first_line(fault)})"
                    raise RetrainError(what, where=endpoint, remedy="try again later") from fault
        if time.monotonic() >= deadline:
            remedy = "it goes on; export again to see what became of it"
            raise RetrainError(f"the update has not ended after {wait}", where=endpoint, remedy=remedy)
        pause(seconds)
        seconds = min(2 * seconds, LONGEST_PAUSE)


def _endpoint(workspace: WorkspaceClient, name: str) -> serving.ServingEndpointDetailed | None:
    try:
        return workspace.serving_endpoints.get(name)
    except NotFound:
        return None


def _ask(
    workspace: WorkspaceClient,
    endpoint: str,
    found: serving.ServingEndpointDetailed | None,
    split: Split,
    tags: Mapping[str, str],
    compute: Compute,
) -> None:
    known = _served(found)
    entities = [_entity(known, split, one, compute) for one in split.served]
    routes = [
        serving.Route(served_model_name=entity.name, traffic_percentage=one.per_cent)
        for entity, one in zip(entities, split.served, strict=True)
    ]
    traffic, listed = serving.TrafficConfig(routes), [serving.EndpointTag(key, value) for key, value in tags.items()]
    if found is None:
        config = serving.EndpointCoreConfigInput(served_entities=entities, traffic_config=traffic)
        workspace.serving_endpoints.create(endpoint, config=config, tags=listed or None)
        return
    if listed:
        workspace.serving_endpoints.patch(endpoint, add_tags=listed)
    workspace.serving_endpoints.update_config(
        endpoint, served_entities=entities, traffic_config=traffic, auto_capture_config=_auto_capture(found)
    )


def _entity(
    known: list[serving.ServedEntityOutput], split: Split, wanted: ServedVersion, compute: Compute
) -> serving.ServedEntityInput:
    """A served version as it is, or as the champion's is, or as a new endpoint's should be."""
    for one in known:
        if one.entity_version == wanted.version.version:
            return _as_input(one)
    name = f"{re.sub(r'[^A-Za-z0-9_-]', '_', split.entity.rpartition('.')[2])}-{wanted.version.version}"
    versions = [one.version.version for one in split.served]
    pattern = next((one for one in known if one.entity_version in versions), known[0] if known else None)
    if pattern is None:
        return serving.ServedEntityInput(
            name=name,
            entity_name=split.entity,
            entity_version=wanted.version.version,
            workload_size=compute.workload_size,
            scale_to_zero_enabled=compute.scale_to_zero,
        )
    made = _as_input(pattern)
    made.name, made.entity_version = name, wanted.version.version
    return made


def _as_input(output: serving.ServedEntityOutput) -> serving.ServedEntityInput:
    settable = {field.name for field in fields(serving.ServedEntityInput)}
    return serving.ServedEntityInput.from_dict({name: value for name, value in output.as_dict().items() if name in settable})


def _auto_capture(found: serving.ServingEndpointDetailed) -> serving.AutoCaptureConfigInput | None:
    kept = found.config.auto_capture_config if found.config else None
    if kept is None:
        return None
    return serving.AutoCaptureConfigInput(kept.catalog_name, kept.enabled, kept.schema_name, kept.table_name_prefix)


def _differences(found: serving.ServingEndpointDetailed | None, split: Split, endpoint: str) -> tuple[str, ...]:
    """A line per version whose part of the requests is not as it should be; several entities of one version count together."""
    parts = {route.served_model_name or route.served_entity_name: route.traffic_percentage for route in _routes(found)}
    now: dict[str, int] = {}
    for one in _served(found):
        if one.entity_name != split.entity:
            raise Refused(
                f"the endpoint serves {one.entity_name or one.name}, too",
                where=endpoint,
                remedy=f"give {split.entity} an endpoint of its own, or name the registered model with --entity",
            )
        version = one.entity_version or ""
        now[version] = now.get(version, 0) + (parts.get(one.name) or 0)
    wanted = {one.version.version: one.per_cent for one in split.served}
    return tuple(
        f"version {version} of {split.entity}: {_part(now.get(version))} → {_part(wanted.get(version))}"
        for version in sorted({*now, *wanted}, key=lambda text: (len(text), text))
        if now.get(version) != wanted.get(version)
    )


def _part(per_cent: int | None) -> str:
    return "not served" if per_cent is None else f"{per_cent} %"


def _served(found: serving.ServingEndpointDetailed | None) -> list[serving.ServedEntityOutput]:
    return (found.config.served_entities or []) if found and found.config else []


def _routes(found: serving.ServingEndpointDetailed | None) -> list[serving.Route]:
    traffic = found.config.traffic_config if found and found.config else None
    return (traffic.routes or []) if traffic else []


def _is_updating(found: serving.ServingEndpointDetailed | None) -> bool:
    return bool(found and found.state and found.state.config_update is serving.EndpointStateConfigUpdate.IN_PROGRESS)


def _has_failed(found: serving.ServingEndpointDetailed | None) -> bool:
    failed = (serving.EndpointStateConfigUpdate.UPDATE_FAILED, serving.EndpointStateConfigUpdate.UPDATE_CANCELED)
    return bool(found and found.state and found.state.config_update in failed)


def _why(found: serving.ServingEndpointDetailed | None) -> str:
    pending = found.pending_config.served_entities if found and found.pending_config else None
    messages = [one.state.deployment_state_message for one in pending or [] if one.state and one.state.deployment_state_message]
    return f" ({messages[0]})" if messages else ""


@contextmanager
def _answered(endpoint: str) -> Iterator[None]:
    """Faults of Databricks that repeating does not mend, in one line."""
    try:
        yield
    except AGAIN:
        raise
    except (DatabricksError, TimeoutError) as fault:
        remedy = "check name, permissions and network, then try again"
        raise RetrainError(f"Databricks refuses ({first_line(fault)})", where=endpoint, remedy=remedy) from fault
