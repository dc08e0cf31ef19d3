"""A hundred models in one code location: loading their definitions beside an empty project, and the ticks of the sensors."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast

import dagster as dg

import retrain_assets.defs
from benchmarks.measure import Row, Target, compared, cpu_seconds, fresh_process, interleaved
from benchmarks.simulated.history import CONTRACT, SIMULATION, write_history
from benchmarks.start import DEFINITIONS, LOAD, PROJECT, QUIET, WITHOUT_THE_PRODUCT
from retrain_assets.assets import Platform, Road
from retrain_assets.automation.canary_sensor import canary_sensor
from retrain_assets.automation.decision_sensor import decision_sensor
from retrain_assets.automation.override_sensor import override_sensor
from retrain_assets.automation.upkeep_sensor import upkeep_sensor
from retrain_assets.contract import Contract
from retrain_assets.home import Home, ReplayClock
from retrain_assets.ledger import EventDraft, EventKind, EvidenceStore, Ledger
from retrain_assets.release import ReleaseController
from retrain_assets.release.projection import RegistryProtocol

NAME = "hundred_models"
MODELS = 100
LOADED = (1, 50, MODELS)
LOADED_AT_MOST_S, A_MODEL_AT_MOST_S, IDLE_AT_MOST_S = 3.0, 0.015, 0.05
TICKS = 7
SENSORS = {"upkeep": upkeep_sensor, "canary": canary_sensor, "decision": decision_sensor, "override": override_sensor}
_CONTROLLERS: dict[str, ReleaseController] = {}


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [*_definitions(Path(folder)), *_ticks(Path(folder) / "home")]


def _definitions(folder: Path) -> list[Row]:
    load = LOAD.format(module="empty_project.definitions")
    code = {0: WITHOUT_THE_PRODUCT.format(load=load), **dict.fromkeys(LOADED, load)}
    projects = {count: _project(folder / f"models_{count}", count) for count in code}
    took = interleaved(
        {str(count): fresh_process(["-c", code[count]], environment=QUIET, directory=str(projects[count])) for count in code},
        rounds=3,
        seconds=60,
    )
    over = took[str(MODELS)] - took["0"]
    first, middle, last = (took[str(count)] for count in LOADED)
    early, late = (middle - first) / (LOADED[1] - LOADED[0]), (last - middle) / (LOADED[2] - LOADED[1])
    note = f"wall seconds of a fresh process; an empty project takes {took['0']:.2f} s, one model {first:.2f} s"
    return [
        compared(
            NAME,
            "load the definitions over an empty Dagster project, s",
            ours=over,
            against="limit",
            peer=LOADED_AT_MOST_S,
            target=Target(1),
            rows=MODELS,
            note=note,
        ),
        compared(NAME, "a model more, s", ours=late, against="limit", peer=A_MODEL_AT_MOST_S, target=Target(1), rows=MODELS),
        compared(
            NAME,
            "one of the second fifty models, s",
            ours=late,
            against="one of the first fifty",
            peer=early,
            target=Target(1.25),
            rows=MODELS,
            note="linear is 1",
        ),
    ]


def _project(root: Path, count: int) -> Path:
    """A project of so many copies of the flights contract."""
    shipped = Path(retrain_assets.defs.__file__).parent / "air_time"
    defs = root / "empty_project" / "defs"
    defs.mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (root / "empty_project" / "__init__.py").touch()
    (root / "empty_project" / "definitions.py").write_text(DEFINITIONS, encoding="utf-8")
    (defs / "__init__.py").touch()
    for number in range(count):
        (model := defs / f"model_{number:03d}").mkdir()
        for file in shipped.glob("*.py"):
            (model / file.name).write_bytes(file.read_bytes())
        contract = (shipped / "defs.yaml").read_text(encoding="utf-8")
        (model / "defs.yaml").write_text(contract.replace("model: air_time", f"model: {model.name}"), encoding="utf-8")
    return root


class _Silent:
    """A registry that takes every alias and tag."""

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        return

    def set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        return


class _Simulated(Platform):
    """The platform of the simulated home, whose registry is not asked."""

    @property
    def controller(self) -> ReleaseController:
        if self.root not in _CONTROLLERS:
            home = Home(Path(self.root))
            evidence = EvidenceStore(home.evidence_dir)
            silent = cast("RegistryProtocol", _Silent())
            _CONTROLLERS[self.root] = ReleaseController(
                home, Ledger(home.ledger_url), evidence, silent, home.clock, anchors=False
            )
        return _CONTROLLERS[self.root]


def _ticks(root: Path) -> list[Row]:
    home = Home(root)
    ledger = Ledger(home.ledger_url)
    evidence = EvidenceStore(home.evidence_dir)
    write_history(ledger, models=MODELS, weeks=2, evidence=evidence)
    ReplayClock(home.replay_clock_path).set(ledger.events(after=ledger.head()[0] - 1)[0].at + timedelta(hours=1))
    names = [f"model_{number:03d}" for number in range(MODELS)]
    roads = [Road(Contract.model_validate({**CONTRACT, "model": name})) for name in names]
    found = []
    (root / "dagster").mkdir(parents=True)
    with dg.DagsterInstance.local_temp(str(root / "dagster")) as instance:
        for name, make in SENSORS.items():
            tick = _Ticking(make(roads), instance, _Simulated(root=str(root)))
            for _ in range(3):
                tick()
            idle = _median(tick)
            found.append(
                compared(
                    NAME,
                    f"a tick of the {name} sensor with nothing to do, CPU s",
                    ours=idle,
                    against="limit",
                    peer=IDLE_AT_MOST_S,
                    target=Target(1),
                    rows=MODELS,
                )
            )
            costs = {count: _median(tick, before=partial(_change, ledger, names[:count])) for count in (1, 5, 20)}
            a_model = (costs[20] - costs[1]) / 19
            each = ", ".join(f"{1000 * cost:.1f}" for cost in costs.values())
            note = f"1, 5 and 20 changed: {each} ms; {1000 * a_model:.2f} ms each"
            found.append(
                compared(
                    NAME,
                    f"a tick of the {name} sensor, 20 models changed, CPU s",
                    ours=costs[20],
                    against="5 models changed",
                    peer=costs[5],
                    target=Target(4.5),
                    rows=MODELS,
                    note=note,
                )
            )
    return found


class _Ticking:
    """A sensor with the cursor of its last tick."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance, platform: Platform) -> None:
        self._sensor, self._instance, self._platform = sensor, instance, platform
        self._cursor: str | None = None

    def __call__(self) -> None:
        context = dg.build_sensor_context(instance=self._instance, cursor=self._cursor, resources={"platform": self._platform})
        result = self._sensor(context)
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        for event in result.asset_events:
            self._instance.report_runless_asset_event(event)


def _median(work: Callable[[], None], before: Callable[[], None] | None = None) -> float:
    taken = []
    for _ in range(TICKS):
        if before is not None:
            before()
        started = cpu_seconds()
        work()
        taken.append(cpu_seconds() - started)
    return statistics.median(taken)


def _change(ledger: Ledger, models: Sequence[str]) -> None:
    """Something is recorded about each model that changes nothing else."""
    last = ledger.events(after=ledger.head()[0] - 1)[0].at
    ledger.append_all(
        [
            EventDraft(at=last, actor=SIMULATION, kind=EventKind.SPLIT_EXPORTED, model=model, reason="simulated", payload={})
            for model in models
        ]
    )
