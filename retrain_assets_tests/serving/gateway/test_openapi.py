"""The OpenAPI document is true: whatever is sent, valid by it or not, what comes back is what it says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import ScenarioFinished
from schemathesis.python.asgi import shutdown_lifespans

from retrain_assets.ledger import Actor
from retrain_assets.release.access import Access, Scope
from retrain_assets_tests.serving.gateway.served import FEATURES, MODEL, RUTH, Served

ONCALL = Actor("person", "oncall@flights.example")

AFTER_THE_KILL_SWITCH = {"POST /v1/models/{model}/toggle/hold", "POST /v1/models/{model}/toggle/rollback"}
"""It is asked for first and leaves no active toggle; what these two do with one, their own tests tell."""

RULES: dict[str, Any] = {
    "generation": {"deterministic": True, "max-examples": 3, "database": "none"},
    "phases": {"stateful": {"enabled": False}},  # the document has no links
    "checks": {
        # Which features a model has, and which measures its contract, stands in no schema: 422 says it row by row.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "304", "404", "409", "422"]},
    },
}


@pytest.fixture(scope="module")
def api(canary_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    """The document of an application with a canary, and the application itself."""
    served = Served.at(shutil.copytree(canary_base, tmp_path_factory.mktemp("api") / "home"))
    access = Access(served.home, served.ledger, served.home.clock)
    secret = access.add("everything", ONCALL, list(Scope), RUTH, "the tests send everything").secret
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.app(), config=SchemathesisConfig.from_dict(RULES))
    schema.config.update(headers={"Authorization": f"Bearer {secret}"})
    turns = count()

    def before_call(context: Any, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
        if next(turns) % 2 and case.meta.generation.mode.is_positive:
            make_real(case)

    schemathesis.hook(before_call)
    yield schema
    schemathesis.hooks.unregister(before_call)
    shutdown_lifespans()


def make_real(case: schemathesis.Case) -> None:
    """Have a valid request be about the model there is, with its features and its contract's measures."""
    if "model" in (case.path_parameters or {}):
        case.path_parameters = {**case.path_parameters, "model": MODEL}
    if isinstance(case.body, dict):
        case.body = deepcopy(case.body)
        for one in case.body.get("rows", [case.body]):
            if "features" in one:
                one["features"] = dict(FEATURES)
            if "measures" in one:
                one |= {"measures": {"cost_per_flight": 12.5}, "observed_at": None}


def test_every_answer_is_as_the_document_says(api: schemathesis.BaseSchema) -> None:
    """Valid and invalid requests to every path, bounded in number and the same every time."""
    finished = [event for event in from_schema(api).execute() if isinstance(event, ScenarioFinished)]
    found = [check for event in finished for checks in event.recorder.checks.values() for check in checks]
    told = [check.failure_info.failure for check in found if check.failure_info is not None]
    assert [f"{one.operation}: {one.title}: {one.message}" for one in told] == []
    answered = {
        (event.label, interaction.response.status_code)
        for event in finished
        for interaction in event.recorder.interactions.values()
        if interaction.response is not None
    }
    operations = {result.ok().label for result in api.get_all_operations()}
    assert {label for label, status in answered if status == 200} >= operations - AFTER_THE_KILL_SWITCH
