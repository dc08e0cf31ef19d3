"""Serving endpoints of the emulated workspace, through the real client."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import BadRequest, NotFound, ResourceConflict
from databricks.sdk.service.serving import (
    AiGatewayConfig,
    AiGatewayInferenceTableConfig,
    AutoCaptureConfigInput,
    EndpointCoreConfigInput,
    EndpointStateConfigUpdate,
    EndpointTag,
    Route,
    ServedEntityInput,
    TrafficConfig,
)

from retrain_assets_tests.workspace import Workspace
from retrain_assets_tests.workspace.answers import Sent

GATEWAY = AiGatewayInferenceTableConfig("main", True, "serving", "delays")


def entity(version: str) -> ServedEntityInput:
    return ServedEntityInput(entity_name="delays", entity_version=version, name=f"v{version}", scale_to_zero_enabled=True)


def config(**shares: int) -> EndpointCoreConfigInput:
    routes = [Route(share, served_entity_name=name, served_model_name=name) for name, share in shares.items()]
    return EndpointCoreConfigInput(
        served_entities=[entity(name.removeprefix("v")) for name in shares], traffic_config=TrafficConfig(routes)
    )


def test_an_endpoint_is_made_changed_and_taken_away(workspace: Workspace) -> None:
    client = workspace.client()
    sent = Sent(client)
    client.serving_endpoints.create("delays", config=config(v1=100), tags=[EndpointTag("team", "a")])
    found = client.serving_endpoints.get("delays")
    assert sent.lost(found) == {}
    assert found.state is not None
    assert found.state.config_update is EndpointStateConfigUpdate.NOT_UPDATING
    changed = config(v1=50, v2=50)
    client.serving_endpoints.update_config(
        "delays", served_entities=changed.served_entities, traffic_config=changed.traffic_config
    )
    found = client.serving_endpoints.get("delays")
    assert found.config is not None
    assert [one.name for one in found.config.served_entities or []] == ["v1", "v2"]
    client.serving_endpoints.patch("delays", add_tags=[EndpointTag("team", "b")])
    assert client.serving_endpoints.get("delays").tags == [EndpointTag("team", "b")]
    assert [one.name for one in client.serving_endpoints.list()] == ["delays"]
    client.serving_endpoints.delete("delays")
    with pytest.raises(NotFound, match="Endpoint 'delays' does not exist"):
        client.serving_endpoints.get("delays")


def test_an_update_takes_time_refuses_another_one_and_can_fail(workspace: Workspace) -> None:
    api, serving = workspace.client().serving_endpoints, workspace.parts["serving"]
    serving.updates_take = 1
    api.create("delays", config=config(v1=100))
    with pytest.raises(ResourceConflict, match="currently being updated"):
        api.update_config("delays", served_entities=[entity("2")])
    states = [found.state.config_update for found in (api.get("delays"), api.get("delays")) if found.state]
    assert states == [EndpointStateConfigUpdate.IN_PROGRESS, EndpointStateConfigUpdate.NOT_UPDATING]
    serving.updates_fail = "Container image creation failed"
    api.update_config("delays", served_entities=[entity("2")])
    api.get("delays")
    failed = api.get("delays")
    assert failed.state is not None
    assert failed.state.config_update is EndpointStateConfigUpdate.UPDATE_FAILED
    assert failed.config is not None
    assert [one.name for one in failed.config.served_entities or []] == ["v1"]


def test_inference_tables_are_those_of_the_gateway(workspace: Workspace) -> None:
    client, catalog = workspace.client(), workspace.parts["unity_catalog"]
    catalog.add_schema("main.serving")
    sent = Sent(client)
    client.serving_endpoints.create("delays", config=config(v1=100), ai_gateway=AiGatewayConfig(inference_table_config=GATEWAY))
    client.serving_endpoints.get("delays")
    assert workspace.parts["serving"].inference_table("delays") == "main.serving.delays_payload"
    assert sent.lost(client.serving_endpoints.put_ai_gateway("delays", inference_table_config=GATEWAY)) == {}
    with pytest.raises(BadRequest, match="Legacy inference tables have ended"):
        client.serving_endpoints.update_config("delays", auto_capture_config=AutoCaptureConfigInput("main", True, "serving"))
    with pytest.raises(NotFound, match=r"Schema 'main.nothing' does not exist"):
        client.serving_endpoints.put_ai_gateway(
            "delays", inference_table_config=AiGatewayInferenceTableConfig("main", True, "nothing")
        )


def test_traffic_sums_to_a_hundred_and_goes_to_what_is_served(workspace: Workspace) -> None:
    api = workspace.client().serving_endpoints
    with pytest.raises(BadRequest, match="must sum to 100"):
        api.create("delays", config=config(v1=99))
    with pytest.raises(BadRequest, match=r"\['v3'\], which is not served"):
        api.create(
            "delays",
            config=EndpointCoreConfigInput(served_entities=[entity("1")], traffic_config=TrafficConfig([Route(100, None, "v3")])),
        )
