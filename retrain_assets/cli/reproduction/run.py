"""The steps of a reproduction, one after another, in a scratch folder that is gone afterwards."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from retrain_assets.cli.reproduction.bench import Bench
from retrain_assets.cli.reproduction.data import dataset_results, feature_results
from retrain_assets.cli.reproduction.decision import decision_results
from retrain_assets.cli.reproduction.looks import look_results
from retrain_assets.cli.reproduction.model import candidate_results, evaluation_results
from retrain_assets.cli.reproduction.packs import pack_results
from retrain_assets.cli.reproduction.results import Depth, Result
from retrain_assets.cli.reproduction.stored import Stored
from retrain_assets.contract import RetrainError
from retrain_assets.home import Home
from retrain_assets.ledger import EventKind, Ledger
from retrain_assets.reports.query.records import EventsRead


def reproduce(home: Home, model: str, retrain: str, depth: Depth = Depth.USUAL) -> Iterator[Result]:
    """Recompute a retrain from what is stored of it and compare it with what was recorded, step by step.

    Nothing in the home is changed: no event, no registry version, no evidence, no file.

    Args:
        home: where it is stored.
        model: the model.
        retrain: its key.
        depth: how much is recomputed.

    Raises:
        RetrainError: when the ledger knows no such retrain, or the contract it ran under is gone.
    """
    with closing(Ledger(home.ledger_url)) as ledger:
        stored = Stored(home, model, retrain, EventsRead(ledger.events()))
    if not any(event.kind is EventKind.RETRAIN_LAUNCHED for event in stored.events):
        raise RetrainError(
            f"the ledger has no retrain {retrain} of {model}", where="audit reproduce", remedy="see retrain audit list"
        )
    with tempfile.TemporaryDirectory(prefix="retrain-reproduce-") as scratch:
        yield from _timed(_all(stored, depth, Path(scratch)))


def _all(stored: Stored, depth: Depth, scratch: Path) -> Iterator[Result]:
    bench = Bench(stored, depth, scratch / "stages")
    for step in (dataset_results, feature_results, candidate_results, evaluation_results):
        yield from step(bench)
    yield from look_results(stored, scratch / "looks")
    yield from decision_results(stored)
    yield from pack_results(stored)


def _timed(results: Iterator[Result]) -> Iterator[Result]:
    """Each result with the seconds it took."""
    while True:
        started = time.perf_counter()
        try:
            result = next(results)
        except StopIteration:
            return
        yield replace(result, seconds=time.perf_counter() - started)
