"""200 rollbacks in a row under load, and load for long after: how fast a flip is, what fails, what is lost, what grows."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.load import LoadPlan, Records, start
from benchmarks.load.flights import RUTH, Flights
from benchmarks.load.peers import predict_path, retrain_serve
from benchmarks.load.resources import Resources, watched
from benchmarks.measure import Row, Target, compared, shown
from retrain_assets.routing import compile_rule, rules_from_document
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.client import GatewayClient

NAME = "serving"
FLIPS = 200
WORKERS = 4
RATE = 300.0
CONNECTIONS = 24
SETTLE_SECONDS, SERVE_SECONDS = 0.05, 0.1
START_SECONDS = 3.0
LONGEST = 7200.0
"""Seconds after which the load ends by itself, should nobody end it."""
PREFIX = "flips-"
FLIP_MS = 250.0
GROWTH = 1.05
ENOUGH = 0.95
"""Part of the flips before which the load must have met the challenger; the rest tells nothing of how fast they were."""


def flips_and_soak(flights: Flights, toggle: str, folder: Path, seconds: float) -> list[Row]:
    """Rows of both, over the same workers and the same load.

    A rollback is final for its toggle, so each flip is one of a toggle of its own: retrains of one candidate that passed their
    gates before, armed and stepped to 50 % one after the other.

    Args:
        flights: a home whose toggle gives the challenger half of the traffic.
        toggle: that toggle.
        folder: for the load's files.
        seconds: how long the load goes on after the last flip.
    """
    retrains = [f"2013-05-01.{number}" for number in range(2, FLIPS + 1)]
    for retrain in retrains:
        flights.prepare(retrain)
    with retrain_serve(flights, WORKERS, folder, "--rotate-after", "5s") as gateway:
        plan = LoadPlan(gateway.port, predict_path(flights), flights.gateway_bodies(), LONGEST, CONNECTIONS, RATE, PREFIX)
        generator, written = start(plan, folder)
        with watched(gateway) as resources:
            time.sleep(START_SECONDS)
            with GatewayClient(f"http://127.0.0.1:{gateway.port}") as client:
                flips = _flip(flights, client, toggle, retrains)
            time.sleep(seconds)
        generator.terminate()
        if generator.wait() != 0:
            raise RuntimeError(f"the load generator ended with {generator.returncode}")
    records = Records.read(written)
    exposures = ExposureLog(flights.home).read_exposures(flights.model).filter(pl.col("request_id").str.starts_with(PREFIX))
    return [_flip_row(records, flips), *_counts(plan, records, exposures), *_growth(resources)]


def _flip(flights: Flights, gateway: GatewayClient, toggle: str, retrains: list[str]) -> npt.NDArray[np.float64]:
    """(flips, 3) monotonic seconds: rollback asked for, rollback done, next toggle asked for."""
    moments = []
    for following in [*retrains, None]:
        _until_challenged(flights, gateway)
        time.sleep(SERVE_SECONDS)
        asked = time.monotonic()
        flights.controller.rollback(toggle, RUTH, "a flip of the benchmark")
        done = time.monotonic()
        time.sleep(SETTLE_SECONDS)
        moments.append((asked, done, time.monotonic()))
        if following is not None:
            toggle = flights.arm(following)
    return np.array(moments)


def _until_challenged(flights: Flights, gateway: GatewayClient) -> None:
    """Ask for a unit of the challenger's until the challenger answers it, so that there is something to flip."""
    features = flights.rows.row(0, named=True)
    route = compile_rule(rules_from_document(json.loads(flights.home.flags_path.read_bytes()))[flights.model])
    now = flights.home.clock.now()
    unit = next(unit for unit in map(str, range(10_000)) if route(unit, features, now).arm == "challenger")
    for _ in range(1000):
        if gateway.predict_one(flights.model, features, unit=unit).arm == "challenger":
            return
    raise RuntimeError(f"the challenger of {flights.model} does not come to answer {unit}")


def _flip_row(records: Records, flips: npt.NDArray[np.float64]) -> Row:
    """From the call of the rollback to the moment the client has the challenger's last answer; only real flips hold."""
    by_challenger = np.sort(records.answered.rows["received"][records.answered.rows["arm"] == 1])
    asked, done, following = flips.T
    before = np.searchsorted(by_challenger, asked) - np.searchsorted(by_challenger, np.r_[0.0, following[:-1]])
    met = before > 0
    last = by_challenger[np.searchsorted(by_challenger, following) - 1]
    took_ms = np.maximum(last - asked, 0.0)[met] * 1000
    row = compared(
        NAME,
        "from rollback to the challenger's last answer, p99, ms",
        ours=max(float(np.quantile(took_ms, 0.99)), 0.001),
        against=f"{FLIP_MS:g} ms",
        peer=FLIP_MS,
        target=Target(1),
        rows=int(met.sum()),
        note=f"median {np.median(took_ms):.0f} ms, most {took_ms.max():.0f} ms; the whole rollback, registry included, takes "
        f"{np.median(done - asked) * 1000:.0f} ms; {WORKERS} workers at {RATE:g} requests a second; of {len(flips)} flips in a "
        f"row the {met.sum()} before which the load had met the challenger",
    )
    return row if met.mean() >= ENOUGH else replace(row, holds=False)


def _counts(plan: LoadPlan, records: Records, exposures: pl.DataFrame) -> list[Row]:
    answered = records.answered.rows
    ids = pl.Series("request_id", [plan.request_id(int(number)) for number in answered["number"]])
    told = pl.DataFrame({"request_id": ids, "told": answered["arm"].astype(np.int64), "told_revision": answered["revision"]})
    joined = told.join(exposures, on="request_id", how="left")
    lost = joined["arm"].null_count()
    other = joined.filter((pl.col("arm") == "challenger") != (pl.col("told") == 1)).height
    inside = exposures.filter(pl.col("toggle").is_not_null())
    units = inside.group_by("toggle", "revision", "unit_id").agg(pl.col("arm").n_unique())
    strays = units.filter(pl.col("arm") > 1).height
    failed, unknown = sum(records.failed.values()), exposures.height - exposures.join(told, on="request_id", how="semi").height
    rows = len(records)
    return [
        _none("requests that failed", failed, rows, f"by status: {records.failed or 'none'}"),
        _none("units whose arm changed within a revision", strays, units.height, "units by toggle and revision, from the log"),
        _none(
            "acknowledged requests without an exposure", lost, rows, f"{len(answered):,} answers, {exposures.height:,} exposures"
        ),
        _none("exposures of requests that were not acknowledged, or with another arm", unknown + other, exposures.height, ""),
    ]


def _growth(resources: Resources) -> list[Row]:
    rows = []
    for what, samples, unit in (("memory", resources.memory_mb, "MB"), ("open files", resources.files, "files")):
        before, after = resources.thirds(samples)
        worst = int(np.argmax(after / before))
        rows.append(
            compared(
                NAME,
                f"{what} of the worker that grew most, {unit}",
                ours=float(after[worst]),
                against="a third of the time before",
                peer=float(before[worst]),
                target=Target(GROWTH),
                rows=samples.shape[0],
                note=f"{resources.seconds:.0f} s under load; all workers {', '.join(shown(one) for one in after)}",
            )
        )
    return rows


def _none(measure: str, found: int, rows: int, note: str) -> Row:
    return Row(NAME, measure, float(found), "none", None, "= 0", found == 0, rows, note)
