"""The router against a bare hash, against the in-process evaluation of four flag services, and in batch. CPU time."""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mmh3
import polars as pl
import polars_hash
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from benchmarks.measure import Row, Target, absent, compared, cpu_seconds, interleaved
from benchmarks.peers import PeerMissing, run_peer
from retrain_assets.routing import RoutingRule, VersionRef, assign_frame, compile_rule, flag_document

NAME = "routing"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
UNITS = 50_000
PEER_UNITS = 1_000
PEER_TURNS = 9
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
PER_UNIT = "one unit, two-condition cohort, CPU µs"
PEERS = {
    "unleash": "Unleash SDK, Rust engine, bootstrapped",
    "growthbook": "GrowthBook SDK, local features",
    "launchdarkly": "LaunchDarkly SDK, flags from a file",
}
UNITS_A_SECOND = 10e6


def run() -> list[Row]:
    return [*_against_hashing(), *_against_flagd(), *_other_peers(), *_batch()]


def _against_hashing() -> list[Row]:
    route = compile_rule(RULE)
    units = [f"2026-07-01 UA {number} JFK" for number in range(UNITS)]
    keys = [RULE.salt + unit for unit in units]
    origins, salt = frozenset(RULE.cohort["origin"]["in"]), RULE.salt

    def bare() -> None:
        for key in keys:
            mmh3.hash(key)

    def by_hand() -> None:
        for unit in units:
            if FACTS["origin"] in origins and FACTS["distance"] >= 500:
                mmh3.hash(salt + unit)

    def ours() -> None:
        for unit in units:
            route(unit, FACTS, NOW)

    took = interleaved({"ours": ours, "bare": bare, "by hand": by_hand}, seconds=8, clock=cpu_seconds)
    return [
        compared(
            NAME,
            PER_UNIT,
            ours=took["ours"] / UNITS * SECONDS_TO_MICROSECONDS,
            against=against,
            peer=took[peer] / UNITS * SECONDS_TO_MICROSECONDS,
            target=CLOSE,
            rows=UNITS,
            note=note,
        )
        for peer, against, note in (
            ("bare", "mmh3.hash in a bare loop", "the loop gets ready-made keys: no salt, no cohort, no expiry, no answer"),
            (
                "by hand",
                "mmh3.hash in a bare loop with the cohort",
                "the two conditions and the salt written into the loop: no expiry, no types, no answer",
            ),
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

            took = interleaved({"ours": ours, "core": flagd_core, "provider": provider}, seconds=8, clock=cpu_seconds)
        finally:
            api.shutdown()
    return [
        compared(
            NAME,
            PER_UNIT,
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
    """Each in an environment of its own, on the same units and attributes; ours before and after."""
    route = compile_rule(RULE)
    units = [f"2026-07-01 UA {number} JFK" for number in range(PEER_UNITS)]
    rows: list[Row] = []

    def ours() -> float:
        turns = []
        for _ in range(PEER_TURNS):
            started = cpu_seconds()
            for unit in units:
                route(unit, FACTS, NOW)
            turns.append((cpu_seconds() - started) / len(units))
        return statistics.median(turns)

    given = {
        "salt": RULE.salt,
        "share": RULE.share,
        "origins": RULE.cohort["origin"]["in"],
        "at_least": RULE.cohort["distance"]["at_least"],
        **FACTS,
        "units": units,
        "turns": PEER_TURNS,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rule.json"
        path.write_text(json.dumps(given), encoding="utf-8")
        for peer, title in PEERS.items():
            before = ours()
            try:
                found = run_peer(peer, [str(path)], script="routing")
            except PeerMissing as error:
                rows.append(absent(NAME, PER_UNIT, against=title, target=FASTER, reason=str(error)))
                continue
            rows.append(
                compared(
                    NAME,
                    PER_UNIT,
                    ours=max(before, ours()) * SECONDS_TO_MICROSECONDS,
                    against=title,
                    peer=found["seconds"] * SECONDS_TO_MICROSECONDS,
                    target=FASTER,
                    rows=PEER_UNITS,
                    note=f"the same rule, units and attributes; it gives {found['challenged']:.1%} the challenger",
                )
            )
    return rows


def _batch() -> list[Row]:
    frame = pl.DataFrame(
        {
            "unit": [f"2026-07-01 UA {number} JFK" for number in range(BATCH)],
            "origin": ["JFK", "LGA", "EWR", "JFK"] * (BATCH // 4),
            "distance": [float(200 + number % 2400) for number in range(BATCH)],
        }
    )
    salted = frame.select(key=RULE.salt + pl.col("unit"))
    keys = salted["key"].to_list()
    moment = NOW + timedelta(hours=1)
    contestants = {
        "ours": lambda: assign_frame(RULE, frame, "unit", moment),
        "mmh3": lambda: list(map(mmh3.hash, keys)),
        "polars-hash": lambda: salted.select(polars_hash.col("key").nchash.murmur32(seed=0)),
    }
    took = interleaved(contestants, rounds=9, seconds=15, clock=cpu_seconds)
    measure = "a frame of units, two-condition cohort, CPU µs a unit"
    ours, hashing, vectorised = (took[name] / BATCH * SECONDS_TO_MICROSECONDS for name in contestants)
    rate = f"{1 / ours:.1f} million units a second and core"
    alone = "polars-hash over ready-made keys"
    return [
        compared(
            NAME,
            measure,
            ours=ours,
            against="10 million units a second and core",
            peer=SECONDS_TO_MICROSECONDS / UNITS_A_SECOND,
            target=Target(1),
            rows=BATCH,
            note=rate,
        ),
        compared(
            NAME, measure, ours=ours, against="mmh3.hash over ready-made keys", peer=hashing, target=Target(1.5), rows=BATCH
        ),
        compared(NAME, measure, ours=ours, against=alone, peer=vectorised, rows=BATCH, note="no salt, no cohort, no answer"),
    ]
