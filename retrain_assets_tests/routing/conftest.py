"""Rules to route with, and the real flagd evaluation to compare with."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from retrain_assets.routing import RoutingRule, VersionRef, flag_document, routing_key

FlagdArm = Callable[..., str]


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
def flagd_arm() -> Iterator[FlagdArm]:
    """The arm that the OpenFeature project's own flagd evaluation gives for our document, at any moment."""
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext

    core, clock, loaded = FlagdCore(), SimpleNamespace(), [""]

    def evaluate(rule: RoutingRule, unit: str | None, attributes: Mapping[str, Any], now: datetime | None = None) -> str:
        document = flag_document([rule], metadata={})
        text = json.dumps(document)
        if loaded[0] != text:
            core.set_flags(copy.deepcopy(document))
            loaded[0] = text
        clock.time = (now or datetime.now(UTC)).timestamp
        key = None if unit is None else routing_key(unit)
        return core.resolve_string_value(rule.model, "code default", EvaluationContext(key, dict(attributes))).value

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(core.resolve_string_value.__globals__["targeting"].__globals__, "time", clock)
        yield evaluate


@pytest.fixture(scope="session")
def flagd_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RoutingRule], Any]]:
    """An OpenFeature client over the real flagd provider, which reads the rule's document from a file."""
    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType

    folder = tmp_path_factory.mktemp("flagd")
    made: list[str] = []

    def client_of(rule: RoutingRule) -> Any:
        domain = f"domain {len(made)}"
        path = folder / f"{len(made)}.json"
        made.append(domain)
        path.write_text(json.dumps(flag_document([rule], metadata={"ledger_sequence": 12})))
        provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path))
        api.set_provider_and_wait(provider, domain)
        return api.get_client(domain)

    yield client_of
    api.shutdown()
