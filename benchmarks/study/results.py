"""Results of the study between its parts and its page: JSON files below RETRAIN_HOME."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.study.batches import SEED, Setting
from benchmarks.study.harm import Harm
from retrain_assets.home import Home

Rows = dict[str, list[dict[str, Any]]]


def keep(part: str, setting: Setting, found: Sequence[Any] | Harm) -> None:
    """Write one part's rows."""
    rows: Mapping[str, Sequence[Any]] = (
        {"shipped": found.shipped, "delays": found.delays} if isinstance(found, Harm) else {"rows": found}
    )
    document = {
        "part": part,
        "setting": asdict(setting),
        "seed": SEED,
        **{name: [asdict(row) for row in those] for name, those in rows.items()},
    }
    path = _path(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def kept(part: str) -> dict[str, Any]:
    """The rows of a part.

    Raises:
        FileNotFoundError: when the part has not been run.
    """
    found: dict[str, Any] = json.loads(_path(part).read_text(encoding="utf-8"))
    return found


def _path(part: str) -> Path:
    return Home.from_environment().root / "study" / f"{part}.json"
