"""Routing and exposure logging for a service on the host that has the home: no gateway, no network, no ledger in a request."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from retrain_assets.contract import RetrainError
from retrain_assets.home import Home
from retrain_assets.release import ReleaseController
from retrain_assets.serving.client.exposures import Exposure, Exposures, RoutedUnit, require_served
from retrain_assets.serving.client.routed_models import RoutedModels
from retrain_assets.serving.journal import TrafficJournal
from retrain_assets.serving.live.terms import AttributeReader


class LocalRouter(Exposures):
    """Arms by the home's flag document, exposures to its journal. May be shared by threads, not across a fork.

    A change of the toggle is in force within 10 ms. Close it, or use it as a context manager: then what was logged is in its
    file; what a killed process logged is brought there by whoever opens the home's journal next.

    Args:
        home: the home, or its folder; that of ``RETRAIN_HOME`` where none is given.
        controller: opened from the home where none is given.
        rotate_after: how often what was logged is brought into Parquet files.

    Raises:
        RetrainError: where the home has no flag document, or no ledger that can be read.
    """

    def __init__(
        self,
        home: Home | str | os.PathLike[str] | None = None,
        *,
        controller: ReleaseController | None = None,
        rotate_after: timedelta = timedelta(minutes=5),
    ) -> None:
        self.home = home if isinstance(home, Home) else Home(Path(home).absolute()) if home else Home.from_environment()
        if controller is None and not self.home.flags_path.exists():
            remedy = "set RETRAIN_HOME to a home with a model, or bootstrap one"
            raise RetrainError("there is no flag document", where=str(self.home.flags_path), remedy=remedy)
        self._models = RoutedModels(self.home, controller or ReleaseController.open(self.home))
        self._journal = TrafficJournal(self.home, rotate_after=rotate_after)
        self._process = os.getpid()

    def assign(self, model: str, unit: str | None, attributes: Mapping[str, Any] | None = None) -> RoutedUnit:
        """The arm of a unit, as everything else that reads this home's toggles gives it.

        Args:
            model: the model.
            unit: its plain id; None gets the champion.
            attributes: what the cohort asks for, and segments and covariates of the contract, by name.

        Raises:
            UnknownModel: where no flag document names the model.
        """
        live, known, now = self._models.current(model), dict(attributes or {}), self._models.clock.now()
        return RoutedUnit(model, unit or None, live.assign(unit or None, live.attributes.read(known, {}), now), known, now)

    def record(self, exposures: Sequence[Exposure]) -> None:
        """Record exposures of one model; they survive what the contract's ``serving.durability`` says.

        Raises:
            LogUnavailable: where the disk refuses, or too many wait.
            RetrainError: where nobody served, or this is another process than the one that made the router.
        """
        if os.getpid() != self._process:
            raise RetrainError("was made before the fork of this process", where="LocalRouter", remedy="make one in each process")
        for one in exposures:
            require_served(one.routed)
        if exposures:
            live = self._models.current(exposures[0].routed.model)
            rows = [_row(one, live.attributes) for one in exposures]
            self._journal.append_now(live.rule.model, "exposures", rows, durability=live.terms.serving.durability)

    def problems(self) -> list[str]:
        """What should be looked at, in words: a flag document that cannot be read or that the ledger does not hold."""
        return self._models.problems()

    def close(self) -> None:
        """Stop watching, and bring what was logged into its file."""
        self._models.close()
        self._journal.close_now()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()


def _row(exposure: Exposure, attributes: AttributeReader) -> dict[str, Any]:
    routed, assignment = exposure.routed, exposure.routed.assignment
    return {
        "request_id": exposure.request_id,
        "model": routed.model,
        "unit_id": routed.unit,
        "toggle": assignment.toggle,
        "revision": assignment.revision,
        "stage": assignment.stage,
        "arm": assignment.arm,
        "version": assignment.version,
        "bundle": assignment.bundle,
        "exposed_at": routed.at,
        "latency_ms": float(exposure.latency_ms),
        "error": bool(exposure.error),
        "score": None if exposure.score is None else float(exposure.score),
        "shadow_score": None,
        "decision": None if exposure.decision is None else bool(exposure.decision),
        **attributes.logged(attributes.read(routed.attributes, {})),
    }
