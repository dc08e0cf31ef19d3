"""The router against a bare hash, against flagd's own evaluation, and in batch."""

from __future__ import annotations

import importlib.util
import json
import logging
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mmh3
import polars as pl
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from benchmarks.measure import Row, Target, absent, compared, interleaved
from retrain_assets.routing import RoutingRule, VersionRef, assign_frame, compile_rule, flag_document

NAME = "routing"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
UNITS = 50_000
PEER_UNITS = 1_000
BATCH = 1_000_000
RULE = RoutingRule(
    model="flight_delay",
    champion=VersionRef("3", "sha256:" + "a" * 64),
    challenger=VersionRef("4", "sha256:" + "b" * 64),
    toggle="flight_delay-2026-07-01",
    revision=4,
    stage="25",
    salt="flight_delay-2026-07-01:",
    share=0.25,
    state="ramping",
    cohort={"origin": {"in": ["JFK", "LGA"]}, "distance": {"at_least": 500}},
    expires_at=datetime(2500, 1, 1, tzinfo=UTC),
)
FACTS: dict[str, Any] = {"origin": "JFK", "distance": 1089.0}
CLOSE = Target(3)
FASTER = Target(20, at_least=True)
SECONDS_TO_MICROSECONDS = 1e6
NOT_INSTALLED = {"Unleash": "UnleashClient", "GrowthBook": "growthbook", "LaunchDarkly": "ldclient"}


def run() -> list[Row]:
    return [*_against_hashing(), *_against_flagd(), *_other_peers(), *_batch()]


def _against_hashing() -> list[Row]:
    route = compile_rule(RULE)
    units = [f"2026-07-01 UA {number} JFK" for number in range(UNITS)]
    keys = [RULE.salt + unit for unit in units]

    def bare() -> None:
        for key in keys:
            mmh3.hash(key)

    def ours() -> None:
        for unit in units:
            route(unit, FACTS, NOW)

    took = interleaved({"ours": ours, "bare": bare}, seconds=8)
    return [
        compared(
            NAME,
            "one unit, two-condition cohort, µs",
            ours=took["ours"] / UNITS * SECONDS_TO_MICROSECONDS,
            against="mmh3.hash in a bare loop",
            peer=took["bare"] / UNITS * SECONDS_TO_MICROSECONDS,
            target=CLOSE,
            rows=UNITS,
            note="the loop gets ready-made keys: no cohort, no expiry, no answer object",
        )
    ]


def _against_flagd() -> list[Row]:
    route = compile_rule(RULE)
    units = [f"2026-07-01 UA {number} JFK" for number in range(PEER_UNITS)]
    document = flag_document([RULE], metadata={})
    logging.getLogger("openfeature").setLevel(logging.CRITICAL)  # its file watcher outlives shutdown and misses the file
    core = FlagdCore()
    core.set_flags(document)

    def ours() -> None:
        for unit in units:
            route(unit, FACTS, NOW)

    def flagd_core() -> None:
        for unit in units:
            core.resolve_string_value(RULE.model, "champion", EvaluationContext(unit, FACTS))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flags.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path)))
        try:
            client = api.get_client()

            def provider() -> None:
                for unit in units:
                    client.get_string_value(RULE.model, "champion", EvaluationContext(unit, FACTS))

            took = interleaved({"ours": ours, "core": flagd_core, "provider": provider}, seconds=8)
        finally:
            api.shutdown()
    return [
        compared(
            NAME,
            "one unit, two-condition cohort, µs",
            ours=took["ours"] / PEER_UNITS * SECONDS_TO_MICROSECONDS,
            against=against,
            peer=took[key] / PEER_UNITS * SECONDS_TO_MICROSECONDS,
            target=FASTER,
            rows=PEER_UNITS,
            note="the same document, units and attributes",
        )
        for key, against in (("core", "flagd Python core"), ("provider", "flagd provider behind an OpenFeature client"))
    ]


def _other_peers() -> list[Row]:
    return [
        absent(
            NAME,
            "one unit, two-condition cohort, µs",
            against=peer,
            target=FASTER,
            reason=f"{module} is installed here, but no comparison with it is written"
            if importlib.util.find_spec(module)
            else f"{module} is not installed in this environment",
        )
        for peer, module in NOT_INSTALLED.items()
    ]


def _batch() -> list[Row]:
    frame = pl.DataFrame(
        {
            "unit": [f"2026-07-01 UA {number} JFK" for number in range(BATCH)],
            "origin": ["JFK", "LGA", "EWR", "JFK"] * (BATCH // 4),
            "distance": [float(200 + number % 2400) for number in range(BATCH)],
        }
    )
    keys = [RULE.salt + unit for unit in frame["unit"]]
    moment = NOW + timedelta(hours=1)

    def hashing() -> object:
        return list(map(mmh3.hash, keys))

    took = interleaved({"ours": lambda: assign_frame(RULE, frame, "unit", moment), "hashing": hashing}, rounds=5, seconds=8)
    return [
        compared(
            NAME,
            "a frame of units, two-condition cohort, µs a unit",
            ours=took["ours"] / BATCH * SECONDS_TO_MICROSECONDS,
            against="mmh3.hash over ready-made keys",
            peer=took["hashing"] / BATCH * SECONDS_TO_MICROSECONDS,
            target=Target(1.5),
            rows=BATCH,
            note=f"{BATCH / took['ours'] / 1e6:.1f} million units a second",
        )
    ]
