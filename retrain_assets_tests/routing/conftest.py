"""Rules to route with, and the real flagd evaluation to compare with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from retrain_assets.routing import RoutingRule, VersionRef, flag_document, routing_key


@pytest.fixture(scope="session")
def rule_of() -> Callable[..., RoutingRule]:
    """A rule that ramps at 5 %, with the given fields changed."""
    values: dict[str, Any] = {
        "model": "flight_delay",
        "champion": VersionRef(version="3", bundle="sha256:" + "a" * 64),
        "challenger": VersionRef(version="4", bundle="sha256:" + "b" * 64),
        "toggle": "flight_delay-2013-07-01",
        "revision": 4,
        "stage": "5",
        "salt": "flight_delay-2013-07-01:",
        "share": 0.05,
        "state": "ramping",
    }
    return lambda **changes: RoutingRule(**(values | changes))


@pytest.fixture(scope="session")
def flagd_arm() -> Callable[[RoutingRule, str | None, Mapping[str, Any]], str]:
    """The arm that the OpenFeature project's own flagd evaluation gives for our document."""
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext

    core = FlagdCore()

    def evaluate(rule: RoutingRule, unit: str | None, attributes: Mapping[str, Any]) -> str:
        core.set_flags(copy.deepcopy(flag_document([rule], metadata={})))
        key = None if unit is None else routing_key(unit)
        return core.resolve_string_value(rule.model, "code default", EvaluationContext(key, dict(attributes))).value

    return evaluate
