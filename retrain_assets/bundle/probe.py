"""``python -m retrain_assets.bundle.probe BUNDLE DIGEST FEATURES ANSWER [CODE…]``: a bundle in a process that did not train it.

Reads the bundle by its directory and digest, scores the feature rows of a Parquet file and writes to the directory ANSWER the
scores (``scores.npy``) and the features the bundle asks for (``features.json``). A model's own classes are also looked for in the
folders CODE. Exits 2 with one line when it is refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

from retrain_assets.bundle.model_file import LIGHTGBM_FILE
from retrain_assets.bundle.store import load_bundle
from retrain_assets.contract import RetrainError

SCORES, FEATURES = "scores.npy", "features.json"

_LIGHTGBM_GOES_WITHOUT = ("sklearn", "pandas", "pyarrow", "dask", "matplotlib", "graphviz")
"""Imported by lightgbm where they are there, and not used to score a stored model: two thirds of the probe's start."""


def main(arguments: list[str]) -> int:
    """Score and answer; gives the exit code."""
    directory, digest, rows, answer = Path(arguments[0]), arguments[1], Path(arguments[2]), Path(arguments[3])
    sys.path += arguments[4:]
    if (directory / LIGHTGBM_FILE).exists():
        sys.modules.update(dict.fromkeys(_LIGHTGBM_GOES_WITHOUT))  # type: ignore[arg-type]
    try:
        bundle = load_bundle(directory, digest)
        names = set(pl.read_parquet_schema(rows))
        frame = pl.read_parquet(rows, columns=[name for name in bundle.encoding.names if name in names], glob=False)
        scores = bundle.score(frame)
    except RetrainError as error:
        sys.stderr.write(f"{error.line}\n")
        return 2
    np.save(answer / SCORES, scores, allow_pickle=False)
    kinds = bundle.manifest.feature_dtypes
    (answer / FEATURES).write_text(json.dumps([[name, kinds[name]] for name in bundle.manifest.feature_names]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
