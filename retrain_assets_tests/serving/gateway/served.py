"""A home whose models can really be served: two LightGBM bundles, a toggle at 25 per cent, and an application on it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import polars as pl
from fastapi import FastAPI

from retrain_assets.bundle import Bundle, Calibration, Encoding, LightGBMPredictor, Manifest, load_bundle, save_bundle
from retrain_assets.contract import Contract
from retrain_assets.ledger import SYSTEM
from retrain_assets.release import ReleaseController
from retrain_assets.serving.gateway import Options, create_app
from retrain_assets_tests.release.world import CONTRACT, MODEL, RUTH, MemoryRegistry, SettableClock, World, manifest

FIRST, SECOND = "2013-04-01", "2013-07-01"
NUMBERS = tuple(f"x{number}" for number in range(9))
FEATURES: Mapping[str, Any] = {"origin": "JFK", **dict.fromkeys(NUMBERS, 0.5)}
"""A row's features; ten of them."""

ELSEWHERE: Mapping[str, Any] = {**FEATURES, "origin": "LGA"}
"""Of a row outside the cohort."""

TERMS = {
    "experiment": {"ramp": ["shadow", 25, 50, 100], "segments": ["origin"]},
    "serving": {"max_rows": 50, "champion_timeout": "20s", "challenger_timeout": "10s"},
}


class BundleRegistry(MemoryRegistry):
    """A registry of real bundles."""

    def register(self, model: str, manifest: Manifest) -> str:
        version = super().register(model, manifest)
        place = self.versions[model, version]
        shutil.rmtree(place)
        write_bundle(place, manifest)
        return version


@dataclass
class Served(World):
    """The smallest real world in which something is served.

    Its clock is the system's, as a gateway's is.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.registry = BundleRegistry(self.root / "registry")
        self.controller = self.another_controller()

    @classmethod
    def at(cls, root: Path, terms: Mapping[str, dict[str, Any]] = TERMS) -> Served:
        """A world in a folder, with some terms of its contract changed."""
        return cls(root, SettableClock(datetime.now(UTC) - timedelta(hours=1)), contract_with(terms))

    def champion_only(self) -> Served:
        """There is a champion, and nothing is tried."""
        self.candidate(FIRST, registered=bundle_manifest(FIRST))
        self.controller.bootstrap(self.contract, FIRST, RUTH, "first model")
        return self

    def canary(self, stages: int = 2) -> Served:
        """A challenger so many stages up its ramp: 1 is shadow, 2 is 25 per cent."""
        self.champion_only()
        self.candidate(SECOND, registered=bundle_manifest(SECOND))
        name = self.controller.register_and_arm(self.contract, SECOND).name
        for _ in range(stages):
            self.controller.step(name, SYSTEM, "as planned")
        return self

    def bundle(self, version: str) -> Bundle:
        return load_bundle(self.registry.versions[MODEL, version])

    @asynccontextmanager
    async def client(self, options: Options | None = None, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client of an application on this home."""
        async with asking(self.app(options), **more) as client:
            yield client

    def warm(self) -> Served:
        """Verified copies of what is served lie in the home's cache, so that workers need no registry."""

        async def started() -> None:
            async with running(self.app()):
                pass

        asyncio.run(started())
        return self

    def app(self, options: Options | None = None) -> FastAPI:
        return create_app(self.home, options, controller=self.another_controller())


@asynccontextmanager
async def asking(
    app: FastAPI, peer: tuple[str, int] | None = ("127.0.0.1", 50000), **more: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application, which has started and has loaded what it serves."""
    async with running(app):
        transport = httpx.ASGITransport(app, client=peer)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", **more) as client:
            yield client


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application between its start and its end."""
    async with app.router.lifespan_context(app):
        yield app


def contract_with(terms: Mapping[str, dict[str, Any]]) -> Contract:
    """The contract of the release's tests, with some fields of some sections changed."""
    return Contract.model_validate(CONTRACT | {name: {**CONTRACT.get(name, {}), **changes} for name, changes in terms.items()})


def row(unit: str | None = "N14228", **changes: Any) -> dict[str, Any]:
    return {"unit": unit, "features": dict(FEATURES), **changes}


@lru_cache
def bundle_manifest(retrain: str) -> Manifest:
    """The manifest of the model fitted for a retrain."""
    with TemporaryDirectory() as scratch:
        return write_bundle(Path(scratch) / "bundle", _plain(retrain))


def _plain(retrain: str) -> Manifest:
    kinds = {"origin": "categorical", **dict.fromkeys(NUMBERS, "numeric")}
    made_with = {"python": "3.11", "platform": "test", "packages": {"numpy": "2.0.0"}}
    return manifest(retrain, feature_names=tuple(kinds), feature_dtypes=kinds, environment=made_with)


def write_bundle(place: Path, described: Manifest) -> Manifest:
    """Write the bundle of a retrain; its manifest with the files."""
    predictor, encoding = _fitted(described.retrain)
    return save_bundle(
        place,
        replace(described, files={}),
        predictor=predictor,
        encoding=encoding,
        calibration=Calibration("none"),
        documents={},
    )


@lru_cache
def _fitted(retrain: str) -> tuple[LightGBMPredictor, Encoding]:
    """A model that rises with x0 (the first retrain's) or falls with it."""
    from lightgbm import LGBMClassifier

    draw = np.random.default_rng(7)
    frame = pl.DataFrame(
        {"origin": ["JFK", "LGA", "EWR", "JFK"] * 100, **{name: draw.random(400) for name in NUMBERS}},
    )
    encoding = Encoding.of(frame, frame.columns)
    labels = (frame["x0"] > 0.5) if retrain == FIRST else (frame["x0"] < 0.4)
    fitted = LGBMClassifier(n_estimators=5, n_jobs=1, verbosity=-1, seed=1).fit(encoding.matrix(frame), labels.to_numpy())
    return LightGBMPredictor(fitted.booster_), encoding


__all__ = [
    "ELSEWHERE",
    "FEATURES",
    "FIRST",
    "MODEL",
    "RUTH",
    "SECOND",
    "TERMS",
    "BundleRegistry",
    "Contract",
    "ReleaseController",
    "Served",
    "asking",
    "row",
    "running",
    "write_bundle",
]
