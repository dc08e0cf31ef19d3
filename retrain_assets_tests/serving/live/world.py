"""A home whose versions are real bundles, and a worker's parts on it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from retrain_assets.bundle import Calibration, Encoding, LightGBMPredictor, Manifest, Predictor, load_bundle, save_bundle
from retrain_assets.contract import Contract, RegistryUnavailable
from retrain_assets.ledger import SYSTEM
from retrain_assets.routing import Arm, RoutingRule, flag_document
from retrain_assets.serving import ExposureLog
from retrain_assets.serving.journal import TrafficJournal, recover
from retrain_assets.serving.live import Answering, LiveModels, Prediction, Row
from retrain_assets_tests.release.world import CONTRACT, MODEL, RUTH, MemoryRegistry, SettableClock, World, manifest

FIRST, SECOND, THIRD = "2013-04-01", "2013-07-01", "2013-08-01"
TOGGLE = f"{MODEL}-{SECOND}"
FRAME = pl.DataFrame(
    {
        "distance": [float(one) for one in range(200)],
        "origin": ["EWR", "JFK", "LGA", "EWR"] * 50,
        "holiday": [False, False, True, True, True] * 40,
    }
)
ENCODING = Encoding.of(FRAME, FRAME.columns)
FEATURES: Mapping[str, Any] = {"distance": 120, "origin": "JFK", "holiday": False}

TERMS: Mapping[str, dict[str, Any]] = {
    "experiment": {"ramp": ["shadow", 25, 50, 100], "segments": ["origin"]},
    "serving": {"champion_timeout": "30s", "challenger_timeout": "20s", "durability": "process"},
}


@lru_cache
def fitted(retrain: str) -> Predictor:
    """The first retrain's score rises with the distance, those of later ones fall."""
    from lightgbm import LGBMClassifier

    labels = [int((one > 100) == (retrain == FIRST)) for one in range(200)]
    model = LGBMClassifier(n_estimators=4, min_child_samples=5, n_jobs=1, verbosity=-1)
    return LightGBMPredictor(model.fit(ENCODING.matrix(FRAME), labels, categorical_feature=[1]).booster_)


def write_bundle(place: Path, retrain: str) -> Manifest:
    """A whole bundle below a place."""
    described = manifest(retrain, feature_names=ENCODING.names, feature_dtypes=dict(ENCODING.kinds))
    return save_bundle(
        place,
        described,
        predictor=fitted(retrain),
        encoding=ENCODING,
        calibration=Calibration("none"),
        documents={},
    )


@lru_cache
def bundle_manifest(retrain: str) -> Manifest:
    """The manifest of a retrain's bundle."""
    with TemporaryDirectory() as scratch:
        return write_bundle(Path(scratch) / "bundle", retrain)


class BundleRegistry(MemoryRegistry):
    """A registry of real bundles; it can be away."""

    is_away = False

    def register(self, model: str, manifest: Manifest) -> str:
        version = super().register(model, manifest)
        place = self.versions[model, version]
        shutil.rmtree(place)
        write_bundle(place, manifest.retrain)
        return version

    def download(self, model: str, version: str) -> Path:
        if self.is_away:
            raise RegistryUnavailable("nobody answers")
        return super().download(model, version)


