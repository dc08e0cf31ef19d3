"""Who tells of what concerns all models: a hundred models with one channel would tell it a hundred times."""

from __future__ import annotations

import os
from pathlib import Path

from retrain_assets.home import Home


def claimed(home: Home, recipient: str, key: str, model: str) -> bool:
    """Whether a model's sensor is the one that tells a recipient: the first that asks is, and stays it.

    Args:
        home: the home the sensors share.
        recipient: key of the recipient.
        key: key of the alert.
        model: whose sensor asks.
    """
    place = home.root / "cache" / "told" / f"{recipient}-{key.replace(':', '-')}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = place.with_name(f".{place.name}.{model}.{os.getpid()}")
        scratch.write_text(model)
        _link(scratch, place)
        scratch.unlink()
    return place.read_text() == model


def _link(scratch: Path, place: Path) -> None:
    """Give the file its name unless another one has it; it is never there without its content."""
    try:
        place.hardlink_to(scratch)
    except FileExistsError:
        return
