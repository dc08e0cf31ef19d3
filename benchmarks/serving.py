"""The gateway with the flights model: beside MLflow's server, beside itself without routing and logging, flipped, and for long.

``RETRAIN_SOAK_SECONDS`` sets how long it runs under load after the flips; 1800 for half an hour.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import LoadPlan, Records, Running, generate
from benchmarks.load.flights import Flights, flights_home
from benchmarks.load.flips import flips_and_soak
from benchmarks.load.peers import MLFLOW_PATH, mlflow_models_serve, plain_gateway, predict_path, retrain_serve
from benchmarks.measure import Row, Target, absent, compared

NAME = "serving"
ARMED = "2013-04-17"
FASTER = Target(3, at_least=True)
AT_MOST = Target(1)
ADDED_MS = 1.0
TURN_SECONDS, WARM_UP = 2.0, 0.4
ROUNDS = 3
CONNECTIONS_A_WORKER = 8
RATE = 200.0
OVERHEAD_TURNS = 8
SOAK_SECONDS = 30.0

Turn = Callable[[int], Records]


def run() -> list[Row]:
    workers = os.cpu_count() or 1
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flights = flights_home(folder / "home")
        flights.prepare(ARMED)
        toggle = flights.arm(ARMED)
        rows = [row for number in dict.fromkeys((1, workers)) for row in _throughput(flights, number, folder)]
        rows += _added(flights, folder)
        soak = float(os.environ.get("RETRAIN_SOAK_SECONDS") or SOAK_SECONDS)
        return rows + flips_and_soak(flights, toggle, folder, soak)


def _throughput(flights: Flights, workers: int, folder: Path) -> list[Row]:
    plural = "worker" if workers == 1 else "workers"
    measure, against = f"one-row requests, {workers} {plural}, ms a request", "mlflow models serve, the same version and workers"
    with ExitStack() as servers:
        gateway = servers.enter_context(retrain_serve(flights, workers, folder))
        try:
            peer = servers.enter_context(mlflow_models_serve(flights, "1", workers, folder))
        except (RuntimeError, OSError) as fault:
            return [absent(NAME, measure, against=against, target=FASTER, reason=f"it could not run: {fault}")]

        def ours(turn: int) -> Records:
            return _closed(gateway, predict_path(flights), flights.gateway_bodies(), workers, f"ours{workers}-{turn}-", folder)

        def theirs(turn: int) -> Records:
            return _closed(peer, MLFLOW_PATH, flights.mlflow_bodies(), workers, f"theirs{workers}-{turn}-", folder)

        found = _in_turns({"ours": ours, "theirs": theirs}, ROUNDS)
    speed = {name: statistics.median(one.throughput for one in turns) for name, turns in found.items()}
    p99 = {name: statistics.median(one.latency_ms(0.99) for one in turns) for name, turns in found.items()}
    failed = {name: sum(sum(one.failed.values()) for one in turns) for name, turns in found.items()}
    return [
        compared(
            NAME,
            measure,
            ours=1000 / speed["ours"],
            against=against,
            peer=1000 / speed["theirs"],
            target=FASTER,
            rows=sum(len(one) for one in found["ours"]),
            note=f"{speed['ours']:,.0f} against {speed['theirs']:,.0f} requests a second over {CONNECTIONS_A_WORKER * workers} "
            f"connections, p99 {p99['ours']:.1f} against {p99['theirs']:.1f} ms, failed {failed['ours']} and {failed['theirs']}; "
            "ours routes half to the challenger, logs each exposure on the disk first and has the champion score beside",
        )
    ]


def _added(flights: Flights, folder: Path) -> list[Row]:
    with retrain_serve(flights, 1, folder) as gateway, plain_gateway(flights, 1, folder) as plain:

        def at_rate(server: Running, name: str) -> Turn:
            bodies, path = flights.gateway_bodies(), predict_path(flights)
            return lambda turn: generate(
                LoadPlan(server.port, path, bodies, TURN_SECONDS, 16, RATE, f"{name}-{turn}-"), folder
            ).after(WARM_UP)

        found = _in_turns({"with": at_rate(gateway, "with"), "without": at_rate(plain, "without")}, OVERHEAD_TURNS)
    return [_added_row(found, quantile) for quantile in (0.99, 0.5)]


def _added_row(found: Mapping[str, list[Records]], quantile: float) -> Row:
    """The difference of the median turns; half of one variant's turns against its other half says what chance makes."""
    took = {name: [one.latency_ms(quantile) for one in turns] for name, turns in found.items()}
    middle = {name: statistics.median(values) for name, values in took.items()}
    added = middle["with"] - middle["without"]
    chance = max(abs(statistics.median(values[::2]) - statistics.median(values[1::2])) for values in took.values())
    named = f"p{quantile * 100:g}"
    measure, against = f"{named} that routing and durable logging add, ms", f"{ADDED_MS:g} ms"
    note = (
        f"{named} {middle['with']:.2f} ms with and {middle['without']:.2f} ms without at {RATE:g} requests a second, one worker; "
        f"between halves of the turns of one variant {chance:.2f} ms"
    )
    rows = sum(len(one) for one in found["with"])
    if chance > ADDED_MS and quantile > 0.5:
        reason = f"{note}: the machine is too busy to tell"
        return absent(NAME, measure, against=against, target=AT_MOST, reason=reason, ours=added, rows=rows)
    target = AT_MOST if quantile > 0.5 else None
    return compared(NAME, measure, ours=max(added, 0.001), against=against, peer=ADDED_MS, target=target, rows=rows, note=note)


def _closed(server: Running, path: str, bodies: list[str], workers: int, prefix: str, folder: Path) -> Records:
    plan = LoadPlan(server.port, path, bodies, TURN_SECONDS, CONNECTIONS_A_WORKER * workers, None, prefix)
    return generate(plan, folder).after(WARM_UP)


def _in_turns(contestants: Mapping[str, Turn], rounds: int) -> dict[str, list[Records]]:
    """All take one turn a round, each round in the opposite order of the one before; the first round is not counted."""
    found: dict[str, list[Records]] = {name: [] for name in contestants}
    order = list(contestants)
    for turn in range(rounds + 1):
        for name in order:
            records = contestants[name](turn)
            if turn:
                found[name].append(records)
        order.reverse()
    return found
