"""Tags as Unity Catalog takes them: no ``. , - = / :`` in a key, no spaces around a value, fifty of them at most."""

from __future__ import annotations

import re
from collections.abc import Mapping

from retrain_assets.registry.registry import HEAD_TAG

VALUE_LENGTH = 1000
"""Characters a tag's value may have."""

_NOT_IN_A_KEY = re.compile(r"[.,\-=/:]")


def to_catalog(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags by the keys they have in the catalog: what a key may not hold becomes ``_``, too long a value ends in ``…``."""
    return {_NOT_IN_A_KEY.sub("_", key).strip(): _value(str(value)) for key, value in tags.items()}


def from_catalog(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags by the keys that this product knows them by."""
    return {_OWN.get(key, key): value for key, value in tags.items()}


_OWN = {_NOT_IN_A_KEY.sub("_", HEAD_TAG): HEAD_TAG}


def _value(text: str) -> str:
    text = text.strip()
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 1].rstrip()}…"
