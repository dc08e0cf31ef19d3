"""What a named fault is: a sentence from the world, the place it is put, and the checks that count as catching it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.compute.stages.dataset import Windows

REFUSED = "refused by stage "
"""Start of what stands for a check where a stage refuses its input before any check is made."""


@dataclass(frozen=True, slots=True)
class InRows:
    """Changes the source's rows, from a week before the training window up to the cut-off."""

    change: Callable[[pl.DataFrame, Windows], pl.DataFrame]
    where = "source rows"


@dataclass(frozen=True, slots=True)
class InFile:
    """Damages the source's Parquet file after it was written."""

    damage: Callable[[Path], object]
    where = "source file"


@dataclass(frozen=True, slots=True)
class InFeatures:
    """Uses another feature function, by import path, on clean rows."""

    function: str
    where = "feature code"


@dataclass(frozen=True, slots=True)
class InTraining:
    """Changes the contract's trainer on clean features."""

    trainer: Mapping[str, Any]
    where = "training"


@dataclass(frozen=True, slots=True)
class InCandidate:
    """Changes the bundle folder of the clean candidate before it is evaluated."""

    change: Callable[[Path], object]
    where = "candidate"


@dataclass(frozen=True, slots=True)
class InEvaluation:
    """Changes the inputs of the evaluation: paths by name, each a copy that may be damaged."""

    change: Callable[[dict[str, str]], dict[str, str]]
    where = "inputs of the evaluation"


Place = InRows | InFile | InFeatures | InTraining | InCandidate | InEvaluation


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        name: snake case, unique.
        happened: what went wrong in the world, one sentence.
        put: where it is put, and how.
        caught_by: checks that are about it; ``refused by stage NAME`` where a stage refuses. Empty for a fault that no gate
            is expected to see.
        missed: why no gate sees it; only with an empty ``caught_by``.
        needs: why the short windows of the monthly contract do not show it; only where the shipped contract does.
    """

    name: str
    happened: str
    put: Place
    caught_by: tuple[str, ...]
    missed: str = ""
    needs: str = ""


def refused(stage: str) -> str:
    """What stands for a check where a stage refuses."""
    return REFUSED + stage