class Served(World):
    """A world whose retrains have real bundles."""

    registry: BundleRegistry

    def __post_init__(self) -> None:
        super().__post_init__()
        self.registry = BundleRegistry(self.root / "registry")
        self.controller = self.another_controller()

    @classmethod
    def at(cls, root: Path, **sections: dict[str, Any]) -> Served:
        """A world below a folder, with some terms of its contract changed."""
        terms = deepcopy(CONTRACT)
        for changes in (TERMS, sections):
            for name, values in changes.items():
                terms[name] = {**terms.get(name, {}), **values}
        return cls(root, contract=Contract.model_validate(terms))

    def copied(self, root: Path) -> Served:
        """The same in a home of its own."""
        shutil.copytree(self.root, root)
        other = Served(root, SettableClock(self.clock.at), self.contract)
        known = self.registry
        other.registry.versions = {key: root / place.relative_to(self.root) for key, place in known.versions.items()}
        other.registry.aliases, other.registry.tags = dict(known.aliases), deepcopy(known.tags)
        return other

    def crowned(self) -> Served:
        """There is a champion, and nothing is tried."""
        self.candidate(FIRST, registered=bundle_manifest(FIRST))
        self.controller.bootstrap(self.contract, FIRST, RUTH, "first model")
        return self

    def armed(self, retrain: str = SECOND) -> str:
        """The toggle of a new challenger, armed."""
        self.candidate(retrain, registered=bundle_manifest(retrain))
        return self.controller.register_and_arm(self.contract, retrain).name

    def canary(self, stages: int = 2) -> str:
        """The toggle of a challenger so many stages up its ramp: 1 is shadow, 2 is 25 per cent."""
        name = self.crowned().armed()
        for _ in range(stages):
            self.controller.step(name, SYSTEM, "as planned")
        return name

    def promote(self, name: str) -> None:
        """The toggle's challenger becomes champion."""
        retrain = self.state.toggles[name].retrain
        while self.toggle(retrain).stage != "50":
            self.look(retrain, "step")
        self.look(retrain, "ask_approval")
        self.controller.approve(MODEL, retrain, RUTH, "clear win")
        assert self.controller.decide(MODEL, retrain).decision == "promote"

    @asynccontextmanager
    async def worker(self, meter: Meter | None = None) -> AsyncIterator[Worker]:
        """A worker's parts, started."""
        models = LiveModels(self.home, controller=self.another_controller())
        journal = TrafficJournal(self.home)
        worker = Worker(self, models, journal, meter := meter or Meter(), Answering(models, journal, meter))
        await journal.start()
        await models.start()
        try:
            yield worker
        finally:
            await worker.answering.close()
            await models.close()
            await journal.close()

    def exposures(self) -> pl.DataFrame:
        """Every exposure on record."""
        recover(self.home)
        return ExposureLog(self.home).read_exposures(MODEL)

    def edit_new_flags(self) -> None:
        """Somebody writes a flag document by hand where there was none."""
        document = flag_document([RoutingRule(model=MODEL, champion=None)], metadata={"ledger_sequence": 1})
        self.home.flags_path.write_text(json.dumps(document))

    def edit_flags(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Somebody writes the flag document by hand."""
        document = self.flags()
        change(document)
        scratch = self.home.flags_path.with_suffix(".new")
        scratch.write_text(json.dumps(document))
        scratch.replace(self.home.flags_path)


class Meter:
    """Counts into lists."""

    def __init__(self) -> None:
        self.answers: list[tuple[Arm, int, int]] = []
        self.seconds: list[float] = []
        self.drops = 0
        self.beside: list[tuple[Arm, int, int]] = []
        self.refusals: list[str] = []
        self.flips: list[int] = []

    def answered(self, model: str, arm: Arm, rows: int, errors: int, seconds: float) -> None:
        self.answers.append((arm, rows, errors))
        self.seconds.append(seconds)

    def dropped(self, model: str, rows: int) -> None:
        self.drops += rows

    def shadowed(self, model: str, arm: Arm, rows: int, errors: int) -> None:
        self.beside.append((arm, rows, errors))

    def refused(self, model: str, why: str) -> None:
        self.refusals.append(why)

    def flipped(self, model: str, revision: int) -> None:
        self.flips.append(revision)


@dataclass
class Worker:
    """One worker's parts."""

    world: Served
    models: LiveModels
    journal: TrafficJournal
    meter: Meter
    answering: Answering

    async def predict(self, *rows: Row) -> list[Prediction]:
        return await self.answering.predict(MODEL, rows)

    async def ask(self, unit: str | None, **features: Any) -> Prediction:
        """One row's answer."""
        return (await self.predict(row(unit, **features)))[0]

    def replace_model(self, arm: Arm, predictor: Predictor) -> None:
        """From now on an arm's loaded bundle is asked another model, one that misbehaves."""
        seat = self.models.current(MODEL).seats[arm]
        object.__setattr__(seat.bundle, "predictor", predictor)


async def until(holds: Callable[[], object]) -> None:
    """Wait for something that another thread or process does; a test that waits in vain fails."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


_numbers = iter(range(1_000_000_000))


def row(unit: str | None, **features: Any) -> Row:
    """A row of a unit."""
    attributes = features.pop("attributes", {})
    return Row(f"r{next(_numbers)}", unit, attributes, {**FEATURES, **features})


def number(answer: Prediction) -> float:
    """The score of an answer that is one number."""
    assert isinstance(answer.score, float)
    return answer.score


def units(number: int = 200) -> list[str]:
    return [f"N{one}" for one in range(number)]


__all__ = ["FIRST", "MODEL", "RUTH", "SECOND", "THIRD", "load_bundle", "replace"]
